"""What is said in recordings and videos is written down, doubted, and judged as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from inference_worker.decoding.decoder import Decoder
from inference_worker.errors import ModelUnusable
from inference_worker.looks import Sense
from inference_worker.registry import Registry, load_models
from inference_worker.runtime import Analysed, Runtime, Work
from inference_worker.types import (
    SAMPLE_RATE,
    Abstention,
    FoundText,
    Heard,
    Line,
    Modality,
    Origin,
    Prepared,
    Recording,
    Score,
)
from tests.inference_worker import toys
from tests.inference_worker.architectures import bert, recorded, wav2vec2_by_layer
from tests.inference_worker.speaking import ANGRY, CALM, SECONDS, said, whisper

GAP = np.zeros(SAMPLE_RATE // 2, np.float32)
BOTH = np.concatenate([said(CALM), GAP, said(ANGRY)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return whisper(tmp_path_factory.mktemp("models") / "small-whisper")


@pytest.fixture(scope="module")
def transcriber(folder):
    return load_models(folder).transcriber


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(slots=1) as decoder:
        yield decoder


class Files:
    """Hands out files at once, and keeps what came back."""

    def __init__(self, modality: Modality, *paths: Path) -> None:
        self.works = [Work(path.name, modality, path=path) for path in paths]
        self.analysed: dict[str, Analysed[str]] = {}
        self.retried: list[str] = []

    def claim(self) -> list[Work[str]]:
        lot, self.works = self.works, []
        return lot

    def finish(self, analysed: Sequence[Analysed[str]]) -> None:
        self.analysed |= {each.job: each for each in analysed}

    def fail(self, job: str, code: str, reason: str) -> None:
        raise AssertionError((job, code, reason))

    def retry(self, job: str, code: str, reason: str) -> None:
        self.retried.append(job)


def drained(folder_or_registry, decoder: Decoder, files: Files) -> Files:
    loaded = folder_or_registry
    if isinstance(loaded, Path):
        loaded = load_models(loaded, [Modality.AUDIO])
    words = toys.registry(toys.LineCounter())
    runtime = Runtime(replace(loaded, entries=loaded.entries + words.entries), decoder)
    runtime.drain(files)
    return files


def recording(samples: np.ndarray, language: str | None = None) -> Recording:
    return Recording(samples, len(samples) / SAMPLE_RATE, language=language)


def heard_by(transcriber, samples: np.ndarray, language: str | None = None) -> list[Heard]:
    prepared = transcriber.prepare(recording(samples, language))
    assert isinstance(prepared, Prepared)
    return transcriber.transcribe(prepared.windows)


# --- From a file to a judgement ------------------------------------------------------------------


def test_what_is_said_is_judged_as_text_with_its_seconds(folder, decoder, tmp_path) -> None:
    files = drained(folder, decoder, Files(Modality.AUDIO, recorded(tmp_path / "a.wav", BOTH)))
    analysed = files.analysed["a.wav"]

    (judged,) = analysed.judged
    assert (judged.sense, judged.origin) == (Sense.TEXT, Origin.SPEECH)
    assert isinstance(judged.judgement, Score)
    assert judged.judgement.probability > 0.5
    assert [(s.start, s.end) for s in judged.judgement.segments][-1] == (3.0, 5.0)

    (text,) = analysed.facts["found_text"]
    assert (text["origin"], text["by"]) == ("speech", "small-whisper@0.1")
    assert [(line["text"], line["start"], line["end"]) for line in text["lines"]] == [
        (CALM, 0.0, 2.0),
        (ANGRY, 3.0, 5.0),
    ]


def test_the_sound_of_a_video_is_written_down_too(folder, decoder, tmp_path) -> None:
    files = Files(Modality.VIDEO, filmed(tmp_path / "a.mov", said(ANGRY)))
    analysed = drained(folder, decoder, files).analysed["a.mov"]
    scores = [each.judgement for each in analysed.judged if each.sense == Sense.TEXT]
    assert [score.probability > 0.5 for score in scores] == [True]
    assert analysed.facts["found_text"][0]["lines"][0]["text"] == ANGRY


def filmed(path: Path, samples: np.ndarray) -> Path:
    with av.open(str(path), "w") as file:
        pictures = file.add_stream("mpeg4", rate=2)
        pictures.width, pictures.height, pictures.pix_fmt = 32, 32, "yuv420p"
        sound = file.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono")
        for n in range(5):
            frame = av.VideoFrame.from_ndarray(
                np.full((32, 32, 3), 40 * n, np.uint8), format="rgb24"
            )
            frame.pts = n
            file.mux(pictures.encode(frame))
        spoken = (samples * 32_767).astype("<i2")[None]
        frame = av.AudioFrame.from_ndarray(spoken, format="s16", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE, 0
        file.mux(sound.encode(frame))
        for stream in (pictures, sound):
            file.mux(stream.encode(None))
    return path


def test_several_recordings_share_passes_and_keep_their_own_words(
    folder, decoder, tmp_path
) -> None:
    paths = [
        recorded(tmp_path / "calm.wav", said(CALM)),
        recorded(tmp_path / "angry.wav", said(ANGRY)),
    ]
    files = drained(folder, decoder, Files(Modality.AUDIO, *paths))
    texts = {job: each.facts["found_text"][0] for job, each in files.analysed.items()}
    assert {job: text["lines"][0]["text"] for job, text in texts.items()} == {
        "calm.wav": CALM,
        "angry.wav": ANGRY,
    }
    assert {job: text["language"] for job, text in texts.items()} == {
        "calm.wav": "en",
        "angry.wav": "sw",
    }


def test_random_weights_write_nothing_that_is_believed(decoder, tmp_path) -> None:
    folder = whisper(tmp_path / "random-whisper", taught=False)
    files = drained(folder, decoder, Files(Modality.AUDIO, recorded(tmp_path / "a.wav", BOTH)))
    (judged,) = files.analysed["a.wav"].judged
    assert isinstance(judged.judgement, Abstention)
    assert (judged.sense, judged.judgement.code) == (Sense.TEXT, "no_transcript")
    assert "found_text" not in files.analysed["a.wav"].facts


def test_silence_is_not_written_down(folder, decoder, tmp_path) -> None:
    silence = recorded(tmp_path / "a.wav", np.zeros(2 * SAMPLE_RATE))
    (judged,) = drained(folder, decoder, Files(Modality.AUDIO, silence)).analysed["a.wav"].judged
    assert isinstance(judged.judgement, Abstention)
    assert judged.judgement.code == "no_speech"


def test_a_recording_that_breaks_the_transcriber_does_not_take_others_along(
    folder, decoder, tmp_path
) -> None:
    registry = load_models(folder, [Modality.AUDIO])
    whole = registry.transcriber.transcribe

    def brittle(windows):
        if any(window.end > 4 for window in windows):
            raise RuntimeError("out of memory")
        return whole(windows)

    registry.transcriber.transcribe = brittle
    paths = [recorded(tmp_path / "a.wav", said(CALM)), recorded(tmp_path / "b.wav", BOTH)]
    files = drained(registry, decoder, Files(Modality.AUDIO, *paths))
    assert (list(files.analysed), files.retried) == (["a.wav"], ["b.wav"])


# --- The transcriber -----------------------------------------------------------------------------


def test_a_batch_is_written_down_like_its_windows_one_by_one(transcriber) -> None:
    windows = transcriber.prepare(recording(BOTH)).windows
    together = transcriber.transcribe(windows)
    alone = [transcriber.transcribe([window])[0] for window in windows]
    assert [each.lines for each in together] == [each.lines for each in alone]
    assert [each.log_probability for each in together] == pytest.approx(
        [each.log_probability for each in alone], abs=1e-3
    )


@pytest.mark.parametrize(
    ("hint", "language"),
    [(None, "en"), ("sw-KE", "sw"), ("SW", "sw"), ("xx", "en"), ("", "en")],
)
def test_the_submitters_language_is_taken_if_the_model_has_it(transcriber, hint, language) -> None:
    (heard,) = heard_by(transcriber, said(CALM), hint)
    assert heard.language == language


def test_a_long_recording_is_heard_in_a_bounded_number_of_windows(folder) -> None:
    registry = load_models(folder)
    registry.transcriber._most_windows = 3
    windows = registry.transcriber.prepare(recording(np.tile(said(CALM), 20))).windows
    assert [round(window.start) for window in windows] == [0, 24, 48]
    assert {round(window.end - window.start) for window in windows[:2]} == {SECONDS}


def heard(text: str, log_probability: float = -0.1, repetition: float = 1.0) -> Heard:
    return Heard((Line(text, 0.0, 1.0),), "en", log_probability, repetition)


@pytest.mark.parametrize(
    ("windows", "kept"),
    [
        ([heard("good"), heard("fine")], ["good", "fine"]),
        ([heard("good"), heard("unsure", log_probability=-1.5)], ["good"]),
        ([heard("la la la la", repetition=3.0), heard("good")], ["good"]),
        ([heard("la la la la", repetition=3.0)], None),
        ([Heard((), "en", -0.1, 0.0)], None),  # sure that nothing is said
    ],
)
def test_windows_that_cannot_be_believed_are_left_out(transcriber, windows, kept) -> None:
    found = transcriber.interpret(Prepared(()), windows)
    if kept is None:
        assert isinstance(found, Abstention)
        assert found.code == "no_transcript"
    else:
        assert isinstance(found, FoundText)
        assert [line.text for line in found.lines] == kept


def test_a_loop_of_words_is_measured_as_repetition(transcriber) -> None:
    (natural,) = heard_by(transcriber, said(CALM))
    loop = transcriber._tokenizer.encode(" bad" * 60, add_special_tokens=False)
    window = transcriber.prepare(recording(said(CALM))).windows[0]
    looped = transcriber._heard(window, loop, [-0.1] * len(loop), "en")
    assert natural.repetition < 1.5
    assert looped.repetition > 2.4


# --- What is loaded ------------------------------------------------------------------------------


def test_without_a_transcriber_recordings_load_no_text_model(tmp_path) -> None:
    wav2vec2_by_layer(tmp_path / "voice")
    bert(tmp_path / "words")
    models = load_models(tmp_path, [Modality.AUDIO])
    assert (models.model_set, models.transcriber) == ("voice@0.1", None)


def test_with_a_transcriber_recordings_load_the_text_models_too(tmp_path) -> None:
    whisper(tmp_path / "whisper", taught=False)
    bert(tmp_path / "words")
    models = load_models(tmp_path, [Modality.AUDIO])
    assert models.model_set == "whisper@0.1,words@0.1"
    assert [each.name for each in models.for_modality(Modality.TEXT)] == ["words"]
    assert models.for_modality(Modality.AUDIO) == ()


def test_texts_and_pictures_load_no_transcriber(tmp_path) -> None:
    whisper(tmp_path / "whisper", taught=False)
    bert(tmp_path / "words")
    assert load_models(tmp_path, [Modality.TEXT]).transcriber is None
    assert load_models(tmp_path, [Modality.IMAGE]) == Registry(())


def test_two_transcribers_are_refused(tmp_path) -> None:
    whisper(tmp_path / "first", taught=False)
    whisper(tmp_path / "second", taught=False)
    with pytest.raises(ModelUnusable, match=r"Only one .* not first@0\.1 and second@0\.1"):
        load_models(tmp_path)
