"""The speech detector: what it declines, how it cuts, and that the bundled model holds together."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import lfilter
from transformers import AutoModelForAudioClassification

import inference_worker
from inference_worker.detectors.sound import STATISTICS, voice_activity, voice_statistics
from inference_worker.detectors.speech import MOST_WINDOWS, SpeechDetector
from inference_worker.registry import ModelFolder
from inference_worker.types import SAMPLE_RATE, Abstention, Prepared, Recording, Score

FOLDER = Path(inference_worker.__file__).parent / "models" / "synthetic-speech"
VOWELS = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480))
"""Formants in Hz of four vowels (Peterson & Barney 1952)."""


@pytest.fixture(scope="module")
def detector() -> SpeechDetector:
    return SpeechDetector(ModelFolder.load(FOLDER))


def recording(samples: np.ndarray) -> Recording:
    return Recording(samples.astype(np.float32), len(samples) / SAMPLE_RATE)


def babble(seconds: float, seed: int = 0) -> np.ndarray:
    """A buzz with a moving pitch, sent through changing formants: a babbling voice."""
    rng = np.random.default_rng(seed)
    syllables = [syllable(rng) for _ in range(int(seconds / 0.2) + 1)]
    return np.concatenate(syllables)[: int(seconds * SAMPLE_RATE)] * 0.1


def syllable(rng: np.random.Generator) -> np.ndarray:
    length = SAMPLE_RATE // 5
    pitch = np.linspace(rng.uniform(100, 220), rng.uniform(100, 220), length)
    sound = np.diff(np.floor(np.cumsum(pitch) / SAMPLE_RATE), prepend=0)
    for formant in VOWELS[rng.integers(len(VOWELS))]:
        radius, angle = 0.97, 2 * np.pi * formant / SAMPLE_RATE
        sound = lfilter([1], [1, -2 * radius * np.cos(angle), radius**2], sound)
    sound = sound * np.hanning(length)
    return sound / np.abs(sound).max() + rng.normal(0, 0.003, length)


TIME = np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE
NOISE = np.random.default_rng(0).normal(0, 0.1, len(TIME))


@pytest.mark.parametrize(
    ("samples", "code"),
    [
        (babble(0.5), "too_short"),
        (np.zeros(0), "too_short"),
        (np.zeros(len(TIME)), "too_quiet"),
        (babble(4) * 1e-4, "too_quiet"),
        (NOISE, "no_speech"),
        (np.sin(2 * np.pi * 100 * TIME) / 2, "no_speech"),
        (np.sin(2 * np.pi * 1000 * TIME) / 2, "no_speech"),
        (sum(np.sin(2 * np.pi * f * TIME) for f in (220, 277, 330)) / 6, "no_speech"),
        (np.cumsum(NOISE) / np.abs(np.cumsum(NOISE)).max(), "no_speech"),
    ],
)
def test_what_is_no_speech_is_declined_with_a_reason(detector, samples, code):
    declined = detector.prepare(recording(samples))
    assert isinstance(declined, Abstention)
    assert declined.code == code
    assert declined.label == "synthetic_speech"
    assert declined.reason.endswith(".")


def test_a_voice_is_not_declined(detector):
    assert isinstance(detector.prepare(recording(babble(4))), Prepared)


def test_a_voice_counts_as_lively_and_a_tone_does_not():
    assert voice_activity(babble(4)).liveliness > 4
    assert voice_activity(np.sin(2 * np.pi * 200 * TIME)).liveliness < 1


def test_windows_cover_the_recording_and_overlap(detector):
    windows = detector.prepare(recording(babble(11))).windows
    assert windows[0].start == 0
    assert windows[-1].end == pytest.approx(11)
    assert all(after.start < before.end for before, after in pairwise(windows))


def test_statistics_ignore_the_level_and_survive_digital_silence():
    voice = babble(4).astype(np.float32)
    assert np.allclose(voice_statistics(voice), voice_statistics(voice / 7), atol=1e-2)
    silent = voice_statistics(np.zeros(4 * SAMPLE_RATE, np.float32))
    assert silent.shape == (STATISTICS,)
    assert np.isfinite(silent).all()


def test_a_batch_scores_like_its_windows_one_by_one(detector):
    windows = [w for s in range(4) for w in detector.prepare(recording(babble(6, s))).windows]
    together = detector.forward(windows)
    alone = np.concatenate([detector.forward([window]) for window in windows])
    assert len(set(together.round(3).tolist())) > 1
    spread = max(float(together.std()), 0.1)
    assert np.abs(together - alone).max() < 0.1 * spread + 0.02


def test_a_score_has_a_probability_and_a_segment_for_each_window(detector):
    prepared = detector.prepare(recording(babble(9)))
    score = detector.interpret(prepared, detector.forward(prepared.windows))
    assert isinstance(score, Score)
    assert 0 <= score.probability <= 1
    assert [(s.start, s.end) for s in score.segments] == [
        (w.start, w.end) for w in prepared.windows
    ]
    assert all(0 <= s.probability <= 1 for s in score.segments)


def test_one_synthetic_stretch_raises_the_score_of_the_whole(detector):
    prepared = detector.prepare(recording(babble(20)))
    logits = np.full(len(prepared.windows), -3, np.float32)
    quiet = detector.interpret(prepared, logits).probability
    logits[: -(-len(logits) // 3)] = 3
    assert detector.interpret(prepared, logits).probability > quiet + 0.1


def test_an_hour_is_sampled_evenly_with_a_bound_on_windows(detector):
    hour = np.tile(babble(60), 60).astype(np.float32)
    prepared = detector.prepare(Recording(hour, 3600.0))
    assert len(prepared.windows) <= MOST_WINDOWS
    assert prepared.notes["evenly_sampled"]
    assert prepared.windows[-1].end == pytest.approx(3600)
    assert sum(window.features.nbytes for window in prepared.windows) < 1_000_000


def test_the_bundled_model_loads_by_its_auto_class_and_is_small():
    model = AutoModelForAudioClassification.from_pretrained(FOLDER, local_files_only=True)
    assert model.config.id2label[1] == "synthetic_speech"
    assert (FOLDER / "model.safetensors").stat().st_size < 5_000_000


def test_the_bundled_model_beats_chance_on_every_group_it_never_heard():
    groups = ModelFolder.load(FOLDER).metrics["left_out"]["by_source"]
    assert len(groups) == 6
    assert all(row["intervals"]["auc"][0] > 0.5 for row in groups.values())
