"""The tables of docs/detectors.md, each from what kilinda.json states, none where it is silent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from inference_worker.registry import ModelFolder
from inference_worker.reliability import grade

UNKNOWN_LANGUAGES = frozenset({"", "und"})
Metrics = Mapping[str, Mapping[str, Any]]


def reliability(folder: ModelFolder) -> Iterator[str]:
    """Yield what each score of the model carries, by language and condition."""
    yield from ("**How reliable a score is, by language and condition**", "")
    if not folder.reliability:
        yield from ("Nothing was measured on enough items: every score is unmeasured.", "")
        return
    rows = [
        [
            group.replace(":", " ", 1),
            str(each.n),
            _range(each.auc, each.low, each.high),
            grade(each),
        ]
        for group, each in folder.reliability.items()
    ]
    yield from table(("group", "n", "AUC", "grade"), rows)
    yield ""
    yield "Content in any other language or condition is unmeasured; where neither can be told, the"
    yield "line `all` counts."
    yield ""


def previous(stated: Mapping[str, Any]) -> Iterator[str]:
    """Yield the figures of the version before, beside the new ones of the same name."""
    before = stated.get("previous")
    if not before:
        return
    rows = list(_changes(before["metrics"], stated["metrics"]))
    yield from (f"**Compared with version {before['version']}**, measured in the same way", "")
    yield from table(("set", "group", "AUC before", "AUC now", "change"), rows)
    yield from ("", "Two intervals that overlap widely may differ by chance.", "")


def _changes(before: Metrics, now: Metrics) -> Iterator[list[str]]:
    for name in now:
        groups = dict(_areas(now[name]))
        for group, old in _areas(before.get(name, {})):
            if new := groups.get(group):
                change = f"{new['auc'] - old['auc']:+.3f}"
                yield [
                    name.replace("_", " "),
                    group,
                    figure(old, "auc"),
                    figure(new, "auc"),
                    change,
                ]


def _areas(report: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if not report:
        return
    groups = chain(
        [("all together", report)],
        ((f"{kind} {name}", row) for kind in ("source", "language", "condition")
         for name, row in report.get(f"by_{kind}", {}).items()),
    )  # fmt: skip
    for name, row in groups:
        if row.get("auc") is not None:
            yield name, row


def calibration(folder: ModelFolder) -> Iterator[str]:
    """Yield how the calibration was chosen, the reliability diagram and the alarms."""
    yield from _forms(folder.training.get("calibration"))
    first = next((r for r in folder.metrics.values() if r.get("curve")), None)
    if first is None:
        return
    yield from ("**Does a probability mean what it says?** (first set of figures below)", "")
    yield from table(("claimed", "items", "true", "95 %"), map(_bin, first["curve"]))
    yield from ("", "**How many alarms are right?** (the same set)", "")
    columns = ("from", "alarms", "right", "precision", "if both classes were as frequent", "found")
    yield from table(columns, (_level(each, first["threshold"]) for each in first["levels"]))
    yield ""


def _forms(chosen: object) -> Iterator[str]:
    if not isinstance(chosen, Mapping) or not chosen.get("left_out"):
        return
    yield from ("**Forms of calibration**, each judged on sources it was not fitted to", "")
    rows = [
        [form, f"{tried['log_loss']:.4f}", f"{tried['ece']:.3f}", "x" * (form == chosen["form"])]
        for form, tried in chosen["left_out"].items()
    ]
    yield from table(("form", "log loss", "ECE", "taken"), rows)
    yield ""


def _bin(each: Mapping[str, Any]) -> list[str]:
    low, high = each["interval"]
    shown = [f"{each['claimed']:.2f}", str(each["n"]), f"{each['observed']:.2f}"]
    return [*shown, f"{low:.2f} to {high:.2f}"]


def _level(each: Mapping[str, Any], threshold: float) -> list[str]:
    own = " (the model's own)" if each["from"] == threshold else ""
    shares = [figure(each, name) for name in ("precision", "even_precision", "recall")]
    return [f"{100 * each['from']:.0f} %{own}", str(each["alarms"]), str(each["right"]), *shares]


def faithfulness(stated: Mapping[str, Any]) -> Iterator[str]:
    """Yield whether the evidence shows what the score rests on."""
    found = stated.get("faithfulness")
    if not found:
        return
    low, high = found["interval"]
    yield "**Is the evidence faithful?**"
    yield ""
    yield (
        f"Without the {found['share']:.0%} that the evidence marks most, the log odds fall by "
        f"{found['top']:.2f}; without a random {found['share']:.0%} by {found['random']:.2f}. "
        f"Difference {found['difference']:.2f} [{low:.2f}, {high:.2f}], {found['n']} items."
    )
    yield ""


FIGURE_COLUMNS = ("group", "n", "not judged", "AUC", "EER", "macro-F1", "ECE", "precision")


def figure_rows(report: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yield one set of figures: all of it, then by source, language and condition."""
    mean, blank = figure(report, "macro_auc"), [""] * 4
    yield ["mean over groups", str(report["n"]), str(report["abstained"]), mean, *blank]
    yield _figure_row("all together", report)
    for source, row in report.get("by_source", {}).items():
        yield _figure_row(source, row)
    for kind in ("language", "condition"):
        for name, row in report.get(f"by_{kind}", {}).items():
            if name not in UNKNOWN_LANGUAGES:
                yield _figure_row(f"{kind} {name}", row)


def _figure_row(group: str, row: Mapping[str, Any]) -> list[str]:
    figures = [figure(row, name) for name in ("auc", "eer", "macro_f1", "ece", "precision")]
    return [group, str(row["n"]), str(row["abstained"]), *figures]


def plain_rows(numbers: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yield the single numbers of a set that is no report of a ranking."""
    for name, value in numbers.items():
        if isinstance(value, int | float | str):
            shown = f"{value:.3f}" if isinstance(value, float) else str(value)
            yield [name.replace("_", " "), shown]


def figure(row: Mapping[str, Any], name: str) -> str:
    """Return one figure with its interval; a dash where it is undefined or was not taken."""
    value = row.get(name)
    if value is None:
        return "-"
    interval = row["intervals"].get(name)
    return _range(value, *interval) if interval else f"{value:.3f}"


def _range(value: float, low: float, high: float) -> str:
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a Markdown table."""
    rule = "---|" * len(columns)
    return [_line(columns), f"|{rule}", *(_line(row) for row in rows)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
