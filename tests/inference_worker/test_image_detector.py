"""The image detector: what it declines, how it crops, and that the bundled model holds together."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from transformers import AutoModelForImageClassification

import inference_worker
from inference_worker.decoding.limits import Limits
from inference_worker.decoding.pictures import read_picture
from inference_worker.detectors.fine_texture import CROP, STATISTICS, texture_statistics
from inference_worker.detectors.image import MOST_SIDE, PLACES, ImageDetector, scaled_down
from inference_worker.registry import ModelFolder
from inference_worker.types import Abstention, Picture, Score

FOLDER = Path(inference_worker.__file__).parent / "models" / "synthetic-image"


@pytest.fixture(scope="module")
def detector() -> ImageDetector:
    return ImageDetector(ModelFolder.load(FOLDER))


def picture(width: int, height: int, seed: int = 0) -> Picture:
    """Soft clouds with some grain."""
    rng = np.random.default_rng(seed)
    clouds = Image.fromarray(rng.integers(0, 256, (6 + seed, 9, 3), np.uint8))
    pixels = np.asarray(clouds.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    grain = rng.integers(-6, 7, (min(height, 500), min(width, 500), 1), np.int16)
    tiles = (-(-height // grain.shape[0]), -(-width // grain.shape[1]), 1)
    pixels = np.clip(pixels + np.tile(grain, tiles)[:height, :width], 0, 255)
    return Picture(pixels.astype(np.uint8), width, height)


def flat(side: int, value: int) -> Picture:
    return Picture(np.full((side, side, 3), value, np.uint8), side, side)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (picture(95, 300), "too_small"),
        (picture(300, 40), "too_small"),
        (flat(300, 0), "blank"),
        (flat(1000, 255), "blank"),
    ],
)
def test_what_cannot_be_judged_is_declined_with_a_reason(detector, content, code):
    declined = detector.prepare(content)
    assert isinstance(declined, Abstention)
    assert declined.code == code
    assert declined.reason.endswith(".")


@pytest.mark.parametrize(
    ("width", "height", "crops"),
    [
        (96, 96, 1),  # mirrored up to a crop
        (256, 256, 1),
        (2000, 300, 1),  # a banner has no room for more
        (800, 600, len(PLACES)),
    ],
)
def test_the_number_of_crops_follows_the_size(detector, width, height, crops):
    assert len(detector.prepare(picture(width, height)).windows) == crops


@pytest.mark.parametrize(
    ("draw", "code", "limit"),
    [
        (lambda: Image.fromarray(picture(95, 300).pixels), "too_small", "96"),
        (lambda: Image.new("RGB", (640, 480), (10, 20, 30)), "blank", "one even colour"),
        (lambda: chat(), "graphic", "60%"),
    ],
)
def test_files_that_cannot_be_judged_are_declined_with_the_limit(
    detector, tmp_path, draw, code, limit
):
    path = tmp_path / "picture.png"
    draw().save(path)
    with path.open("rb") as file:
        declined = detector.prepare(read_picture(file, Limits()))
    assert isinstance(declined, Abstention)
    assert declined.code == code
    assert limit in declined.reason


def chat() -> Image.Image:
    """A chat as phones show it."""
    page = Image.new("RGB", (720, 1280), (236, 229, 221))
    pen = ImageDraw.Draw(page)
    for row in range(9):
        top, left = 40 + row * 130, 30 + 200 * (row % 2)
        pen.rounded_rectangle((left, top, left + 460, top + 100), 16, (255, 255, 255))
        pen.text((left + 20, top + 20), f"Polling station {row} opens at six", (20, 20, 20))
    return page


def test_a_big_picture_is_scaled_down_before_it_is_looked_at():
    pixels = np.zeros((3000, 4000, 3), np.uint8)
    assert scaled_down(pixels).shape == (MOST_SIDE, round(MOST_SIDE * 4 / 3), 3)
    small = np.zeros((300, 4000, 3), np.uint8)
    assert scaled_down(small) is small


def test_a_small_picture_is_judged_with_the_reliability_of_small_pictures(detector):
    prepared = detector.prepare(picture(150, 150))
    score = detector.interpret(prepared, detector.forward(prepared.windows))
    assert score.reliability is not None
    assert score.reliability.group == "condition:small"
    larger = detector.prepare(picture(300, 300))
    assert detector.interpret(larger, detector.forward(larger.windows)).reliability.group == "all"


def test_statistics_do_not_change_with_brightness_or_contrast():
    crop = picture(CROP, CROP).pixels.astype(np.float32)
    dimmed = np.rint(crop * 0.5 + 20).astype(np.uint8)
    before, after = (texture_statistics(each.astype(np.uint8)) for each in (crop, dimmed))
    counted = 2 * 125
    assert np.abs(before[:counted] - after[:counted]).mean() < 0.03


def test_blank_parts_of_a_big_picture_are_left_out(detector):
    content = picture(1000, 1000)
    content.pixels[:, 500:] = 255
    assert 1 <= len(detector.prepare(content).windows) < len(PLACES)


def test_a_big_picture_is_looked_at_in_a_bounded_number_of_crops(detector):
    prepared = detector.prepare(picture(6000, 4000))
    assert len(prepared.windows) == len(PLACES)
    assert all(window.features.shape == (STATISTICS,) for window in prepared.windows)


def test_a_batch_scores_like_its_crops_one_by_one(detector):
    windows = [w for seed in range(3) for w in detector.prepare(picture(700, 700, seed)).windows]
    together = detector.forward(windows)
    alone = np.concatenate([detector.forward([window]) for window in windows])
    assert len(set(together.round(3).tolist())) > 1
    spread = max(float(together.std()), 0.1)
    assert np.abs(together - alone).max() < 0.1 * spread + 0.02


def test_a_score_is_a_probability_with_notes(detector):
    prepared = detector.prepare(picture(700, 500))
    score = detector.interpret(prepared, detector.forward(prepared.windows))
    assert isinstance(score, Score)
    assert 0 <= score.probability <= 1
    assert score.notes["crops"] == len(prepared.windows)


def test_a_higher_logit_never_lowers_the_probability(detector):
    prepared = detector.prepare(picture(256, 256))
    claimed = [
        detector.interpret(prepared, np.array([logit], np.float32)).probability
        for logit in (-8, -1, 0, 1, 8)
    ]
    assert claimed == sorted(claimed)
    assert claimed[0] < 0.5 < claimed[-1]


def test_statistics_of_a_flat_crop_are_finite():
    assert np.isfinite(texture_statistics(np.zeros((CROP, CROP, 3), np.uint8))).all()


def test_the_bundled_model_loads_by_its_auto_class_and_is_small():
    model = AutoModelForImageClassification.from_pretrained(FOLDER, local_files_only=True)
    assert model.config.id2label[1] == "synthetic_image"
    assert (FOLDER / "model.safetensors").stat().st_size < 5_000_000


def test_the_bundled_model_beats_chance_on_every_generator_it_never_saw():
    groups = ModelFolder.load(FOLDER).metrics["left_out"]["by_source"]
    assert len(groups) == 4
    assert all(row["intervals"]["auc"][0] > 0.5 for row in groups.values())
