"""Measures how faithful a model's evidence is and writes it into its folder.

    python -m inference_worker.training.faithful --model DIR --manifest CSV [--sample 40] [--seed 0]

It takes seconds for each item. Use content of sources the model was not trained on.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from inference_worker.decoding.decoder import Decoder
from inference_worker.errors import Undecodable
from inference_worker.faithfulness import Faithfulness, measure, sentence
from inference_worker.manifests import Labelled, read
from inference_worker.registry import MANIFEST, ModelFolder, build
from inference_worker.training.packaging import seal
from inference_worker.types import Content, Passage

CARD = "model-card.md"
HEADING = "## Faithfulness of the evidence"


def sampled(items: Sequence[Labelled], count: int, seed: int) -> list[Labelled]:
    """Draw `count` items, half of each label as far as there are so many."""
    rng = random.Random(seed)
    shuffled = rng.sample(items, len(items))
    halves = [[item for item in shuffled if item.label == label] for label in (1, 0)]
    taken = [half[: -(-count // 2)] for half in halves]
    return [item for half in taken for item in half][:count]


def contents(folder: ModelFolder, items: Sequence[Labelled]) -> Iterator[Content]:
    """Decode as the worker does; what cannot be read is left out. Prints how far it is."""
    decoder = Decoder(slots=1) if any(item.path for item in items) else None
    try:
        for done, item in enumerate(items, 1):
            if item.text is not None:
                yield Passage(item.text, item.language or None)
            elif item.path is not None and decoder is not None:
                try:
                    yield decoder.decode(item.path, folder.modality)
                except Undecodable as refused:
                    print(f"\n{item.path.name}: {refused}")
            print(f"\r{done} / {len(items)}", end="", flush=True)
    finally:
        print()
        if decoder is not None:
            decoder.close()


def write(folder: Path, found: Faithfulness) -> ModelFolder:
    """Write the figures into the manifest's `training` and the card, and seal the folder again."""
    stated = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    stated.pop("files")
    stated["training"]["faithfulness"] = found
    card = folder / CARD
    kept = re.sub(
        rf"\n*{HEADING}\n.*?(?=\n## |\Z)", "", card.read_text(encoding="utf-8"), flags=re.S
    )
    card.write_text(f"{kept.rstrip()}\n\n{HEADING}\n\n{sentence(found)}\n", encoding="utf-8")
    return seal(folder, stated)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, type=Path, help="a sealed model folder")
    parser.add_argument("--manifest", required=True, type=Path, help="csv or csv.gz")
    parser.add_argument("--sample", type=int, default=40, help="items, half of each label")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    folder = ModelFolder.load(given.model)
    items = sampled(read(given.manifest), given.sample, given.seed)
    found = measure(build(folder), contents(folder, items), seed=given.seed)
    write(given.model, found)
    print(sentence(found))


if __name__ == "__main__":
    main()
