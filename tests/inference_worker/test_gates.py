"""Every gate of the design, triggered by real media through the sandbox and the bundled models."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from inference_worker.decoding.decoder import Decoder
from inference_worker.registry import load_models
from inference_worker.runtime import Analysed, Runtime, Work
from inference_worker.types import (
    SAMPLE_RATE,
    Abstention,
    Modality,
    Passage,
    Picture,
    Recording,
    Score,
)
from tests.factories import picture_bytes, video_bytes
from tests.inference_worker.toys import WordCounter, registry

MODELS = Path(__file__).resolve().parents[2] / "inference_worker" / "models"
TEXT, AUDIO, IMAGE, VIDEO = Modality.TEXT, Modality.AUDIO, Modality.IMAGE, Modality.VIDEO
PROTECTED = {
    "encryption_scheme": "cenc-aes-ctr",
    "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
    "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
}


class One:
    """A source of one piece of content that keeps what becomes of it."""

    def __init__(self, work: Work[str]) -> None:
        self._waiting = [work]
        self.codes: list[str] = []
        self.sentences: list[str] = []
        self.scored: list[str] = []

    def claim(self) -> list[Work[str]]:
        claimed, self._waiting = self._waiting, []
        return claimed

    def finish(self, analysed: Sequence[Analysed[str]]) -> None:
        for said in (judged.judgement for each in analysed for judged in each.judged):
            if isinstance(said, Abstention):
                self.codes.append(said.code)
                self.sentences.append(said.reason)
            elif isinstance(said, Score):
                self.scored.append(said.label)

    def fail(self, job: str, code: str, reason: str) -> None:
        self.codes.append(code)
        self.sentences.append(reason)

    def retry(self, job: str, code: str, reason: str) -> None:
        raise AssertionError(f"{code}: {reason}")


@pytest.fixture(scope="module")
def runtime():
    runtime = Runtime(load_models(MODELS), Decoder(slots=1))
    yield runtime
    runtime.close()


# --- Media ---------------------------------------------------------------------------------------


def sound(samples: np.ndarray, codec: str = "pcm_s16le", kind: str = "wav", **options) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=kind, options=options) as container:
        stream = container.add_stream(codec, rate=SAMPLE_RATE)
        stream.layout = "mono"
        sample_format = stream.codec_context.format.name
        frame = av.AudioFrame.from_ndarray(samples.astype(np.float32)[None], "flt", "mono")
        frame.sample_rate = SAMPLE_RATE
        into = av.AudioResampler(format=sample_format, layout="mono", rate=SAMPLE_RATE)
        for converted in into.resample(frame):
            container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    return file.getvalue()


def seconds(count: float) -> np.ndarray:
    return np.arange(int(count * SAMPLE_RATE)) / SAMPLE_RATE


def noise(count: float, level: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, level, int(count * SAMPLE_RATE))


def chords() -> np.ndarray:
    """Four seconds of three-note chords, held."""
    at = seconds(4)
    root = np.where(at < 2, 440.0, 523.25)
    return sum(0.1 * np.sin(2 * np.pi * root * ratio * at) for ratio in (1, 1.26, 1.5))


def video(frames: int, *, codec: str = "mpeg4", **options) -> bytes:
    """A detailed picture that moves, at 25 frames a second, without sound."""
    grain = np.random.default_rng(1).integers(0, 256, (240, 320, 3), np.uint8)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4", options=options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(frames):
            picture = av.VideoFrame.from_ndarray(np.roll(grain, 40 * number, 1), "rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return file.getvalue()


def huge_png() -> bytes:
    """A PNG of 100 megapixels in some kilobytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + crc

    header = struct.pack(">IIBBBBB", 10_000, 10_000, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1251 * 10_000), 9)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def one_colour() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (300, 300), "navy").save(file, "PNG")
    return file.getvalue()


def bought_song() -> bytes:
    """An m4a whose sample entry is the one that Apple's shop writes."""
    plain = sound(chords(), "aac", "ipod")
    assert plain.count(b"mp4a") == 1
    return plain.replace(b"mp4a", b"drms").replace(b"ftypM4A ", b"ftypM4P ")


