"""Trains the detector of altered pictures: `python -m inference_worker.training.manipulation`.

The network that finds foreign parts learns from forgeries made here of photographs in image/;
everything in forgery/, and the photographs it was made of, is only measured on. The head that makes
one score of both kinds of evidence is fitted to forgery/, each picture judged by a head without it.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from torch import nn
from tqdm import tqdm  # type: ignore[import-untyped]
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from inference_worker.detectors.device import choose_device
from inference_worker.detectors.duplicates import find_duplicate, traits_of
from inference_worker.detectors.inconsistency import CELL, CHANNELS, cell_statistics
from inference_worker.detectors.manipulation import (
    FRONT_END,
    GRID,
    foreign_map,
    grey_of,
    on_grid,
    summary_of,
    working_size,
)
from inference_worker.detectors.network import Statistics
from inference_worker.training.forgeries import forge
from inference_worker.training.manipulation_report import RESERVED_KIND, Judged, Overlap, publish
from inference_worker.training.reports import fingerprint, parse_options

Floats = npt.NDArray[np.float32]

FORGERIES = 1600
VALIDATION_SHARE = 0.1
"""Of the photographs; what is made of them says when to stop."""
EPOCHS = 4
PATIENCE = 2
"""Epochs without a better validation loss after which training stops."""
BATCH = 16
LEARNING_RATE = 2e-3
ALTERED_WEIGHT = 4.0
"""Of an altered place in the loss: they are one in thirty."""
PATCH = 2
"""Cells along each side of one place in the network's map."""
FOLDS = 10
RESERVED = 3
"""Every so many-th portrait is kept to count false alarms on."""
JUDGED = 3
"""Of the reserved photographs, how many-th is judged."""


def build() -> SegformerForSemanticSegmentation:
    """Return a SegFormer of two stages over CHANNELS statistics a cell."""
    return SegformerForSemanticSegmentation(
        SegformerConfig(
            num_channels=CHANNELS,
            num_encoder_blocks=2,
            depths=[2, 2],
            sr_ratios=[2, 1],
            hidden_sizes=[48, 96],
            patch_sizes=[3, 3],
            strides=[PATCH, 2],
            num_attention_heads=[1, 2],
            mlp_ratios=[2, 2],
            decoder_hidden_size=48,
            drop_path_rate=0.1,
            num_labels=2,  # type: ignore[call-arg]
        )
    )


@dataclass(frozen=True, slots=True)
class Photographs:
    """Real pictures: those learned from, those that say when to stop, those only judged."""

    learned: list[Path]
    validating: list[Path]
    reserved: list[Path]


