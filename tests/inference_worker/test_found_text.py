"""Text found in media: it is judged as a text, and its segments are told in the media's seconds."""

from __future__ import annotations

import numpy as np
import pytest

from inference_worker.found_text import (
    MOST_KEPT_CHARACTERS,
    in_time,
    kept,
    over_time,
    passage_of,
    restored,
)
from inference_worker.looks import Sense, add_up, facts_of, look_at, look_at_text
from inference_worker.types import (
    Footage,
    FoundText,
    Frame,
    Line,
    Origin,
    Picture,
    Score,
    Segment,
)
from tests.inference_worker.toys import LineCounter, WordCounter, registry

SPOKEN = FoundText(
    Origin.SPEECH,
    "whisper@1",
    (Line("good day", 0.0, 4.0), Line("bad bad bad", 4.0, 9.5), Line("goodbye", 30.0, 31.0)),
    "en",
)


def picture(text: str) -> Picture:
    return Picture(np.zeros((4, 4, 3), np.uint8), 4, 4, text)


def judged_text(found: FoundText) -> list[Score]:
    looks = look_at_text(found, registry(LineCounter()))
    answers = [(look, look.judge(look.detector.forward(look.prepared.windows))) for look in looks]
    return [each.judgement for each in add_up(picture(""), answers)]


def test_lines_become_one_text_in_the_language_they_were_found_in() -> None:
    passage = passage_of(SPOKEN)
    assert (passage.text, passage.language) == ("good day\nbad bad bad\ngoodbye", "en")


@pytest.mark.parametrize(
    ("characters", "seconds"),
    [
        ((0, 8), (0.0, 4.0)),
        ((9, 20), (4.0, 9.5)),
        ((5, 12), (0.0, 9.5)),  # over the edge of two lines: from the first to the second
        ((21, 28), (30.0, 31.0)),
        ((28, 28), (30.0, 31.0)),  # nothing, at the very end
    ],
)
def test_characters_of_speech_are_told_in_seconds(
    characters: tuple[int, int], seconds: tuple[float, float]
) -> None:
    (moved,) = in_time(SPOKEN, [Segment(*characters, 0.7)])
    assert (moved.start, moved.end, moved.probability) == (*seconds, 0.7)


def test_the_text_of_a_single_picture_keeps_its_characters() -> None:
    seen = over_time(Origin.PICTURE, "tesseract", [Line("good day"), Line("bad")])
    assert seen is not None
    assert in_time(seen, [Segment(9, 12, 0.5)]) == (Segment(9, 12, 0.5),)


def test_what_is_said_is_judged_as_text_and_placed_in_time() -> None:
    (score,) = judged_text(SPOKEN)
    assert score.label == "abuse"
    assert score.probability > 0.5
    assert [(s.start, s.end) for s in score.segments] == [(0.0, 4.0), (4.0, 9.5), (30.0, 31.0)]


def test_a_picture_with_text_gets_a_text_score_and_names_where_it_was_found() -> None:
    content = picture("bad bad bad")
    looks = look_at(content, registry(WordCounter()))
    (judged,) = add_up(
        content,
        [(look, look.judge(look.detector.forward(look.prepared.windows))) for look in looks],
    )
    assert (judged.sense, judged.origin) == (Sense.TEXT, Origin.PICTURE)
    assert facts_of(content)["found_text"][0]["lines"][0]["text"] == "bad bad bad"


@pytest.mark.parametrize("text", ["", "  \n "])
def test_a_picture_without_text_costs_no_look_and_is_no_finding(text: str) -> None:
    assert look_at(picture(text), registry(WordCounter())) == []
    assert "found_text" not in facts_of(picture(text))


def test_text_too_short_to_judge_is_not_mentioned_when_nobody_submitted_it() -> None:
    assert (
        look_at_text(FoundText(Origin.SPEECH, "w@1", (Line(" "),)), registry(WordCounter())) == []
    )


def test_a_caption_that_stays_for_several_frames_is_read_once() -> None:
    frames = [("", 0), ("vote", 2), ("vote", 4), ("now", 6)]
    content = Footage(
        tuple(Frame(float(at), picture(text)) for text, at in frames), None, 8.0, 4, 4
    )
    (found,) = facts_of(content)["found_text"]
    assert [(line["text"], line["start"], line["end"]) for line in found["lines"]] == [
        ("vote", 2.0, 6.0),
        ("now", 6.0, 8.0),
    ]


def test_what_is_kept_comes_back_as_it_was_found() -> None:
    assert restored(kept(SPOKEN)) == SPOKEN


def test_no_more_than_a_bound_is_kept_and_that_is_said() -> None:
    long = FoundText(Origin.SPEECH, "w@1", (Line("a" * 15_000), Line("b" * 15_000), Line("c")))
    stored = kept(long)
    assert sum(len(line["text"]) for line in stored["lines"]) == MOST_KEPT_CHARACTERS
    assert stored["shortened"]
    assert not kept(SPOKEN)["shortened"]
