"""The figures of the abuse detector: calibration, left-out sources, behaviour, the model card."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference_worker.calibration import Calibration, stated_of
from inference_worker.detectors.text import TextDetector
from inference_worker.evaluation import Report, evaluate, table
from inference_worker.figures import Tally, auc, macro_f1
from inference_worker.registry import ModelFolder
from inference_worker.training import functional
from inference_worker.training.calibrating import choose
from inference_worker.training.text_card import CARD
from inference_worker.training.text_data import ABUSIVE, LABELS, UNTOLD, Example
from inference_worker.training.text_fitting import Floats, log_odds
from inference_worker.types import Abstention, Passage, Score

FIGURES = "measured.json"
UNSEEN, RESERVED, FUNCTIONAL = "unseen_sources", "reserved_texts_of_seen_sources", "functional"

Predicted = tuple[Sequence[Example], Floats]
"""Texts and the logits a model gives them, shape (n, labels)."""


def mean_auc(parts: Sequence[tuple[Sequence[Example], Floats]]) -> float:
    """Return the mean AUC over all sources in `parts`: texts with their log odds, shape (n,)."""
    by_source: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for examples, odds in parts:
        for example, value in zip(examples, odds.tolist(), strict=True):
            by_source[example.source].append((example.label, value))
    areas = [auc(Tally.of(*zip(*items, strict=True))) for items in by_source.values()]
    return float(np.mean([area for area in areas if area is not None]))


def figures(unseen: Predicted, reserved: Predicted) -> dict[str, Any]:
    """Calibrate on the left-out sources; return everything that is measured, and print it."""
    examples, scores = unseen
    odds = log_odds(scores)
    chosen = choose(
        odds, [e.label for e in examples], [e.source for e in examples], _alike(examples)
    )
    threshold = _best_threshold(examples, _probabilities(chosen.calibration, odds))
    reports = {
        name: _report(known, _probabilities(chosen.calibration, log_odds(found)), threshold)
        for name, (known, found) in ((UNSEEN, unseen), (RESERVED, reserved))
    }
    return {
        "calibration": stated_of(chosen.calibration),
        "threshold": threshold,
        "metrics": reports,
        "training": {"calibration": chosen.stated(), "kinds": kinds_right(*unseen)},
    }


def _alike(examples: Sequence[Example]) -> npt.NDArray[np.float64]:
    """Let every source count alike, with as much abuse as it holds."""
    sizes = Counter(e.source for e in examples)
    return np.array([1 / sizes[e.source] for e in examples])


def _probabilities(calibration: Calibration, odds: Floats) -> list[float]:
    return [calibration.probability(value) for value in odds.tolist()]


def _best_threshold(examples: Sequence[Example], probabilities: Sequence[float]) -> float:
    """Return the probability with the best macro-F1, averaged over the sources."""
    by_source: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for example, probability in zip(examples, probabilities, strict=True):
        by_source[example.source].append((example.label, probability))
    tallies = [Tally.of(*zip(*items, strict=True)) for items in by_source.values()]

    def mean_f1(threshold: float) -> float:
        return float(np.mean([macro_f1(tally, threshold) or 0.0 for tally in tallies]))

    return float(max(np.arange(0.1, 0.91, 0.02), key=mean_f1).round(2))


def _report(
    examples: Sequence[Example], probabilities: Sequence[float], threshold: float
) -> Report:
    measured = evaluate(
        [e.label for e in examples],
        probabilities,
        [e.source for e in examples],
        [e.language for e in examples],
        [False] * len(examples),
        threshold=threshold,
    )
    print(table(measured), flush=True)
    return measured


def kinds_right(examples: Sequence[Example], scores: Floats) -> dict[str, Any]:
    """Return how often the likelier kind of an abusive text is the one its source names."""
    told = np.array([e.kind != UNTOLD for e in examples])
    kinds = np.array([e.kind for e in examples])[told]
    called = scores[told, 1:].argmax(axis=1) + 1
    recalls = {
        name: float((called[kinds == place] == place).mean())
        for place, name in enumerate(LABELS)
        if name in ABUSIVE and (kinds == place).any()
    }
    return {"n": int(told.sum()), "recall": {k: round(v, 3) for k, v in recalls.items()}}


def behaviour(folder: ModelFolder) -> dict[str, Report]:
    """Run the functional tests through the detector as it is shipped, and print the figures."""
    detector = TextDetector(folder)
    cases = functional.cases()
    found = [probability(detector, case.text, case.language) for case in cases]
    measured = evaluate(
        [int(case.is_abusive) for case in cases],
        found,
        ["functional tests"] * len(cases),
        [case.language for case in cases],
        [each is None for each in found],
        conditions=[f"{case.functionality} ({case.language})" for case in cases],
        threshold=folder.threshold,
    )
    print(table(measured), flush=True)
    return {FUNCTIONAL: measured}


def probability(detector: TextDetector, text: str, language: str | None = None) -> float | None:
    """Return the calibrated probability of one text; None when the detector declines it."""
    prepared = detector.prepare(Passage(text, language))
    if isinstance(prepared, Abstention):
        return None
    score = detector.interpret(prepared, detector.forward(prepared.windows))
    assert isinstance(score, Score)
    return score.probability


def write_card(
    out: Path, version: str, found: Mapping[str, Any], licences: Mapping[str, str]
) -> None:
    """Write model-card.md from the figures."""
    metrics = found["metrics"]
    kinds = found["training"]["kinds"]
    card = CARD.format(
        version=version,
        threshold=found["threshold"],
        calibration=found["training"]["calibration"]["form"],
        unseen=table(metrics[UNSEEN]),
        seen=table(metrics[RESERVED]),
        levels=_levels(metrics[UNSEEN]),
        functional=_functional(metrics[FUNCTIONAL]) if FUNCTIONAL in metrics else "",
        gate=_gate(found["training"]["language_gate"]),
        kinds_n=kinds["n"],
        kinds=", ".join(f"{name} {share:.0%}" for name, share in kinds["recall"].items()),
        sources="\n".join(f"- {name}: {licence}" for name, licence in sorted(licences.items())),
    )
    (out / "model-card.md").write_text(card, encoding="utf-8")


def _gate(declined: Mapping[str, Mapping[str, float]]) -> str:
    lines = ["| language | texts | declined |", "|---|---|---|"]
    lines += [f"| {name} | {row['n']} | {row['declined']:.1%} |" for name, row in declined.items()]
    return "\n".join(lines)


def _levels(report: Mapping[str, Any]) -> str:
    lines = ["| from | called | right | recall |", "|---|---|---|---|"]
    for level in report["levels"]:
        right = "-" if level["precision"] is None else f"{level['precision']:.1%}"
        recall = "-" if level["recall"] is None else f"{level['recall']:.1%}"
        lines.append(f"| {level['from']:.2f} | {level['alarms']} | {right} | {recall} |")
    return "\n".join(lines)


def _functional(report: Mapping[str, Any]) -> str:
    rows = report["by_condition"]
    lines = ["| functionality | sentences | right |", "|---|---|---|"]
    lines += [f"| {name} | {row['n']} | {_share(row)} |" for name, row in rows.items()]
    shares = [row["accuracy"] for row in rows.values() if row["accuracy"] is not None]
    lines.append(f"| **mean over functionalities** | {report['n']} | {np.mean(shares):.0%} |")
    lines.append(f"| **all sentences** | {report['n']} | {_share(report)} |")
    return "\n".join(lines)


def _share(row: Mapping[str, Any]) -> str:
    return "-" if row["accuracy"] is None else f"{row['accuracy']:.0%}"
