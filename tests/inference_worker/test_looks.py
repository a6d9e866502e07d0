from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from inference_worker.looks import Look, Sense, add_up, facts_of
from inference_worker.types import (
    Abstention,
    Footage,
    Frame,
    Picture,
    Prepared,
    Recording,
    Reliability,
    Score,
)
from tests.inference_worker.toys import WordCounter

PICTURE = Picture(np.zeros((2, 2, 3), np.uint8), 2, 2)


def footage(*, frames: int, sound: bool) -> Footage:
    return Footage(
        frames=tuple(Frame(float(at), PICTURE) for at in range(frames)),
        sound=Recording(np.zeros(16_000, np.float32), 1.0) if sound else None,
        duration_seconds=float(frames),
        width=2,
        height=2,
    )


def seen(*chances: float | None) -> list[tuple[Look, Score | Abstention]]:
    refused = Abstention("image", "1", "synthetic_image", "too_small", "Too small.")
    return [
        (
            Look(Sense.VISUAL, WordCounter(name="image"), Prepared(()), float(at)),
            refused if chance is None else Score("image", "1", "synthetic_image", chance, chance),
        )
        for at, chance in enumerate(chances)
    ]


def test_a_video_scores_as_its_worst_three_frames_in_a_row() -> None:
    (judged,) = add_up(footage(frames=5, sound=True), seen(0.1, 0.9, 0.6, 0.3, 0.2))
    assert isinstance(judged.judgement, Score)
    assert judged.judgement.probability == pytest.approx(0.6)
    spans = [(s.start, s.end, s.probability) for s in judged.judgement.segments]
    assert spans[1] == (1.0, 2.0, 0.9)
    assert spans[-1] == (4.0, 5.0, 0.2)
    assert judged.judgement.notes["worst_segment"] == [1.0, 4.0]


def test_high_frames_far_apart_do_not_make_a_worst_segment() -> None:
    (judged,) = add_up(footage(frames=7, sound=True), seen(0.9, 0.1, 0.1, 0.9, 0.1, 0.1, 0.9))
    assert isinstance(judged.judgement, Score)
    assert judged.judgement.probability == pytest.approx(1.1 / 3)


def test_frames_nobody_could_judge_are_left_out_but_counted() -> None:
    (judged,) = add_up(footage(frames=5, sound=True), seen(None, 0.8, None, 0.7, 0.9))
    assert isinstance(judged.judgement, Score)
    assert judged.judgement.probability == pytest.approx(0.8)
    notes = judged.judgement.notes
    assert (notes["frames_judged"], notes["frames_seen"]) == (3, 5)


@pytest.mark.parametrize("frames", [(None, 0.8, None), (0.9, 0.8, None)])
def test_one_or_two_frames_among_others_that_nobody_could_judge_are_too_few(frames) -> None:
    (judged,) = add_up(footage(frames=3, sound=True), seen(*frames))
    assert isinstance(judged.judgement, Abstention)
    assert judged.judgement.code == "too_few_frames"
    assert judged.judgement.reason.endswith("of 3 frames could be judged; 3 are needed.")


def test_a_still_picture_is_judged_but_a_flash_of_one_is_not() -> None:
    still = footage(frames=1, sound=True)
    flash = replace(still, duration_seconds=0.1)
    assert isinstance(add_up(still, seen(0.8))[0].judgement, Score)
    assert isinstance(add_up(flash, seen(0.8))[0].judgement, Abstention)


def test_a_video_is_as_reliably_judged_as_its_least_reliable_frame() -> None:
    good, poor = (Reliability("condition:x", auc, auc, auc, 100) for auc in (0.9, 0.6))

    def video(*each: Reliability | None) -> Score:
        looked = [
            (look, replace(said, reliability=one, notes={"groups": [f"condition:{place}"]}))
            for place, ((look, said), one) in enumerate(zip(seen(0.1, 0.2), each, strict=True))
            if isinstance(said, Score)
        ]
        (judged,) = add_up(footage(frames=2, sound=True), looked)
        assert isinstance(judged.judgement, Score)
        return judged.judgement

    assert video(good, poor).reliability == poor
    assert video(good, None).reliability is None
    assert video(good, poor).notes["groups"] == ["condition:0", "condition:1"]


def test_a_video_none_of_whose_frames_can_be_judged_is_not_judged() -> None:
    (judged,) = add_up(footage(frames=2, sound=True), seen(None, None))
    assert isinstance(judged.judgement, Abstention)


def test_a_silent_video_says_why_it_has_no_audio_score() -> None:
    judged = add_up(footage(frames=1, sound=False), seen(0.5))
    silent = [each.judgement for each in judged if each.sense == Sense.AUDIO]
    assert isinstance(silent[0], Abstention)
    assert silent[0].code == "no_sound"


def test_a_video_without_pictures_says_why_it_has_no_visual_score() -> None:
    (judged,) = add_up(footage(frames=0, sound=True), [])
    assert judged.sense == Sense.VISUAL
    assert isinstance(judged.judgement, Abstention)
    assert judged.judgement.code == "no_picture"


def test_facts_name_sizes_and_durations() -> None:
    assert facts_of(footage(frames=2, sound=False)) == {
        "duration_seconds": 2.0,
        "width": 2,
        "height": 2,
        "frames_judged": 2,
        "scenes": 0,
        "has_sound": False,
    }