def photographs(data: Path) -> Photographs:
    """Deal out the real pictures of image/; what forgery/ was made of is reserved."""
    with (data / "forgery" / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        bases = {row["base_image"].rpartition("/")[2] for row in csv.DictReader(stream)}
    with (data / "image" / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        real = [row for row in csv.DictReader(stream) if row["label"] == "real"]
    reserved: list[Path] = []
    others: list[Path] = []
    for number, row in enumerate(real):
        is_base = row["url"].rpartition(":")[2].rpartition("/")[2] in bases
        is_kept = row["content"] == "face" and number % RESERVED == 0
        (reserved if is_base or is_kept else others).append(data / "image" / row["file"])
    every = round(1 / VALIDATION_SHARE)
    validating = others[::every]
    return Photographs([p for p in others if p not in set(validating)], validating, reserved)


def made(paths: Sequence[Path], seed: int) -> tuple[npt.NDArray[np.float16], Floats]:
    """Make one forgery; return its statistics, and which share of each place was pasted."""
    rng = np.random.default_rng(seed)
    photo, donor = (_opened(paths[n]) for n in rng.choice(len(paths), 2, replace=False))
    forgery = forge(photo, donor, rng)
    side = CELL * PATCH
    rows, columns = (length // side for length in forgery.pasted.shape)
    squares = forgery.pasted[: rows * side, : columns * side].reshape(rows, side, columns, side)
    share = squares.mean(axis=(1, 3), dtype=np.float32)
    return cell_statistics(forgery.pixels).astype(np.float16), share


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        return picture.convert("RGB")


def _many(paths: Sequence[Path], seeds: range) -> tuple[npt.NDArray[np.float16], Floats]:
    with ProcessPoolExecutor(2) as pool:
        each = pool.map(partial(made, paths), seeds, chunksize=16)
        done = list(tqdm(each, total=len(seeds), desc="Making forgeries"))
    return np.stack([cells for cells, _ in done]), np.stack([share for _, share in done])


def fit(photos: Photographs, seed: int) -> tuple[SegformerForSemanticSegmentation, Statistics]:
    """Train until forgeries made of the validating photographs are judged no better."""
    torch.manual_seed(seed)
    offset = seed * 1_000_000
    cells, shares = _many(photos.learned, range(offset, offset + FORGERIES))
    extra = range(offset + FORGERIES, offset + FORGERIES + FORGERIES // 10)
    check_cells, check_shares = _many(photos.validating, extra)
    sampled = cells[::4].astype(np.float32)
    scale = Statistics(FRONT_END, sampled.mean(axis=(0, 2, 3)), sampled.std(axis=(0, 2, 3)) + 1e-5)
    device = choose_device()
    model = build()
    model.to(device)  # type: ignore[arg-type]
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.05)
    steps = EPOCHS * -(-len(cells) // BATCH)
    pace = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
    best, best_weights, since = np.inf, model.state_dict(), 0
    for epoch in range(EPOCHS):
        model.train()
        for places in tqdm(
            torch.split(torch.randperm(len(cells)), BATCH), desc=f"Epoch {epoch + 1}"
        ):
            inputs, wanted = _turned(scale, cells[places.numpy()], shares[places.numpy()])
            loss = _loss(model, inputs.to(device), wanted.to(device))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            pace.step()
        checked = _checked(model, scale, check_cells, check_shares)
        print(f"  epoch {epoch + 1}: validation loss {checked:.4f}", flush=True)
        since += 1
        if checked < best:
            best, since = checked, 0
            best_weights = {name: value.clone() for name, value in model.state_dict().items()}
        if since >= PATIENCE:
            break
    model.load_state_dict(best_weights)
    model.eval()  # type: ignore[no-untyped-call]
    return model.cpu(), scale


def _standardised(scale: Statistics, cells: npt.NDArray[np.float16]) -> torch.Tensor:
    by_cell = np.moveaxis(cells.astype(np.float32), 1, -1)
    return torch.from_numpy(np.moveaxis(scale.standardised(by_cell), -1, 1).copy())


def _turned(
    scale: Statistics, cells: npt.NDArray[np.float16], shares: Floats
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a batch, mirrored at random, with noise against learning it by heart."""
    inputs, wanted = _standardised(scale, cells), torch.from_numpy(shares)
    for axis in (-1, -2):
        if torch.rand(()) < 0.5:
            inputs, wanted = inputs.flip(axis), wanted.flip(axis)
    return inputs + 0.1 * torch.randn_like(inputs), wanted


def _loss(
    model: SegformerForSemanticSegmentation, inputs: torch.Tensor, wanted: torch.Tensor
) -> torch.Tensor:
    """Return cross-entropy plus the Dice loss of the pictures that were altered."""
    scores: torch.Tensor = model(pixel_values=inputs).logits
    odds = scores[:, 1] - scores[:, 0]
    entropy = nn.functional.binary_cross_entropy_with_logits(
        odds, wanted, pos_weight=torch.tensor(ALTERED_WEIGHT, device=odds.device)
    )
    found, area = torch.sigmoid(odds), wanted.sum(dim=(1, 2))
    overlap = 2 * (found * wanted).sum(dim=(1, 2)) / (found.sum(dim=(1, 2)) + area + 1)
    altered = (area > 0).float()
    return entropy + 0.3 * (altered * (1 - overlap)).sum() / (altered.sum() + 1)


@torch.inference_mode()
def _checked(
    model: SegformerForSemanticSegmentation,
    scale: Statistics,
    cells: npt.NDArray[np.float16],
    shares: Floats,
) -> float:
    model.eval()  # type: ignore[no-untyped-call]
    device = next(model.parameters()).device
    losses = [
        _loss(
            model,
            _standardised(scale, cells[at : at + BATCH]).to(device),
            torch.from_numpy(shares[at : at + BATCH]).to(device),
        ).item()
        for at in range(0, len(cells), BATCH)
    ]
    return float(np.mean(losses))


@dataclass(frozen=True, slots=True)
class Example:
    """A picture that is only judged."""

    path: Path
    kind: str
    """authentic, copy_move, splice, or RESERVED_KIND for a photograph of image/."""
    mask: Path | None = None


def examples(data: Path, photos: Photographs) -> list[Example]:
    """Return the pictures of forgery/ and the reserved photographs."""
    folder = data / "forgery"
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    forged = [
        Example(folder / r["file"], r["label"], folder / r["mask"] if r["mask"] else None)
        for r in rows
    ]
    return forged + [Example(path, RESERVED_KIND) for path in photos.reserved[::JUDGED]]


def judge(model: Any, scale: Statistics, example: Example) -> Judged:
    """Return the evidence in one picture, and how well it lies where the alteration is."""
    pixels = working_size(np.asarray(_opened(example.path), np.uint8))
    by_cell = np.moveaxis(cell_statistics(pixels), 0, -1)
    cells = np.ascontiguousarray(np.moveaxis(scale.standardised(by_cell), -1, 0))
    foreign, found = foreign_map(model, cells), find_duplicate(grey_of(pixels))
    evidence = np.concatenate([summary_of(foreign), traits_of(found)])
    if example.mask is None:
        return Judged(example.kind, evidence, ())
    with Image.open(example.mask) as picture:
        true = on_grid(np.asarray(picture.convert("L"), np.float32) / 255) >= 0.5
    guesses = {"foreign": on_grid(foreign) > 0}
    if found is not None:
        areas = [on_grid(area) >= 0.5 for area in (found.area, found.twin)]
        guesses["copied"] = max(areas, key=lambda area: int((area & true).sum()))
    empty = np.zeros((GRID, GRID), bool)
    overlaps = (Overlap.of(kind, guesses.get(kind, empty), true) for kind in ("foreign", "copied"))
    return Judged(example.kind, evidence, tuple(overlaps))


def left_out_log_odds(evidence: Floats, labels: npt.NDArray[np.int64]) -> Floats:
    """Return each picture's log odds by a head fitted without its fold, shape (n,)."""
    fold = np.random.default_rng(0).permutation(len(labels)) % FOLDS
    odds = np.zeros(len(labels), np.float32)
    for number in range(FOLDS):
        head = fit_head(evidence[fold != number], labels[fold != number])
        odds[fold == number] = head.decision_function(evidence[fold == number])
    return odds


def fit_head(evidence: Floats, labels: npt.NDArray[np.int64]) -> LogisticRegression:
    """Fit the logistic head, both classes counting alike."""
    return LogisticRegression(C=1.0, class_weight="balanced", max_iter=1000).fit(evidence, labels)


def train(data: Path, out: Path, seed: int) -> None:
    """Train the network, judge what it never saw, fit the head, and write the model folder."""
    photos = photographs(data)
    print(f"{len(photos.learned)} photographs to learn from, {len(photos.reserved)} reserved")
    model, scale = fit(photos, seed)
    each = examples(data, photos)
    judged = [judge(model, scale, one) for one in tqdm(each, desc="Judging")]
    forged = np.array([one.kind != RESERVED_KIND for one in judged])
    evidence = np.stack([one.evidence for one in judged])
    labels = np.array([int(one.is_altered) for one in judged])
    head = fit_head(evidence[forged], labels[forged])
    odds = np.asarray(head.decision_function(evidence), np.float32)
    odds[forged] = left_out_log_odds(evidence[forged], labels[forged])
    learned = fingerprint(data / "image" / "manifest.csv", photos.learned + photos.validating)
    measured_on = fingerprint(data / "forgery" / "manifest.csv", (one.path for one in each))
    training = {
        "seed": seed,
        "forgeries": FORGERIES,
        "learned_from": {"photographs": len(photos.learned) + len(photos.validating), **learned},
        "measured_on": measured_on,
    }
    print(f"Wrote {publish(out, model, scale, head, judged, odds, training)}")


def main() -> None:
    """Parse the options and train."""
    options = parse_options(__doc__)
    cv2.setNumThreads(1)
    train(options.data, options.out, options.seed)


if __name__ == "__main__":
    main()
