"""Altered pictures: a copy made here is found at its place, an untouched picture is not accused."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter
from transformers import AutoModelForSemanticSegmentation

import inference_worker
from inference_worker.decoding.limits import Limits
from inference_worker.decoding.pictures import read_picture
from inference_worker.detectors.duplicates import find_duplicate
from inference_worker.detectors.inconsistency import CHANNELS, cell_statistics
from inference_worker.detectors.manipulation import (
    GRID,
    MOST_SIDE,
    ManipulationDetector,
    grey_of,
    working_size,
)
from inference_worker.registry import ModelFolder
from inference_worker.types import Abstention, Picture, Score

FOLDER = Path(inference_worker.__file__).parent / "models" / "manipulated-image"
PART = (60, 80, 180, 180)
"""Left, top, right, bottom of what the tests copy, in pixels."""
PLACE = (280, 150)
"""Left and top of where it goes."""


@pytest.fixture(scope="module")
def detector() -> ManipulationDetector:
    return ManipulationDetector(ModelFolder.load(FOLDER))


def scenery(width: int = 480, height: int = 360, seed: int = 0) -> Image.Image:
    """Clouds of several sizes with a few hundred strokes and grain: no two places are alike."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for size, strength in ((4, 60), (14, 40), (50, 25)):
        coarse = Image.fromarray(rng.integers(0, 256, (size, size, 3), np.uint8))
        cloud = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32)
        total += (cloud - 128) * strength / 60
    picture = Image.fromarray(np.clip(total + 128, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(width * height // 500):
        x, y, dx, dy = rng.integers((0, 0, -14, -14), (width, height, 15, 15)).tolist()
        draw.line((x, y, x + dx, y + dy), tuple(rng.integers(0, 256, 3).tolist()), width=2)
    soft = np.asarray(picture.filter(ImageFilter.GaussianBlur(0.8)), np.float32)
    grain = rng.normal(0, 3, (height, width, 1))
    return Image.fromarray(np.clip(soft + grain, 0, 255).astype(np.uint8))


def with_copy(picture: Image.Image, *, turned: float = 0, scaled: float = 1) -> Image.Image:
    left, top, right, bottom = PART
    part = picture.crop(PART)
    size = (round((right - left) * scaled), round((bottom - top) * scaled))
    part = part.resize(size, Image.Resampling.BICUBIC)
    whole = Image.new("L", part.size, 255)
    part, whole = (each.rotate(turned, Image.Resampling.BICUBIC) for each in (part, whole))
    altered = picture.copy()
    altered.paste(part, PLACE, whole.point(lambda value: 255 if value > 250 else 0))
    return altered


def stored(picture: Image.Image, quality: int = 85) -> Picture:
    """Compress the picture and decode it as submitted files are."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return as_picture(Image.open(file))


def as_picture(picture: Image.Image) -> Picture:
    return Picture(np.array(picture.convert("RGB"), np.uint8), *picture.size)


def score_of(detector: ManipulationDetector, content: Picture) -> Score:
    prepared = detector.prepare(content)
    assert not isinstance(prepared, Abstention), prepared
    score = detector.interpret(prepared, detector.forward(prepared.windows))
    assert isinstance(score, Score)
    return score


def submitted(path: Path) -> Picture:
    """Decode a file as submitted ones are."""
    with path.open("rb") as file:
        return read_picture(file, Limits())


def share_inside(mask: np.ndarray, left: int, top: int, right: int, bottom: int) -> float:
    """Return which share of the mask lies in the box."""
    return float(mask[top:bottom, left:right].sum() / mask.sum())


@pytest.mark.parametrize(
    ("turned", "scaled", "quality"),
    [
        (0, 1.0, 95),
        (0, 1.0, 75),
        (20, 1.0, 90),
        (0, 1.25, 90),
        (-12, 0.8, 90),
    ],
)
def test_a_copied_part_is_found_at_both_its_places(turned, scaled, quality):
    altered = stored(with_copy(scenery(), turned=turned, scaled=scaled), quality)
    found = find_duplicate(grey_of(altered.pixels))
    assert found is not None
    masks = sorted((found.area, found.twin), key=lambda mask: np.argwhere(mask)[:, 1].mean())
    left, top, right, bottom = PART
    assert share_inside(masks[0], left - 12, top - 12, right + 12, bottom + 12) > 0.9
    right, bottom = (
        place + round(side * scaled) for place, side in zip(PLACE, (120, 100), strict=True)
    )
    assert share_inside(masks[1], PLACE[0] - 12, PLACE[1] - 12, right + 12, bottom + 12) > 0.9
    assert masks[0].sum() > 0.4 * 120 * 100
    assert found.likeness > 0.9
    factor = found.scaled if found.area is masks[0] else 1 / found.scaled
    assert factor == pytest.approx(scaled, abs=0.07)


@pytest.mark.parametrize("seed", range(4))
def test_no_copy_is_found_where_there_is_none(seed):
    found = find_duplicate(grey_of(stored(scenery(seed=seed)).pixels))
    assert found is None or found.matches < 4


def test_a_copied_part_reaches_the_threshold_and_an_untouched_picture_does_not(detector):
    altered, untouched = stored(with_copy(scenery())), stored(scenery())
    assert score_of(detector, altered).probability >= detector_threshold(detector)
    assert score_of(detector, untouched).probability < detector_threshold(detector)


def detector_threshold(detector: ManipulationDetector) -> float:
    return ModelFolder.load(FOLDER).threshold


def test_painting_over_one_of_the_areas_takes_the_accusation_back(detector):
    altered = stored(with_copy(scenery()))
    accused = score_of(detector, altered)
    left, top, right, bottom = PART
    altered.pixels[top:bottom, left:right] = altered.pixels.mean(axis=(0, 1)).astype(np.uint8)
    assert score_of(detector, altered).raw < accused.raw
    assert score_of(detector, altered).notes["copied"] is None


def test_the_score_names_both_areas(detector):
    notes = score_of(detector, stored(with_copy(scenery()))).notes["copied"]
    boxes = sorted((notes["from"], notes["to"]))
    assert boxes[0] == pytest.approx([60 / 480, 80 / 360, 180 / 480, 180 / 360], abs=0.07)
    assert boxes[1] == pytest.approx([280 / 480, 150 / 360, 400 / 480, 250 / 360], abs=0.07)
    assert notes["matches"] >= 10


def test_the_same_picture_always_scores_the_same(detector):
    altered = stored(with_copy(scenery(), turned=10))
    assert score_of(detector, altered) == score_of(detector, altered)


def screenshot(tmp_path: Path) -> Path:
    """A chat as phones show it: flat bubbles with letters, some of them the same."""
    page = Image.new("RGB", (720, 1280), (236, 229, 221))
    draw = ImageDraw.Draw(page)
    for row in range(9):
        top, left = 40 + row * 130, 30 + 200 * (row % 2)
        draw.rounded_rectangle((left, top, left + 460, top + 100), 16, (255, 255, 255))
        draw.text((left + 20, top + 20), "Polling station 14 opens at six", (20, 20, 20))
        draw.text((left + 20, top + 60), "Forwarded many times", (120, 120, 120))
    path = tmp_path / "chat.png"
    page.save(path)
    return path


def test_a_screenshot_of_a_chat_is_declined_as_a_graphic(detector, tmp_path):
    content = submitted(screenshot(tmp_path))
    declined = detector.prepare(content)
    assert isinstance(declined, Abstention)
    assert declined.code == "graphic"
    assert "60%" in declined.reason


@pytest.mark.parametrize(
    ("picture", "code", "limit"),
    [
        (scenery(127, 400), "too_small", "128"),
        (scenery(400, 100), "too_small", "128"),
        (Image.new("RGB", (400, 300), (90, 90, 90)), "blank", "."),
    ],
)
def test_what_cannot_be_judged_is_declined_with_the_limit(detector, tmp_path, picture, code, limit):
    path = tmp_path / "picture.jpg"
    picture.save(path, quality=92)
    declined = detector.prepare(submitted(path))
    assert isinstance(declined, Abstention)
    assert declined.code == code
    assert limit in declined.reason


def test_the_map_lies_over_both_areas(detector):
    altered = stored(with_copy(scenery()))
    shown = detector.explain(altered, score_of(detector, altered))
    assert shown.heat.shape == (GRID, GRID)
    assert shown.heat.min() >= 0
    assert shown.heat.max() <= 1
    copied = np.maximum(shown.details["copied_from"], shown.details["copied_to"])
    assert copied[8:15, 5:11].mean() > 0.6
    assert copied[14:21, 19:26].mean() > 0.6
    assert copied[25:, :].max() == 0
    assert shown.heat == pytest.approx(copied)


def test_a_huge_picture_is_looked_at_in_bounded_size():
    pixels = np.zeros((4000, 6000, 3), np.uint8)
    assert max(working_size(pixels).shape) == MOST_SIDE


def test_statistics_of_one_colour_are_finite():
    found = cell_statistics(np.zeros((135, 240, 3), np.uint8))
    assert found.shape == (CHANNELS, 16, 30)
    assert np.isfinite(found).all()


def test_the_bundled_network_loads_by_its_auto_class_and_is_small():
    model = AutoModelForSemanticSegmentation.from_pretrained(FOLDER, local_files_only=True)
    assert model.config.id2label[1] == "manipulated_image"
    assert (FOLDER / "model.safetensors").stat().st_size < 2_500_000
