"""Trains the machine-text detector: `python -m inference_worker.training.machine_text --data DIR`.

Measured on whole domains (news, fiction, manuals) that the measured model never saw. The shipped
model then learns from all of them.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import pydoc_data.topics
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import ConvNextConfig, ConvNextForImageClassification

from inference_worker.calibration import Calibration, stated_of
from inference_worker.detectors.image import model_input
from inference_worker.detectors.machine_text import FRONT_END, STRETCH
from inference_worker.detectors.network import Features, Statistics
from inference_worker.detectors.stylometry import STATISTICS, WORD, style_statistics
from inference_worker.evaluation import Report, evaluate, table
from inference_worker.registry import sha256
from inference_worker.training.calibrating import choose, even_weights
from inference_worker.training.machine_text_card import CARD
from inference_worker.training.packaging import code_commit, seal

VERSION = "1.0.0"
LABELS = ("human", "machine_text")
CHAT = "gpt-3.5-turbo"
"""The only model at hand of the kind that people use. The others (GPT-2, GPT-J, ...) continue a
text without being told what to write, and ramble; learnt together, both kinds are found worse (the
mean AUC on left-out domains fell from .96 to about .83). So these are only measured."""
MANUALS = "manuals"
"""The domain of PROSE: dry technical prose by people, which is where a machine is wrongly seen."""
LENGTHS = (150, 100, 60)
"""Words to which the texts are cut: one view each. The gate is the shortest."""
SHORTER = (40, 25)
"""Measured too, to show where the gate must be."""
GATES = {"min_words": 60, "least_function_words": 0.25, "max_characters": 20_000}
HIDDEN, EPOCHS, BATCH, RATE, DECAY = 64, 20, 128, 1e-3, 0.5
NOISE, HIDDEN_SHARE = 0.5, 0.2
"""Noise in standard deviations and share of statistics hidden, against learning texts by heart."""
MOST_FALSE_ALARMS, WANTED_PRECISION = 0.01, 0.95
"""At the threshold: of any domain's human texts, and were both classes equally frequent."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts as numbers; n texts, one view for each of LENGTHS + SHORTER."""

    views: Features
    """Shape (n, views, STATISTICS)."""
    labels: npt.NDArray[np.int64]
    """1 for machines."""
    domains: npt.NDArray[np.str_]
    authors: npt.NDArray[np.str_]
    """The language model, or human."""

    def where(self, chosen: npt.NDArray[np.bool_]) -> Texts:
        """Return the chosen texts only."""
        return Texts(
            self.views[chosen], self.labels[chosen], self.domains[chosen], self.authors[chosen]
        )


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained model with the scale of its inputs."""

    model: Any
    statistics: Statistics

    @torch.inference_mode()
    def log_odds(self, values: Features) -> npt.NDArray[np.float64]:
        """Return the log odds of a machine for statistics of shape (n, STATISTICS)."""
        inputs = torch.from_numpy(model_input(self.statistics.standardised(values)))
        scores = self.model(inputs).logits.double().numpy()
        return np.asarray(scores[:, 1] - scores[:, 0])


def read(path: Path) -> Texts:
    """Read machine_text.csv.gz and PROSE, and compute the statistics of every view."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
        rows = [(row["text"], *row["label_fine"].split("/")) for row in csv.DictReader(stream)]
    rows += [(text, "human", MANUALS) for text in manuals()]
    began = time.monotonic()
    kept = [row for row in rows if len(WORD.findall(row[0])) >= GATES["min_words"]]
    views = np.stack([np.stack([style_statistics(v) for v in _views(text)]) for text, *_ in kept])
    print(f"{len(kept)} texts as numbers in {time.monotonic() - began:.0f} s", flush=True)
    authors = np.array([author for _, author, _ in kept])
    labels = (authors != "human").astype(np.int64)
    return Texts(views, labels, np.array([domain for *_, domain in kept]), authors)


def manuals() -> list[str]:
    """Return the prose of Python's language reference, in pieces of about STRETCH words."""
    paragraphs = (
        " ".join(paragraph.split())
        for topic in pydoc_data.topics.topics.values()
        for paragraph in re.split(r"\n\s*\n", topic)
    )
    prose = [p for p in paragraphs if p.endswith(".") and "::=" not in p and p.count(" ") > 12]
    pieces, piece = [], ""
    for paragraph in dict.fromkeys(prose):
        piece = f"{piece} {paragraph}".strip()
        if len(WORD.findall(piece)) >= STRETCH:
            pieces.append(piece)
            piece = ""
    return pieces


