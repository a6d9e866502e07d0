"""The image detector: what it declines, how it crops, and that the bundled model holds together."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers import AutoModelForImageClassification

import inference_worker
from inference_worker.detectors.image import PLACES, ImageDetector
from inference_worker.detectors.texture import CROP, STATISTICS, texture_statistics
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
