"""What `evaluate` prints: figures, reliability diagram, alarms and a comparison, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inference_worker.comparison import Comparison, Difference
from inference_worker.evaluation import Bin, Level, Report, Row
from inference_worker.reliability import GUESSING, LEAST_ITEMS, LEAST_OF_A_CLASS

BAR = 40
"""Characters of the scale from 0 to 1 in the reliability diagram."""


def figures(report: Report, not_judged: Mapping[str, int]) -> str:
    """Return one line for all items and for each source, language and condition."""
    named: list[tuple[str, Row]] = [("all", report)]
    for kind in ("source", "language", "condition"):
        rows: Mapping[str, Row] = report[f"by_{kind}"]  # type: ignore[literal-required]
        named += [(f"{kind} {name}", row) for name, row in rows.items() if name]
    table: list[tuple[str, ...]] = [
        ("", "n", "judged", "true", "AUC", "macro-F1", "ECE", "precision")
    ]
    table += [(name, *_figures(row)) for name, row in named]
    lines = list(_aligned(table))
    if not_judged:
        why = ", ".join(f"{code} {count}" for code, count in not_judged.items())
        lines.append(f"Not judged: {why}.")
    return "\n".join([*lines, *_small(named)])


def _figures(row: Row) -> tuple[str, ...]:
    judged = row["n"] - row["abstained"]
    cells = [_with_interval(row, name) for name in ("auc", "macro_f1", "ece", "precision")]
    return (str(row["n"]), str(judged), str(row["positives"]), *cells)


def _with_interval(row: Mapping[str, Any], name: str) -> str:
    if row[name] is None:
        return "-"
    interval = row["intervals"].get(name)
    return f"{row[name]:.3f}" + (f" {interval[0]:.2f}-{interval[1]:.2f}" if interval else "")


def _small(named: Sequence[tuple[str, Row]]) -> Iterator[str]:
    """Yield warnings about groups whose figures say little."""
    for name, row in named:
        judged, positives = row["n"] - row["abstained"], row["positives"]
        if judged < LEAST_ITEMS or min(positives, judged - positives) < LEAST_OF_A_CLASS:
            yield (
                f"! {name}: {judged} judged items, {positives} of them true. Below {LEAST_ITEMS} "
                f"items or {LEAST_OF_A_CLASS} of a class it counts as unmeasured."
            )
        elif (low := row["intervals"].get("auc", [1.0])[0]) <= GUESSING:
            yield f"! {name}: the AUC may be {low:.2f}, no better than guessing: unproven."


def diagram(curve: Sequence[Bin]) -> str:
    """Return the reliability diagram: what was claimed and what was found, bin by bin.

    On the scale o is the share that was true, - its 95 % interval and | the claim: where | lies
    outside of the interval, the probability does not mean what it says.
    """
    table = [("claimed", "items", "true", "95 %", "0" + " " * (BAR - 1) + "1", "")]
    for each in curve:
        low, high = each["interval"]
        verdict = "" if low <= each["claimed"] <= high else _off(each)
        table.append(
            (
                f"{each['claimed']:.2f}",
                str(each["n"]),
                f"{each['observed']:.2f}",
                f"{low:.2f}-{high:.2f}",
                _scale(each),
                verdict,
            )
        )
    return "\n".join(_aligned(table))


def _off(each: Bin) -> str:
    return "claims too much" if each["claimed"] > each["observed"] else "claims too little"


def _scale(each: Bin) -> str:
    marks = [" "] * (BAR + 1)
    low, high = (round(BAR * edge) for edge in each["interval"])
    marks[low : high + 1] = "-" * (high + 1 - low)
    marks[round(BAR * each["observed"])] = "o"
    marks[round(BAR * each["claimed"])] = "|"
    return "".join(marks)


def alarms(levels: Sequence[Level], threshold: float) -> str:
    """Return how many items lie at each level or above, and how many of them rightly."""
    table = [("from", "alarms", "right", "precision", "if both were equally frequent", "found")]
    for each in levels:
        own = " *" if each["from"] == threshold else ""
        table.append(
            (
                f"{100 * each['from']:.0f} %{own}",
                str(each["alarms"]),
                str(each["right"]),
                _with_interval(each, "precision"),
                _with_interval(each, "even_precision"),
                _with_interval(each, "recall"),
            )
        )
    return "\n".join([*_aligned(table), "* the model's own threshold"])


def comparison(found: Comparison) -> str:
    """Return a comparison of two models on the same items, and its conclusion."""
    table = [("", "old", "new", "difference", "95 %")]
    table += [
        (name, *_difference(each))
        for name, each in (
            ("AUC", found["auc"]),
            ("macro-F1", found["macro_f1"]),
            ("ECE (smaller is better)", found["ece"]),
            *((f"AUC, {name}", each) for name, each in found["by_group"].items()),
        )
    ]
    changes = found["changes"]
    return "\n".join(
        [
            f"old {found['old']}, new {found['new']}: {found['n']} items judged by both, "
            f"{found['only_old']} only by the old, {found['only_new']} only by the new",
            *_aligned(table),
            f"Decisions: both right {changes['both_right']}, both wrong {changes['both_wrong']}, "
            f"put right {changes['put_right']}, put wrong {changes['put_wrong']} "
            f"(p = {changes['p']:.3g})",
            found["conclusion"],
        ]
    )


def _difference(each: Difference) -> tuple[str, str, str, str]:
    less, interval = each["difference"], each["interval"]
    return (
        _plain(each["old"]),
        _plain(each["new"]),
        "-" if less is None else f"{less:+.3f}",
        "-" if interval is None else f"{interval[0]:+.3f} to {interval[1]:+.3f}",
    )


def _plain(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.3f}"


def _aligned(table: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield the rows in columns: the first to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        first, *rest = (
            cell.ljust(width) if place == 0 or not _is_number(table, place) else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join([first, *rest]).rstrip()


def _is_number(table: Sequence[tuple[str, ...]], place: int) -> bool:
    return all(row[place].strip()[:1] in set("0123456789+-") for row in table[1:])
