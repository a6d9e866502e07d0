"""Evidence found from outside a detector, and the deletion test it must pass on bundled models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference_worker import faithfulness
from inference_worker.decoding.decoder import Decoder
from inference_worker.explaining.judging import asker, judge, log_odds
from inference_worker.explaining.pictures import explain_picture, grid, noise, without_cells
from inference_worker.explaining.sounds import SLICES, by_second, explain_sound, without_parts
from inference_worker.explaining.videos import explain_video, without_frames
from inference_worker.registry import Registry, load_models
from inference_worker.types import (
    SAMPLE_RATE,
    Detector,
    Modality,
    Passage,
    Picture,
    Recording,
    Score,
    Segment,
)
from kilinda.demo.content import CONTENT, SAMPLES

MODELS = Path(__file__).parents[2] / "inference_worker" / "models"


@pytest.fixture(scope="module")
def models() -> Registry:
    return load_models(MODELS)


def of_task(models: Registry, task: str) -> Detector:
    return models.for_task(task)[1]


def picture(name: str) -> Picture:
    pixels = np.asarray(Image.open(SAMPLES / name).convert("RGB"))
    return Picture(pixels, pixels.shape[1], pixels.shape[0])


def crops(count: int) -> list[Picture]:
    """Views of both sample pictures, each of another place and size."""
    rng = np.random.default_rng(1)
    found = []
    for number in range(count):
        pixels = picture(("landscape.jpg", "pattern.png")[number % 2]).pixels
        side = int(rng.integers(230, 320))
        top, left = (int(rng.integers(0, n - side)) for n in pixels.shape[:2])
        found.append(Picture(pixels[top : top + side, left : left + side].copy(), side, side))
    return found


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    with Decoder(slots=1) as decoder:
        yield decoder


@pytest.fixture(scope="module")
def voice(decoder: Decoder) -> Recording:
    return decoder.decode(SAMPLES / "computer-voice-sw.ogg", Modality.AUDIO)


# --- Faithful: what the evidence points at matters more than chance -----------------------------

TEXTS = [
    *(sample.text for sample in CONTENT if sample.text),
    "The weather is nice today and the market opens at nine, you stupid worthless idiot.",
    "Go back to your country, you filthy pigs, nobody in this town wants you here.",
    "I was at the clinic this morning and that bitch of a nurse should die for what she did.",
    "The committee will meet on Monday to discuss the new water project for the village.",
]


def test_words_are_faithful(models: Registry) -> None:
    found = faithfulness.measure(of_task(models, "abuse"), [Passage(text) for text in TEXTS])
    assert found["n"] >= 6
    assert found["difference"] > 0
    assert found["better"] > 0.5


def test_places_of_pictures_are_faithful(models: Registry) -> None:
    found = faithfulness.measure(of_task(models, "synthetic_image"), crops(4))
    assert found["n"] == 4
    assert found["difference"] > 0
    assert found["better"] > 0.5


def test_times_and_bands_of_speech_are_faithful(models: Registry, voice: Recording) -> None:
    cuts = [
        replace(voice, samples=voice.samples[at * SAMPLE_RATE : (at + 4) * SAMPLE_RATE].copy())
        for at in (0, 4, 8)
    ]
    found = faithfulness.measure(of_task(models, "synthetic_speech"), cuts)
    assert found["n"] == 3
    assert found["difference"] > 0


def test_frames_of_a_video_are_faithful(models: Registry, decoder: Decoder) -> None:
    footage = decoder.decode(SAMPLES / "pan.mp4", Modality.VIDEO)
    found = faithfulness.measure(of_task(models, "synthetic_image"), [footage])
    assert found["n"] == 1
    assert found["difference"] > 0


def test_chance_itself_is_not_called_faithful(models: Registry, monkeypatch) -> None:
    """The test can fail: weights turned upside down point at what matters least."""
    detector = of_task(models, "abuse")
    exact = detector.explain

    def upside_down(content, score):
        found = exact(content, score)
        words = tuple(replace(word, weight=-word.weight) for word in found.words)
        return replace(found, words=words)

    monkeypatch.setattr(detector, "explain", upside_down)
    assert faithfulness.measure(detector, [Passage(text) for text in TEXTS])["difference"] < 0


def test_nothing_that_can_be_judged_is_an_error(models: Registry) -> None:
    with pytest.raises(ValueError, match="could be judged"):
        faithfulness.measure(of_task(models, "abuse"), [Passage("!!!")])


# --- Asking ------------------------------------------------------------------------------


def test_contents_asked_together_answer_as_alone(models: Registry) -> None:
    detector = of_task(models, "abuse")
    passages = [Passage(text) for text in (TEXTS[0], "!!!", TEXTS[2] * 20)]
    together = log_odds(detector, passages)
    alone = [log_odds(detector, [passage])[0] for passage in passages]
    assert np.isnan(together[1])
    np.testing.assert_allclose(together, alone, atol=0.05)


# --- Pictures ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "height", "expected"), [(800, 800, (8, 8)), (1080, 720, (5, 8)), (100, 3000, (8, 1))]
)
def test_cells_are_nearly_square_and_cover_the_picture(width, height, expected) -> None:
    content = Picture(np.zeros((height, width, 3), np.uint8), width, height)
    assert grid(content) == expected


def test_a_smoothed_cell_leaves_the_rest_as_it_was() -> None:
    content = picture("landscape.jpg")
    grey = np.full(content.pixels.shape, 128, np.float32)
    changed = without_cells(content, grey, [0], rows=2, columns=2).pixels
    np.testing.assert_array_equal(changed[400:, 600:], content.pixels[400:, 600:])
    assert (changed[:300, :500] == 128).all()


def test_the_whole_picture_is_asked_about_not_its_middle() -> None:
    """A detector that sees one bright corner: that corner is what the evidence names."""
    pixels = np.random.default_rng(0).integers(0, 60, (400, 400, 3), np.uint8)
    pixels[350:, 350:] = np.random.default_rng(1).integers(0, 255, (50, 50, 3), np.uint8)
    content = Picture(pixels, 400, 400)

    def ask(contents):
        return np.array([each.pixels[350:, 350:].std() for each in contents], np.float64)

    falls = explain_picture(ask, content).falls
    assert falls.argmax() == falls.size - 1
    assert np.abs(falls[:6, :6]).max() == 0


def test_noise_is_measured_in_grey_levels() -> None:
    pixels = np.full((128, 128), 100.0)
    pixels[:, 64:] += np.random.default_rng(0).normal(0, 8, (128, 64))
    grey = np.rint(pixels).clip(0, 255).astype(np.uint8)
    strength = noise(Picture(np.repeat(grey[:, :, None], 3, 2), 128, 128), width=16, height=16)
    assert strength.shape == (16, 16)
    assert strength[:, :7].max() < 0.5
    assert 5 < strength[:, 9:].mean() < 9


# --- Sound ------------------------------------------------------------------------------


def score(*segments: Segment) -> Score:
    return Score("voice", "1", "synthetic_speech", 0.5, 0.0, segments)


def silence(seconds: float) -> Recording:
    return Recording(np.zeros(int(seconds * SAMPLE_RATE), np.float32), seconds)


def test_seconds_without_a_window_have_no_score() -> None:
    found = by_second(score(Segment(0, 2, 0.2), Segment(1, 3, 0.8)), silence(5.5))
    assert found == pytest.approx((0.2, 0.5, 0.8, None, None, None))


def test_only_the_chosen_band_and_time_become_quieter() -> None:
    rng = np.random.default_rng(0)
    noise = Recording(rng.normal(0, 0.1, 4 * SAMPLE_RATE).astype(np.float32), 4.0)
    changed = without_parts(noise, [0 * SLICES + 1])  # below 400 Hz, from 0.5 to 1 s

    def level(recording: Recording, start: float, low: int, high: int) -> float:
        part = recording.samples[int(start * SAMPLE_RATE) :][: SAMPLE_RATE // 4]
        power = np.abs(np.fft.rfft(part)) ** 2
        hertz = np.fft.rfftfreq(len(part), 1 / SAMPLE_RATE)
        return 10 * np.log10(power[(hertz >= low) & (hertz < high)].mean())

    assert level(changed, 0.62, 50, 350) == pytest.approx(level(noise, 0.62, 50, 350) - 20, abs=2)
    assert level(changed, 0.62, 1000, 8000) == pytest.approx(
        level(noise, 0.62, 1000, 8000), abs=0.1
    )
    assert level(changed, 2.0, 50, 350) == pytest.approx(level(noise, 2.0, 50, 350), abs=0.1)


def test_the_worst_window_of_a_recording_is_explained(models: Registry, voice: Recording) -> None:
    detector = of_task(models, "synthetic_speech")
    judged = judge(detector, voice)
    assert isinstance(judged, Score)
    found = explain_sound(asker(detector), voice, judged)
    worst = max(judged.segments, key=lambda segment: segment.probability)
    assert (found.start, found.end) == (worst.start, worst.end)
    assert len(found.seconds) == int(np.ceil(voice.duration_seconds))
    assert found.falls is not None
    assert np.isfinite(found.falls).mean() > 0.9


# --- Video ------------------------------------------------------------------------------


def test_a_video_is_explained_by_its_highest_frame(models: Registry, decoder: Decoder) -> None:
    detector = of_task(models, "synthetic_image")
    footage = decoder.decode(SAMPLES / "pan.mp4", Modality.VIDEO)
    judged = judge(detector, footage)
    assert isinstance(judged, Score)
    found = explain_video(asker(detector), footage, judged)
    assert len(found.frames) == len(found.segments) == len(judged.segments)
    highest = max(segment.probability for segment in judged.segments)
    assert found.segments[found.worst].probability == highest
    assert found.frames[found.worst].at_seconds == found.segments[found.worst].start
    assert len(without_frames(footage, [0, 1]).frames) == len(footage.frames) - 2