FRENCH = (
    "Le ministre a declare hier que les nouvelles ecoles seront ouvertes dans tout le pays avant "
    "la fin de cette annee, malgre les retards de construction."
)

GATES: list[tuple[str, Modality, Callable[[], str | bytes], str]] = [
    ("a text of two letters", TEXT, lambda: "ok", "too_short"),
    ("a text in French", TEXT, lambda: FRENCH, "language_not_measured"),
    ("half a second of sound", AUDIO, lambda: sound(noise(0.5, 0.1)), "too_short"),
    ("a hiss at -80 dBFS", AUDIO, lambda: sound(noise(4, 0.0001)), "too_quiet"),
    ("two clicks in silence", AUDIO, lambda: sound(clicks()), "no_speech"),
    ("steady noise", AUDIO, lambda: sound(noise(4, 0.1)), "noise"),
    ("held chords", AUDIO, lambda: sound(chords()), "music"),
    ("a picture of 60 x 60", IMAGE, lambda: picture_bytes(width=60, height=60), "too_small"),
    ("a picture of one colour", IMAGE, one_colour, "blank"),
    ("a video of two frames", VIDEO, lambda: video(2), "too_few_frames"),
    ("a video without sound", VIDEO, lambda: video(25), "no_sound"),
    ("a picture cut in half", IMAGE, lambda: _half(picture_bytes(width=400, height=400)), "trunc"),
    ("a video without its index", VIDEO, lambda: _half(video_bytes()), "damaged"),
    ("a picture of 100 megapixels", IMAGE, huge_png, "too_many_pixels"),
    ("a protected video", VIDEO, lambda: video(25, codec="libx264", **PROTECTED), "encrypted"),
    ("protected sound", AUDIO, lambda: sound(chords(), "aac", "mp4", **PROTECTED), "encrypted"),
    ("a song from a shop", AUDIO, bought_song, "encrypted"),
]


def clicks() -> np.ndarray:
    samples = np.zeros(4 * SAMPLE_RATE)
    samples[[SAMPLE_RATE, 2 * SAMPLE_RATE]] = 0.9
    return samples


def _half(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("modality", "make", "code"), [gate[1:] for gate in GATES], ids=[gate[0] for gate in GATES]
)
def test_a_gate_gives_a_reason_and_no_score(runtime, tmp_path, modality, make, code):
    content = make()
    source = One(_work(content, modality, tmp_path))
    runtime.drain(source)
    assert any(each.startswith(code) for each in source.codes), (source.codes, source.scored)
    assert all(sentence.endswith(".") for sentence in source.sentences)
    if code != "no_sound":  # the picture of a silent video is judged
        assert source.scored == []


def _work(content: str | bytes, modality: Modality, folder: Path) -> Work[str]:
    if isinstance(content, str):
        return Work("it", modality, passage=Passage(content))
    path = folder / "upload"
    path.write_bytes(content)
    return Work("it", modality, path=path)


def test_the_submitters_language_hint_reaches_the_sound_of_recordings_and_videos(tmp_path):
    heard: list[str | None] = []

    class Listener(WordCounter):
        def prepare(self, content: Recording | Picture) -> Abstention:
            if isinstance(content, Recording):
                heard.append(content.language)
            return Abstention(self.name, self.version, self.label, "none", "Only listening.")

    listening = Runtime(registry(Listener(), modality=AUDIO), Decoder(slots=1))
    for modality, kind in ((AUDIO, "wav"), (VIDEO, "mp4")):
        codec = "aac" if kind == "mp4" else "pcm_s16le"
        work = _work(sound(chords(), codec, kind), modality, tmp_path)
        listening.drain(One(replace(work, language="sw")))
    listening.close()
    assert heard == ["sw", "sw"]


@pytest.mark.parametrize(
    "make",
    [lambda: video(25), lambda: video(25, codec="libx264"), lambda: sound(chords(), "aac", "mp4")],
    ids=["mpeg-4", "h.264", "aac"],
)
def test_what_is_not_protected_is_not_called_so(runtime, tmp_path, make):
    source = One(_work(make(), VIDEO, tmp_path))
    runtime.drain(source)
    assert "encrypted" not in source.codes