def _views(text: str) -> list[str]:
    ends = [match.end() for match in WORD.finditer(text)]
    return [text[: ends[min(n, len(ends)) - 1] + 1] for n in LENGTHS + SHORTER]


def build() -> Any:
    """Return a ConvNeXt over one pixel of STATISTICS channels: a residual perceptron."""
    return ConvNextForImageClassification(
        ConvNextConfig(
            num_channels=STATISTICS,
            patch_size=1,
            image_size=1,
            num_stages=1,
            hidden_sizes=[HIDDEN],
            depths=[1],
            layer_scale_init_value=0.5,
            drop_path_rate=0.0,
            id2label=dict(enumerate(LABELS)),
            label2id={name: place for place, name in enumerate(LABELS)},
        )
    )


def fit(texts: Texts, seed: int) -> Fitted:
    """Train a fresh model on random views of the texts."""
    torch.manual_seed(seed)
    learned = texts.views[:, : len(LENGTHS)]
    scale = Statistics(FRONT_END, learned.mean(axis=(0, 1)), learned.std(axis=(0, 1)) + 1e-5)
    views = torch.from_numpy(scale.standardised(learned))
    labels = torch.from_numpy(texts.labels)
    weights = torch.from_numpy(even_weights(texts.labels, texts.domains) * len(labels)).float()
    model = build()
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    steps = EPOCHS * -(-len(labels) // BATCH)
    pace = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    model.train()
    for _ in range(EPOCHS):
        for places in torch.split(torch.randperm(len(labels)), BATCH):
            shown = views[places, torch.randint(len(LENGTHS), (len(places),))]
            shown = shown + NOISE * torch.randn_like(shown)
            shown = torch.nn.functional.dropout(shown, HIDDEN_SHARE)
            scores = model(torch.from_numpy(model_input(shown.numpy()))).logits
            each = torch.nn.functional.cross_entropy(
                scores, labels[places], reduction="none", label_smoothing=0.05
            )
            optimiser.zero_grad()
            (each * weights[places]).mean().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            pace.step()
    return Fitted(model.eval(), scale)


def leave_domains_out(texts: Texts, seed: int) -> npt.NDArray[np.float64]:
    """Return the log odds of every view by a model that never saw its domain, (n, views).

    Only people and CHAT are learnt from; the other models are new to every run.
    """
    odds = np.zeros((len(texts.labels), len(LENGTHS + SHORTER)))
    for domain in np.unique(texts.domains):
        unseen = texts.domains == domain
        fitted = fit(texts.where(~unseen & _is_learnt(texts)), seed)
        for view in range(len(LENGTHS + SHORTER)):
            odds[unseen, view] = fitted.log_odds(texts.views[unseen, view])
    return odds


def _is_learnt(texts: Texts) -> npt.NDArray[np.bool_]:
    return np.asarray((texts.labels == 0) | (texts.authors == CHAT))


def careful_threshold(probabilities: npt.NDArray[np.float64], texts: Texts) -> float:
    """Return the lowest probability that keeps false alarms and precision as wanted."""
    weights = even_weights(texts.labels, texts.domains)
    for threshold in np.arange(0.5, 0.991, 0.01):
        called = probabilities >= threshold
        alarms = _alarms(called, texts).values()
        right = (weights * called * texts.labels).sum() / max((weights * called).sum(), 1e-9)
        if max(alarms) <= MOST_FALSE_ALARMS and right >= WANTED_PRECISION:
            return round(float(threshold), 2)
    return 0.99


def _alarms(called: npt.NDArray[np.bool_], texts: Texts) -> dict[str, float]:
    """Return which share of people's texts is called machine-written, by domain."""
    return {
        str(domain): float(called[(texts.labels == 0) & (texts.domains == domain)].mean())
        for domain in np.unique(texts.domains)
    }


def report(
    texts: Texts, odds: npt.NDArray[np.float64], calibration: Calibration, threshold: float
) -> Report:
    """Return the figures of log odds of shape (n, views), a condition for each length; print them.

    The figures of all texts together are those of the longest view.
    """
    n, (longest, *shorter) = len(texts.labels), LENGTHS + SHORTER

    def evaluated(views: Sequence[int], conditions: Sequence[str]) -> Report:
        return evaluate(
            texts.labels.tolist() * len(views),
            [calibration.probability(value) for view in views for value in odds[:, view].tolist()],
            texts.domains.tolist() * len(views),
            ["en"] * (n * len(views)),
            [False] * (n * len(views)),
            conditions=conditions,
            threshold=threshold,
        )

    measured = evaluated([0], [f"{longest} words"] * n)
    names = [f"{length} words" for length in shorter for _ in range(n)]
    by_length = evaluated(range(1, len(shorter) + 1), names)["by_condition"]
    measured["by_condition"] |= by_length
    print(table(measured), flush=True)
    return measured


def train(data: Path, out: Path, seed: int) -> None:
    """Measure on left-out domains, train on all, and write the model folder."""
    commit, path = code_commit(), data / "text" / "machine_text.csv.gz"
    texts = read(path)
    odds = leave_domains_out(texts, seed)
    learnt, known = texts.where(_is_learnt(texts)), odds[_is_learnt(texts)]
    weights = even_weights(learnt.labels, learnt.domains)
    chosen = choose(known[:, 0], learnt.labels, learnt.domains, weights)
    probabilities = _probabilities(chosen.calibration, known)
    threshold = careful_threshold(probabilities, learnt)
    fitted = fit(learnt, seed)
    out.mkdir(parents=True, exist_ok=True)
    fitted.model.save_pretrained(out)
    fitted.statistics.save(out)
    metrics = {"left_out": report(learnt, known, chosen.calibration, threshold)}
    training = {
        "files": {path.name: sha256(path)},
        "commit": commit,
        "seed": seed,
        "epochs": EPOCHS,
        "texts": len(learnt.labels),
        "calibration": chosen.stated(),
        "false_alarms": _rounded(_alarms(probabilities >= threshold, learnt)),
        "found": _rounded(_found(texts, odds, chosen.calibration, threshold)),
    }
    _write_card(out, metrics["left_out"], training, threshold)
    print(f"Wrote {seal(out, _stated(chosen.calibration, threshold, metrics, training))}")


def _probabilities(
    calibration: Calibration, odds: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the probabilities of the longest view, shape (n,)."""
    return np.array([calibration.probability(value) for value in odds[:, 0].tolist()])


def _found(
    texts: Texts, odds: npt.NDArray[np.float64], calibration: Calibration, threshold: float
) -> dict[str, float]:
    """Return, by language model, which share of its texts is found, in domains never seen."""
    called = _probabilities(calibration, odds) >= threshold
    authors = np.unique(texts.authors[texts.labels == 1])
    return {str(author): float(called[texts.authors == author].mean()) for author in authors}


def _rounded(shares: dict[str, float]) -> dict[str, float]:
    return {name: round(share, 4) for name, share in shares.items()}


def _write_card(out: Path, measured: Report, training: dict[str, Any], threshold: float) -> None:
    card = CARD.format(
        version=VERSION,
        threshold=threshold,
        domains=table(measured),
        statistics=STATISTICS,
        alarms="\n".join(f"- {k}: {v:.1%}" for k, v in training["false_alarms"].items()),
        found="\n".join(f"- {k}: {v:.1%}" for k, v in training["found"].items()),
        **GATES,
    )
    (out / "model-card.md").write_text(card, encoding="utf-8")


def _stated(
    calibration: Calibration, threshold: float, metrics: dict[str, Report], training: dict[str, Any]
) -> dict[str, Any]:
    return {
        "name": "machine-text",
        "version": VERSION,
        "task": "machine_text",
        "modality": "text",
        "detector": "machine_text",
        "labels": list(LABELS),
        "calibration": stated_of(calibration),
        "threshold": threshold,
        "languages": ["en"],
        "gates": GATES,
        "metrics": metrics,
        "training": training,
    }


def main() -> None:
    """Parse the options and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with text/*.csv.gz")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    train(options.data, options.out, options.seed)


if __name__ == "__main__":
    main()
