"""Each detector by itself: prepare, forward and interpret beside the bare model on its windows.

Then what each number format is worth, and 8-bit weights, which are not shipped (docs/adr/010).
"""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from django.conf import settings

from inference_worker.decoding.limits import Limits
from inference_worker.decoding.reading import read
from inference_worker.detectors.device import as_floats, choose_device
from inference_worker.registry import ModelFolder, Registry, load_models
from inference_worker.types import Content, Detector, Modality, Passage, Prepared, Window
from tests.bench import texts
from tests.bench.report import Line, beside_floor

SAMPLES = Path("kilinda/demo/samples")
TEXTS, PICTURES, SOUNDS = 128, 8, 8
ROUNDS = 3

Batch = dict[str, torch.Tensor]


def measure() -> list[Line]:
    """Return for each installed model its speed, and what bfloat16 and 8 bits change."""
    registry: Registry = load_models(Path(settings.KILINDA_MODELS))
    device = choose_device().type
    return [
        line for folder, detector in registry.entries for line in _lines(folder, detector, device)
    ]


def _lines(folder: ModelFolder, detector: Detector, device: str) -> Iterator[Line]:
    detector.warm_up()
    offered = [(content, detector.prepare(content)) for content in _contents(folder.modality)]
    judged = [(content, found) for content, found in offered if isinstance(found, Prepared)]
    assert len(judged) > len(offered) / 2, f"{folder} abstains from the samples"
    contents = [content for content, _ in judged]
    windows = [window for _, found in judged for window in found.windows]
    name = folder.name.replace("-", "_")
    module = _module_in(detector)
    batches = _batches_of(detector, module, windows) if module else []
    if module is None or not batches:  # judges without a model, or by one within prepare()
        yield Line(f"{name}_{device}", _judged(detector, contents), "items/s")
        return
    yield beside_floor(
        f"{name}_{device}",
        "items/s",
        lambda: _judged(detector, contents),
        lambda: len(contents) / _seconds(module, batches),
        goal=None,
        rounds=ROUNDS,
    )
    yield from _formats(name, device, module, batches, len(windows))


def _contents(modality: Modality) -> list[Content]:
    if modality == Modality.TEXT:
        return [Passage(text, "en") for text in texts.made_texts()[:TEXTS]]
    file, count = ("landscape.jpg", PICTURES), ("computer-voice-sw.ogg", SOUNDS)
    name, number = file if modality == Modality.IMAGE else count
    with (SAMPLES / name).open("rb") as stream:
        return [read(stream, modality, Limits())] * number


# --- The product ---------------------------------------------------------------------------------


def _judged(detector: Detector, contents: Sequence[Content]) -> float:
    """Prepare, run and interpret all contents, as the runtime does; return items a second."""
    began = time.perf_counter()
    prepared = [detector.prepare(content) for content in contents]
    items = [each for each in prepared if isinstance(each, Prepared)]
    windows = [window for each in items for window in each.windows]
    order = sorted(range(len(windows)), key=lambda place: windows[place].length)
    rows: list[Any] = [None] * len(windows)
    for start in range(0, len(order), detector.batch_size):
        places = order[start : start + detector.batch_size]
        for place, row in zip(places, detector.forward([windows[p] for p in places]), strict=True):
            rows[place] = row
    start = 0
    for each in items:
        detector.interpret(each, np.array(rows[start : start + len(each.windows)], np.float32))
        start += len(each.windows)
    return len(contents) / (time.perf_counter() - began)


# --- The floor -----------------------------------------------------------------------------------


def _module_in(part: object, depth: int = 2) -> torch.nn.Module | None:
    """Find the network that a detector holds; None when it has none."""
    if isinstance(part, torch.nn.Module):
        return part
    if depth == 0 or not hasattr(part, "__dict__"):
        return None
    found = (_module_in(each, depth - 1) for each in vars(part).values())
    return next((module for module in found if module is not None), None)


def _batches_of(
    detector: Detector, module: torch.nn.Module, windows: Sequence[Window]
) -> list[Batch]:
    """Return the tensors that the model gets for these windows, batch by batch."""
    seen: list[Batch] = []

    def note(model: torch.nn.Module, args: tuple[Any, ...], named: Batch) -> None:
        seen.append(dict(named))

    hook = module.register_forward_pre_hook(note, with_kwargs=True)
    ordered = sorted(windows, key=lambda window: window.length)
    for start in range(0, len(ordered), detector.batch_size):
        detector.forward(ordered[start : start + detector.batch_size])
    hook.remove()
    return seen


@torch.inference_mode()
def _seconds(module: Any, batches: Sequence[Batch]) -> float:
    """Return how long the bare model takes for all batches, which lie on its device."""
    began = time.perf_counter()
    for batch in batches:
        module(**batch).logits.cpu()
    return time.perf_counter() - began


# --- Number formats ------------------------------------------------------------------------------


def _formats(
    name: str, device: str, module: Any, batches: Sequence[Batch], windows: int
) -> Iterator[Line]:
    """Compare bfloat16 and dynamic 8-bit weights with float32, in speed and in probabilities."""
    whole = copy.deepcopy(module).to(torch.float32)
    half = copy.deepcopy(whole).to(torch.bfloat16)
    yield _against(f"{name}_bf16_{device}", half, torch.bfloat16, whole, batches, windows)
    if device == "cpu" and any(isinstance(part, torch.nn.Linear) for part in whole.modules()):
        eighth = _in_eight_bits(whole)
        yield _against(f"{name}_int8_cpu", eighth, torch.float32, whole, batches, windows)


def _in_eight_bits(whole: torch.nn.Module) -> torch.nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its successor is a package of its own
        made: torch.nn.Module = torch.ao.quantization.quantize_dynamic(
            copy.deepcopy(whole), {torch.nn.Linear}, dtype=torch.qint8
        )
    return made


def _against(
    name: str,
    other: Any,
    dtype: torch.dtype,
    whole: Any,
    batches: Sequence[Batch],
    windows: int,
) -> Line:
    theirs = [as_floats(batch, dtype) for batch in batches]
    ours = [as_floats(batch, torch.float32) for batch in batches]
    apart = float((_chances(other, theirs) - _chances(whole, ours)).abs().max())
    return beside_floor(
        name,
        f"windows/s; probabilities differ by {apart:.4f} at most",
        lambda: windows / _seconds(other, theirs),
        lambda: windows / _seconds(whole, ours),
        goal=None,
        rounds=ROUNDS,
    )


@torch.inference_mode()
def _chances(module: Any, batches: Sequence[Batch]) -> torch.Tensor:
    """Return the uncalibrated probability of each class, shape (windows, classes)."""
    return torch.cat([module(**batch).logits.float().softmax(dim=1).cpu() for batch in batches])
