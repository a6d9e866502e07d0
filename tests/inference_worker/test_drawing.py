"""Drawings: small, labelled with where they are from, honest scales, hatched where not judged."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image

from inference_worker.drawing import pictures, sheet, sounds, videos
from inference_worker.drawing.sheet import MOST_BYTES, clock
from inference_worker.drawing.values import Drawing, Stamp
from inference_worker.explaining.pictures import PictureEvidence
from inference_worker.explaining.sounds import SLICES, SoundEvidence
from inference_worker.explaining.videos import VideoEvidence
from inference_worker.types import (
    SAMPLE_RATE,
    Frame,
    MapEvidence,
    Picture,
    Recording,
    Segment,
    Stretch,
)

STAMP = Stamp(
    "a-model", "2.1.0", "synthetic_image", 0.87, 0.6, datetime(2027, 8, 9, tzinfo=UTC), "ab12" * 16
)
RNG = np.random.default_rng(0)


def noisy(width: int, height: int) -> Picture:
    """The hardest picture to keep small."""
    return Picture(RNG.integers(0, 256, (height, width, 3), np.uint8), width, height)


def recording(seconds: float) -> Recording:
    samples = RNG.normal(0, 0.1, int(seconds * SAMPLE_RATE)).astype(np.float32)
    return Recording(samples, seconds)


def sound(*seconds: float | None, falls: bool = True) -> SoundEvidence:
    return SoundEvidence(seconds, 0.0, 4.0, RNG.normal(0, 1, (7, SLICES)) if falls else None)


def pixels(drawing: Drawing) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(drawing.png)).convert("RGB")).astype(int)


def every_drawing() -> list[Drawing]:
    content, heat = noisy(1600, 900), RNG.normal(0, 1, (5, 8))
    area = np.zeros((32, 32), np.float32)
    area[4:9, 4:9] = 1
    mask = MapEvidence(area, "probability", {"copied_from": area.tolist(), "copied_to": None})
    segments = tuple(Segment(at, at + 1, 0.1 * at) for at in range(6))
    frames = tuple(Frame(float(at), noisy(320, 180)) for at in range(6))
    video = VideoEvidence(segments, frames, 5, PictureEvidence(heat, 1.0))
    window = sounds.draw_window(recording(6), sound(0.5, 0.9, 0.2, 0.4, None, None), STAMP)
    assert window is not None
    return [
        pictures.draw_picture(content, STAMP),
        pictures.draw_heatmap(content, PictureEvidence(heat, 1.0), STAMP),
        pictures.draw_noise(content, STAMP),
        pictures.draw_map(content, mask, STAMP),
        sounds.draw_seconds(recording(6), sound(0.5, 0.9, 0.2, 0.4, None, None), STAMP),
        window,
        videos.draw_frames(video, 6.0, STAMP),
    ]


@pytest.fixture(scope="module")
def drawings() -> list[Drawing]:
    return every_drawing()


def test_every_drawing_is_a_small_png_with_its_numbers_in_words(drawings: list[Drawing]) -> None:
    for drawing in drawings:
        image = Image.open(io.BytesIO(drawing.png))
        assert (image.format, image.size) == ("PNG", (drawing.width, drawing.height))
        assert len(drawing.png) <= MOST_BYTES
        assert image.width >= 700
        assert any(character.isdigit() for character in drawing.alt)


def test_what_shows_the_content_says_so(drawings: list[Drawing]) -> None:
    shown = {drawing.name for drawing in drawings if drawing.shows_content}
    assert shown == {"picture", "heatmap", "noise", "map", "frames"}


def test_origin_and_limits_are_printed_on_every_sheet(monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[list[str]] = []
    render = sheet._rendered

    def kept(figure):
        printed.append([text.get_text() for text in figure.texts])
        return render(figure)

    monkeypatch.setattr(sheet, "_rendered", kept)
    every_drawing()
    assert len(printed) == 7
    for texts in printed:
        whole = " ".join(texts)
        for part in ("a-model@2.1.0", "87.00 %", "2027-08-09", "ab12ab12", "Does not show:"):
            assert part in whole


def test_a_stretch_that_was_not_judged_is_hatched_and_has_no_line() -> None:
    judged = sounds.draw_seconds(recording(6), sound(*[0.5] * 6), STAMP)
    partly = sounds.draw_seconds(recording(6), sound(0.5, 0.5, 0.5, 0.5, None, None), STAMP)
    plot = partly.plot
    assert plot is not None
    left = int((plot.left + (plot.right - plot.left) * 4.2 / 6) * partly.width)
    right = int((plot.left + (plot.right - plot.left) * 5.8 / 6) * partly.width)
    top, bottom = int(0.62 * partly.height), int(plot.bottom * partly.height) - 8

    def accented(drawing: Drawing) -> int:
        red, green, blue = np.moveaxis(pixels(drawing)[top:bottom, left:right], -1, 0)
        return int(((green - red > 40) & (blue - red > 30)).sum())

    assert accented(judged) > 100
    assert accented(partly) < accented(judged) / 10


def test_a_window_that_cannot_be_judged_alone_is_not_drawn() -> None:
    assert sounds.draw_window(recording(6), sound(0.5, falls=False), STAMP) is None


def test_a_long_recording_is_drawn_in_bounded_columns() -> None:
    found = sounds.spectrogram(np.zeros(SAMPLE_RATE * 600, np.float32))
    assert found.shape == (257, sounds.COLUMNS)


def test_of_a_sampled_recording_each_part_is_drawn_in_its_place() -> None:
    samples = RNG.normal(0, 0.1, 8 * SAMPLE_RATE).astype(np.float32)
    stretches = (Stretch(0.0, 0, 4 * SAMPLE_RATE), Stretch(16.0, 4 * SAMPLE_RATE, 4 * SAMPLE_RATE))
    content = Recording(samples, 20.0, stretches=stretches)
    seconds = [0.5] * 4 + [None] * 12 + [0.9] * 4
    drawing = sounds.draw_seconds(content, SoundEvidence(tuple(seconds), 16.0, 20.0, None), STAMP)
    assert drawing.plot is not None

    def colourful(start: float, end: float) -> float:
        left, right = (
            int((drawing.plot.left + (drawing.plot.right - drawing.plot.left) * at / 20) * 990)
            for at in (start, end)
        )
        top = int(drawing.plot.top * drawing.height)
        part = pixels(drawing)[top + 20 : top + 200, left:right]
        return float((part.max(axis=-1) - part.min(axis=-1)).mean())

    assert min(colourful(0.5, 3.5), colourful(16.5, 19.5)) > 40
    assert colourful(5, 15) < 20


def test_the_loudest_place_of_a_spectrogram_is_zero_decibels() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    power = sounds.spectrogram(tone)
    found = sounds.decibels(power, float(power.max()))
    assert found.max() == pytest.approx(0, abs=1e-6)
    assert int(found.mean(axis=1).argmax()) == 32  # of 31.25 Hz each


def test_a_scale_keeps_its_colours_in_a_picture_of_few(drawings: list[Drawing]) -> None:
    """The hardest picture leaves 64 colours; the bar still runs from one end to the other."""
    noise = next(drawing for drawing in drawings if drawing.name == "noise")
    column = pixels(noise)[:, int(0.797 * noise.width)]
    bar = column[(column.max(axis=1) - column.min(axis=1)) > 12]
    assert len(np.unique(bar, axis=0)) >= 8


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0:00"), (7, "0:07"), (61.5, "1:01.5"), (59.96, "1:00"), (3600, "60:00")],
)
def test_times_are_minutes_and_seconds(seconds: float, expected: str) -> None:
    assert clock(seconds) == expected
