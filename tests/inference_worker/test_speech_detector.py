"""The speech detector: what it declines, how it cuts, and that the bundled model holds together."""

import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import lfilter
from transformers import AutoModelForAudioClassification

import inference_worker
import kilinda.demo
from inference_worker.detectors.hearing import (
    is_narrow_band,
    is_noisy,
    steadiness,
    voice_activity,
)
from inference_worker.detectors.sound import STATISTICS, voice_statistics
from inference_worker.detectors.speech import MOST_WINDOWS, SpeechDetector
from inference_worker.registry import ModelFolder
from inference_worker.training.sound_damage import Codec, read, through_codec
from inference_worker.types import SAMPLE_RATE, Abstention, Prepared, Recording, Score, Stretch

PHONE = Codec("libopencore_amrnb", "amr", (8_000,), (12_200,))
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


def melody(instruments, voices: int = 1, drums: bool = False, seed: int = 0) -> np.ndarray:
    """Four seconds of random notes of the C major scale, with decaying or held partials."""
    rng = np.random.default_rng(seed)
    track = np.zeros(6 * SAMPLE_RATE)
    at = 0.0
    while at < 4:
        seconds = rng.choice([0.2, 0.25, 0.4, 0.5])
        for _ in range(voices):
            step = rng.choice([0, 2, 4, 5, 7, 9, 11]) + 12 * rng.integers(0, 3)
            sound = note(110 * 2 ** (step / 12), 1.2 * seconds, rng.choice(instruments))
            track[int(at * SAMPLE_RATE) :][: len(sound)] += sound
        if drums:
            beat = rng.normal(size=1600) * np.exp(-np.arange(1600) / 400)
            track[int(at * SAMPLE_RATE) :][:1600] += 2 * beat
        at += seconds
    return track[: 4 * SAMPLE_RATE] / np.abs(track).max() / 2


def note(hertz: float, seconds: float, instrument: str) -> np.ndarray:
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    partials = [n for n in range(1, 12) if n * hertz < 7500]
    sound = sum(np.sin(2 * np.pi * n * hertz * time) * 0.7**n for n in partials)
    decay = {"piano": 3.0, "pluck": 8.0, "organ": 0.0}[instrument]
    return sound * np.exp(-decay * time) * np.minimum(1, (seconds - time) / 0.02)


TIME = np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE
NOISE = np.random.default_rng(0).normal(0, 0.1, len(TIME))


@pytest.mark.parametrize(
    ("samples", "code"),
    [
        (babble(0.5), "too_short"),
        (np.zeros(0), "too_short"),
        (np.zeros(len(TIME)), "too_quiet"),
        (babble(4) * 1e-4, "too_quiet"),
        (NOISE, "noise"),
        (lfilter([1], [1, -0.9], NOISE) / 4, "noise"),  # rumble
        (NOISE * (TIME % 0.5 < 0.02), "no_speech"),  # clicks
        (np.sin(2 * np.pi * 100 * TIME) / 2, "no_speech"),
        (np.sin(2 * np.pi * 1000 * TIME) / 2, "music"),  # a tone
        (melody(("piano",), seed=1), "music"),
        (melody(("organ",), voices=3, seed=2), "music"),
        (melody(("piano", "organ"), voices=3, drums=True, seed=3), "music"),
        (melody(("pluck",), voices=2, seed=4) + NOISE / 20, "music"),
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


@pytest.mark.parametrize(
    "text", ["Kura zote zimehesabiwa usiku wa leo.", "The count ended at six."]
)
def test_a_speaking_machine_is_heard_as_speech_at_any_pace(detector, tmp_path, text):
    if not shutil.which("espeak-ng"):
        pytest.skip("espeak-ng is not installed")
    for pace, pitch in (("120", "20"), ("160", "50"), ("220", "90")):
        path = tmp_path / "said.wav"
        order = ["espeak-ng", "-v", "sw", "-s", pace, "-p", pitch, "-w", str(path), text]
        subprocess.run(order, check=True, timeout=20)
        assert isinstance(detector.prepare(recording(read(str(path)))), Prepared)


def test_the_demonstration_voice_is_heard_as_speech(detector):
    samples = read(str(Path(kilinda.demo.__file__).parent / "samples" / "computer-voice-sw.ogg"))
    prepared = detector.prepare(recording(samples))
    assert prepared.notes["windows_with_speech"] > 0
    assert prepared.notes["windows_with_music"] == 0


def test_speech_over_quiet_music_is_judged_and_below_loud_music_declined(detector):
    voice, music = babble(4), melody(("piano",), voices=3)
    music = music * voice.std() / music.std()
    assert isinstance(detector.prepare(recording(voice + music / 10)), Prepared)
    assert detector.prepare(recording(voice + music * 10)).code == "music"


def test_of_a_recording_with_music_only_the_speech_is_judged(detector):
    prepared = detector.prepare(recording(np.concatenate([melody(("organ",)), babble(8)])))
    assert prepared.notes["windows_with_music"] >= 1
    assert all(window.end > 4 for window in prepared.windows)


def test_notes_stand_still_and_voices_do_not():
    assert steadiness(melody(("piano",)).astype(np.float32)) > 0.6
    assert steadiness(babble(4).astype(np.float32)) < 0.2


def test_a_telephone_and_a_noisy_street_are_told_from_a_quiet_room():
    voice = babble(4).astype(np.float32)
    assert not is_narrow_band(voice)
    assert not is_noisy(voice * np.where(TIME % 1 < 0.7, 1, 0.01))
    assert is_narrow_band(through_codec(voice, PHONE, 8_000, 12_200))
    assert is_noisy(voice + NOISE.astype(np.float32) / 2)


def test_the_reliability_is_that_of_the_condition_and_the_language_hinted_at(detector):
    voice = through_codec(babble(6).astype(np.float32), PHONE, 8_000, 12_200)
    phone = Recording(voice, 6.0, language="sw")
    assert detector.prepare(phone).notes["groups"] == ["condition:narrow band", "language:sw"]


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
    assert len(prepared.windows) == MOST_WINDOWS
    assert prepared.notes["evenly_sampled"]
    assert prepared.windows[-1].end == pytest.approx(3600)
    assert sum(window.features.nbytes for window in prepared.windows) < 1_000_000


def test_of_a_sampled_recording_each_stretch_is_a_window_at_its_time(detector):
    starts = (0.0, 128.0, 256.0)
    stretches = tuple(Stretch(at, n * 64_000, 64_000) for n, at in enumerate(starts))
    content = Recording(babble(12).astype(np.float32), 300.0, stretches=stretches)
    prepared = detector.prepare(content)
    assert [(w.start, w.end) for w in prepared.windows] == [(at, at + 4) for at in starts]
    assert prepared.notes["evenly_sampled"]


def test_the_bundled_model_loads_by_its_auto_class_and_is_small():
    model = AutoModelForAudioClassification.from_pretrained(FOLDER, local_files_only=True)
    assert model.config.id2label[1] == "synthetic_speech"
    assert (FOLDER / "model.safetensors").stat().st_size < 5_000_000


def test_the_bundled_model_beats_chance_on_every_group_it_never_heard():
    groups = ModelFolder.load(FOLDER).metrics["left_out"]["by_source"]
    assert len(groups) == 6
    assert all(row["intervals"]["auc"][0] > 0.5 for row in groups.values())
