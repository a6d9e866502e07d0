"""Forgeries made to train on: the mask is where the picture was changed, and only there."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from inference_worker.training.forgeries import forge
from inference_worker.training.manipulation_report import Overlap
from inference_worker.training.picture_damage import CONDITIONS, damage


def photo(seed: int) -> Image.Image:
    """Clouds with grain."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8))
    cloud = np.asarray(coarse.resize((256, 256), Image.Resampling.BICUBIC), np.float32)
    noisy = cloud + rng.normal(0, 4, (256, 256, 1))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def test_most_forgeries_differ_most_from_the_photograph_where_the_mask_says():
    differences = []
    for seed in range(40):
        forgery = forge(photo(1), photo(2), np.random.default_rng(seed))
        assert forgery.pixels.shape == (256, 256, 3)
        assert forgery.pasted.shape == (256, 256)
        if not forgery.pasted.any():
            continue
        border = np.zeros((256, 256), bool)
        border[1:] = forgery.pasted[1:] != forgery.pasted[:-1]
        steps = np.abs(np.diff(forgery.pixels.astype(int).sum(axis=2), axis=0, prepend=0))[1:]
        differences.append(steps[border[1:]].mean() - steps[~border[1:]].mean())
    assert len(differences) > 20
    assert np.mean([difference > 0 for difference in differences]) > 0.8


def test_a_part_covers_a_moderate_share_and_some_pictures_stay_untouched():
    shares = [
        forge(photo(1), photo(2), np.random.default_rng(seed)).pasted.mean() for seed in range(60)
    ]
    assert 5 <= sum(share == 0 for share in shares) <= 30
    assert max(shares) < 0.3
    assert min(share for share in shares if share) > 0.002


def test_the_same_seed_makes_the_same_forgery():
    first, second = (forge(photo(1), photo(2), np.random.default_rng(5)) for _ in range(2))
    assert (first.pixels == second.pixels).all()
    assert (first.pasted == second.pasted).all()


@pytest.mark.parametrize("name", CONDITIONS)
def test_every_condition_changes_the_picture_and_keeps_it_a_picture(name):
    pixels = np.asarray(photo(3), np.uint8)
    changed = CONDITIONS[name](pixels, np.random.default_rng(0))
    assert changed.dtype == np.uint8
    assert changed.shape != pixels.shape or (changed != pixels).any()


def test_damage_keeps_the_shape():
    pixels = np.asarray(photo(3), np.uint8)
    for seed in range(10):
        assert damage(pixels, np.random.default_rng(seed)).shape == pixels.shape


def test_overlap_of_two_masks():
    found, true = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    found[:2], true[1:3] = True, True
    overlap = Overlap.of("foreign", found, true)
    assert overlap.iou == pytest.approx(4 / 12)
    assert overlap.f1 == pytest.approx(8 / 16)
    assert Overlap.of("foreign", np.zeros((4, 4), bool), true).f1 == 0
