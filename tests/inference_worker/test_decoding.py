"""Files to values through the sandbox: honest ones keep their content, hostile ones are stopped."""

import errno
import gc
import gzip
import io
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import wave
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from inference_worker.decoding import previews
from inference_worker.decoding.decoder import Decoder
from inference_worker.decoding.limits import Limits
from inference_worker.decoding.sandbox import filter_code
from inference_worker.errors import DecoderLost, Undecodable
from inference_worker.types import SAMPLE_RATE, Modality, Picture, Recording

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be locked in so far")


@pytest.fixture(scope="module")
def decoder():
    with Decoder(slots=1) as decoder:
        yield decoder


@pytest.fixture
def hostile():
    with Decoder(slots=1, server="hostile_child") as decoder:
        yield decoder


@pytest.fixture
def decode(decoder, tmp_path):
    def decode(content: bytes, modality: Modality):
        return decoder.decode(stored(tmp_path, content), modality)

    return decode


def stored(folder: Path, content: bytes) -> Path:
    path = folder / "upload"
    path.write_bytes(content)
    return path


def refusal(decode, content: bytes, modality: Modality) -> Undecodable:
    with pytest.raises(Undecodable) as caught:
        decode(content, modality)
    return caught.value


def eventually(fact, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not fact():
        assert time.monotonic() < deadline, "it never came true"
        pause.wait(0.02)


def exists(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children(pid: int) -> list[int]:
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


# Honest pictures


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def halves(width=40, height=20) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (width, height), "red")
    image.paste("blue", (width // 2, 0, width, height))
    return image


def is_close(pixel, colour) -> bool:
    return bool(np.abs(np.asarray(pixel, int) - colour).max() < 12)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("PNG", {}),
        ("GIF", {}),
        ("WEBP", {"quality": 95}),
        ("WEBP", {"lossless": True}),
        ("BMP", {}),
    ],
)
def test_a_picture_keeps_its_pixels(decode, kind, options):
    picture = decode(encoded(halves(), kind, **options), Modality.IMAGE)
    assert picture.pixels.shape == (20, 40, 3)
    assert picture.pixels.dtype == np.uint8
    assert is_close(picture.pixels[10, 4], (255, 0, 0))
    assert is_close(picture.pixels[10, 36], (0, 0, 255))


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 128, (128, 128, 128)),
        ("1", 1, (255, 255, 255)),
        ("I;16", 0x8000, (128, 128, 128)),
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),  # transparent: the white page shows
        ("RGBA", (0, 0, 0, 128), (127, 127, 127)),
        ("LA", (0, 255), (0, 0, 0)),
    ],
)
def test_every_png_mode_becomes_opaque_rgb(decode, mode, colour, expected):
    picture = decode(encoded(Image.new(mode, (4, 4), colour), "PNG"), Modality.IMAGE)
    assert is_close(picture.pixels[0, 0], expected)


def test_a_cmyk_jpeg_becomes_rgb(decode):
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    assert is_close(decode(encoded(image, "JPEG"), Modality.IMAGE).pixels[8, 8], (255, 0, 0))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_put_upright(decode, orientation):
    turns = [None, None, 0, 3, 1, 5, 2, 6, 4]  # what a camera did, by Pillow's numbers
    image = halves()
    if turns[orientation] is not None:
        image = image.transpose(Image.Transpose(turns[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode(encoded(image, "JPEG", exif=exif, quality=95), Modality.IMAGE)
    assert picture.pixels.shape == (20, 40, 3)
    assert (picture.original_width, picture.original_height) == (40, 20)
    assert is_close(picture.pixels[10, 4], (255, 0, 0))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_large_picture_is_scaled_to_the_side_kept(decode, kind):
    picture = decode(encoded(halves(6000, 1000), kind), Modality.IMAGE)
    assert picture.pixels.shape == (342, 2048, 3)
    assert (picture.original_width, picture.original_height) == (6000, 1000)


def test_only_the_first_frame_of_an_animation_is_decoded(decode):
    frames = [Image.new("RGB", (8, 8), c) for c in ("red", "blue", "lime")]
    for kind in ("GIF", "WEBP", "PNG"):
        content = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert is_close(decode(content, Modality.IMAGE).pixels[0, 0], (255, 0, 0))


# Honest sound and video


def tone(seconds=2.0, rate=48_000, hertz=440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype("f4")


def wav(samples: np.ndarray, rate: int = 48_000, channels: int = 1) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return out.getvalue()


def media(kind, sound=None, pictures=None, seconds=2.0, gop=5, rotation=0, size=(96, 64)) -> bytes:
    """A file with a 440 Hz tone and/or 10 frames a second that grow brighter."""
    out = io.BytesIO()
    with av.open(out, "w", format=kind) as file:
        tracks = []
        if pictures:
            stream = file.add_stream(pictures, rate=10)
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            stream.gop_size = gop
            if rotation:
                stream.set_display_rotation(rotation)
            tracks.append((stream, brightening(int(seconds * 10), size)))
        if sound:
            stream = file.add_stream(sound, rate=48_000, layout="mono")
            tracks.append((stream, sounding(tone(seconds))))
        for stream, frames in tracks:
            for frame in frames:
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    return out.getvalue()


def brightening(count, size):
    for n in range(count):
        grey = np.full((size[1], size[0], 3), 20 + 200 * n // count, np.uint8)
        grey[:, : size[0] // 4] = 255  # a white bar on the left tells which side is up
        frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
        frame.pts = n
        yield frame


def sounding(samples):
    frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts = 48_000, 0
    yield frame


def pitch(recording) -> float:
    spectrum = np.abs(np.fft.rfft(recording.samples * np.hanning(len(recording.samples))))
    return float(np.argmax(spectrum) * SAMPLE_RATE / len(recording.samples))


FORMATS = [
    ("wav", "pcm_s16le"),
    ("wav", "pcm_f32le"),
    ("flac", "flac"),
    ("mp3", "libmp3lame"),
    ("adts", "aac"),
    ("ipod", "aac"),
    ("ogg", "libopus"),
    ("webm", "libopus"),
]


@pytest.mark.parametrize(("kind", "codec"), FORMATS)
def test_a_tone_keeps_its_pitch_loudness_and_length(decode, kind, codec):
    recording = decode(media(kind, sound=codec), Modality.AUDIO)
    assert recording.samples.dtype == np.float32
    assert recording.samples.ndim == 1
    assert pitch(recording) == pytest.approx(440, abs=1.0)
    assert recording.duration_seconds == pytest.approx(2.0, abs=0.1)
    assert np.sqrt(np.mean(recording.samples**2)) == pytest.approx(0.354, abs=0.03)
    assert recording.stretches == ()


@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000])
def test_any_sample_rate_and_stereo_become_16_khz_mono(decode, rate):
    samples = np.repeat(tone(rate=rate), 2)
    recording = decode(wav(samples, rate, channels=2), Modality.AUDIO)
    assert pitch(recording) == pytest.approx(440, abs=1.0)
    assert len(recording.samples) == pytest.approx(2 * SAMPLE_RATE, abs=64)


def test_of_a_long_recording_stretches_over_all_its_length_are_kept(tmp_path):
    path = stored(tmp_path, media("ogg", sound="libopus", seconds=30))
    with Decoder(slots=1, limits=Limits(sound_seconds=16)) as decoder:
        recording = decoder.decode(path, Modality.AUDIO)
    assert [part.start for part in recording.stretches] == [0, 8, 16, 24]
    assert len(recording.samples) == 16 * SAMPLE_RATE
    assert pitch(recording) == pytest.approx(440, abs=1.0)
    assert recording.duration_seconds == pytest.approx(30, abs=0.1)


VIDEOS = [
    ("mp4", "aac", "libx264"),
    ("mp4", None, "libx265"),
    ("mov", "aac", "mpeg4"),
    ("webm", "libopus", "libvpx"),
    ("webm", "libopus", "libvpx-vp9"),
    ("matroska", None, "mpeg4"),
]


@pytest.mark.parametrize(("kind", "sound", "pictures"), VIDEOS)
def test_a_video_becomes_frames_in_order_and_sound(decode, kind, sound, pictures):
    footage = decode(media(kind, sound, pictures, seconds=6), Modality.VIDEO)
    times = [frame.at_seconds for frame in footage.frames]
    greys = [int(frame.picture.pixels[32, 80, 0]) for frame in footage.frames]
    assert 8 <= len(times) <= 32
    assert times == sorted(times)
    assert times[-1] > 4
    assert greys[-1] > greys[0] + 120
    assert footage.duration_seconds == pytest.approx(6, abs=0.2)
    assert (footage.width, footage.height) == (96, 64)
    assert (footage.sound is not None) == (sound is not None)
    if footage.sound is not None:
        assert pitch(footage.sound) == pytest.approx(440, abs=1.0)


def test_a_video_with_one_key_frame_is_still_sampled_over_its_length(decode):
    footage = decode(media("mp4", None, "libx264", seconds=8, gop=1000), Modality.VIDEO)
    assert len(footage.frames) == 8
    assert footage.frames[-1].at_seconds >= 7


def test_many_key_frames_are_thinned_to_the_limit(decode):
    footage = decode(media("mp4", None, "mpeg4", seconds=30, gop=1), Modality.VIDEO)
    times = np.array([frame.at_seconds for frame in footage.frames])
    assert len(times) == 32
    assert np.diff(times).max() < 2.1
    assert times[-1] > 28


def test_a_video_filmed_on_its_side_is_put_upright(decode):
    footage = decode(media("mp4", None, "libx264", rotation=90), Modality.VIDEO)
    assert footage.frames[0].picture.pixels.shape == (96, 64, 3)
    assert (footage.width, footage.height) == (64, 96)
    assert footage.frames[0].picture.pixels[-5, 32, 0] > 200  # left turns down, counter-clockwise


def test_frames_are_scaled_to_the_side_kept(decode):
    content = media("mp4", None, "mpeg4", seconds=0.3, size=(1280, 320))
    footage = decode(content, Modality.VIDEO)
    assert footage.frames[0].picture.pixels.shape == (180, 720, 3)
    assert footage.frames[0].picture.original_width == 1280


def test_a_video_without_pictures_is_footage_without_frames(decode):
    footage = decode(media("webm", sound="libopus"), Modality.VIDEO)
    assert (footage.frames, footage.width, footage.height) == ((), 0, 0)
    assert pitch(footage.sound) == pytest.approx(440, abs=1.0)


def test_the_sound_of_a_video_file_can_be_asked_for_alone(decode):
    assert pitch(decode(media("mp4", "aac", "mpeg4"), Modality.AUDIO)) == pytest.approx(440, abs=1)
    assert refusal(decode, media("mp4", None, "mpeg4"), Modality.AUDIO).code == "no_sound"


# Hostile uploads


def png(width: int, height: int, depth: int = 8, colour: int = 0) -> bytes:
    """A PNG of nothing but zeros, written without ever holding its pixels."""
    row = bytes(1 + (width * depth * {0: 1, 6: 4}[colour] + 7) // 8)
    squeeze = zlib.compressobj(9)
    pixels = b"".join(squeeze.compress(row) for _ in range(height)) + squeeze.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


@pytest.mark.parametrize(
    ("width", "height", "depth", "megapixels"),
    [(20_000, 20_000, 1, 400), (12_000, 12_000, 1, 144), (9_400, 9_400, 1, 89)],
)
def test_a_picture_of_too_many_pixels_is_refused_before_decoding(
    decode, width, height, depth, megapixels
):
    content = png(width, height, depth)
    assert len(content) < 100_000
    started = time.monotonic()
    refused = refusal(decode, content, Modality.IMAGE)
    assert time.monotonic() - started < 2
    assert refused.code == "too_many_pixels"
    assert str(refused) == f"The picture has {megapixels} megapixels; the limit is 50."


@pytest.mark.parametrize("depth", [8, 16])
def test_the_largest_allowed_picture_fits_the_memory_limit(decode, depth):
    picture = decode(png(7_000, 7_000, depth, colour=6), Modality.IMAGE)  # RGBA
    assert picture.pixels.shape == (2048, 2048, 3)


def test_a_progressive_jpeg_of_the_largest_size_fits_the_memory_limit(decode):
    content = encoded(Image.new("RGB", (7_000, 7_000)), "JPEG", progressive=True)
    assert decode(content, Modality.IMAGE).original_width == 7_000


def test_a_gif_of_ten_thousand_frames_costs_one(decode):
    one = encoded(Image.new("P", (64, 64)), "GIF")
    body = one.index(b",")
    content = one[:body] + one[body:-1] * 10_000 + b";"
    assert decode(content, Modality.IMAGE).pixels.shape == (64, 64, 3)


POLYGLOTS = [
    encoded(halves(), "JPEG") + b"<html><script>alert(1)</script>",
    encoded(halves(), "PNG") + b"PK\x03\x04" + bytes(100),
    encoded(halves(), "JPEG", comment=b"<?php system($_GET[0]); ?>"),
]


@pytest.mark.parametrize("content", POLYGLOTS)
def test_of_a_polyglot_only_the_pixels_come_out(decode, content):
    picture = decode(content, Modality.IMAGE)
    assert picture.pixels.shape == (20, 40, 3)
    again = previews.jpeg(picture, 40)
    assert not any(mark in again for mark in (b"script", b"PK\x03\x04", b"php"))


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bomb.png", bytes(10_000_000))
    return out.getvalue()


NO_MEDIA = [
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",  # called .png by its sender
    b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
    b"ffconcat version 1.0\nfile /etc/passwd\n",
    b"[playlist]\nFile1=http://127.0.0.1/\n",
    b"8BPS\0\x01" + bytes(40),
    gzip.compress(bytes(10_000_000)),
    zipped(),
    b"Habari, this is only text.",
    os.urandom(16) + b"\xff\0" * 50,
]


@pytest.mark.parametrize("modality", [Modality.IMAGE, Modality.AUDIO, Modality.VIDEO])
@pytest.mark.parametrize("content", NO_MEDIA)
def test_what_is_no_media_is_unsupported(decode, content, modality):
    assert refusal(decode, content, modality).code == "unsupported"


@pytest.mark.parametrize("modality", [Modality.IMAGE, Modality.AUDIO, Modality.VIDEO])
def test_an_empty_file_is_named_empty(decode, modality):
    assert refusal(decode, b"", modality).code == "empty"


def test_a_picture_is_not_sound_and_sound_is_not_a_picture(decode):
    assert refusal(decode, encoded(halves(), "PNG"), Modality.AUDIO).code == "unsupported"
    assert refusal(decode, wav(tone()), Modality.IMAGE).code == "unsupported"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP"])
def test_a_truncated_picture_is_refused(decode, kind):
    noise = Image.effect_noise((200, 200), 90).convert("RGB")
    content = encoded(noise, kind)
    refused = refusal(decode, content[: len(content) // 2], Modality.IMAGE)
    assert refused.code in {"truncated", "damaged"}


@pytest.mark.parametrize("kind", ["mp4", "mov"])
def test_a_video_cut_before_its_index_is_damaged(decode, kind):
    content = media(kind, "aac", "mpeg4")
    assert refusal(decode, content[: len(content) // 2], Modality.VIDEO).code == "damaged"


def test_a_recording_cut_short_yields_what_is_there(decode):
    content = media("mp3", sound="libmp3lame", seconds=4)
    recording = decode(content[: len(content) // 2], Modality.AUDIO)
    assert recording.duration_seconds == pytest.approx(2, abs=0.3)


def test_a_wav_that_claims_four_gigabytes_yields_what_is_there(decode):
    content = bytearray(wav(tone()))
    content[4:8] = content[40:44] = b"\xff\xff\xff\xf0"
    recording = decode(bytes(content), Modality.AUDIO)
    assert recording.duration_seconds == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize(
    ("offset", "layout", "value", "codes"),
    [
        (24, "<I", 0, {"damaged", "sample_rate"}),  # samples a second
        (24, "<I", 1, {"sample_rate"}),
        (24, "<I", 0xFFFFFFFF, {"damaged", "sample_rate"}),
        (22, "<H", 0, {"damaged", "channels"}),
        (22, "<H", 65_535, {"damaged", "channels"}),
        (34, "<H", 0, {"damaged", "unsupported_codec", "no_sound"}),  # bits a sample
        (20, "<H", 0x7777, {"damaged", "unsupported_codec", "no_sound"}),  # codec
    ],
)
def test_a_wav_header_that_lies_is_refused(decode, offset, layout, value, codes):
    content = bytearray(wav(tone()))
    struct.pack_into(layout, content, offset, value)
    assert refusal(decode, bytes(content), Modality.AUDIO).code in codes


def test_a_video_of_one_frame(decode):
    footage = decode(media("mp4", None, "mpeg4", seconds=0.1), Modality.VIDEO)
    assert len(footage.frames) == 1


def test_a_header_of_a_hundred_hours_costs_no_time(decode):
    content = bytearray(media("mp4", "aac", "mpeg4"))
    for box, at in ((b"mvhd", 16), (b"mdhd", 16), (b"tkhd", 20)):
        start = 0
        while (start := content.find(box, start) + 4) > 3:
            struct.pack_into(">I", content, start + at, 0x7FFFFFFF)
    started = time.monotonic()
    footage = decode(bytes(content), Modality.VIDEO)
    assert time.monotonic() - started < 2
    assert 0 < len(footage.frames) <= 32


@pytest.mark.parametrize("seed", range(12))
def test_random_damage_ends_in_a_value_or_a_refusal(decode, seed):
    random = np.random.default_rng(seed)
    kinds = [
        (media("mp4", "aac", "libx264"), Modality.VIDEO),
        (media("webm", "libopus", "libvpx"), Modality.VIDEO),
        (media("ogg", sound="libopus"), Modality.AUDIO),
        (encoded(halves(), "PNG"), Modality.IMAGE),
    ]
    content, modality = kinds[seed % len(kinds)]
    damaged = np.frombuffer(content, np.uint8).copy()
    where = random.integers(64, len(damaged), max(1, len(damaged) // 100))
    damaged[where] = random.integers(0, 256, len(where))
    try:
        assert decode(damaged.tobytes(), modality) is not None
    except Undecodable as refused:
        assert refused.code  # noqa: PT017 - either outcome is right; a lost decoder is not


# The sandbox


@LINUX
@pytest.mark.parametrize(
    "order",
    [
        "tcp",
        "unix",
        "exec",
        "fork",
        "open",
        "reopen",
        "kill",
        "ptrace",
        "executable memory",
        "rlimit",
    ],
)
def test_the_sandbox_denies(hostile, tmp_path, order):
    answer = hostile.decode(stored(tmp_path, order.encode()), Modality.AUDIO)
    assert int(answer.samples[0]) == errno.EPERM


def limited(**changes) -> Decoder:
    return Decoder(slots=1, limits=replace(Limits(), **changes), server="hostile_child")


@LINUX
@pytest.mark.parametrize(
    ("order", "changes", "code", "words"),
    [
        ("allocate", {}, "memory", "more than 1,536 MiB"),
        ("spin", {"cpu_seconds": 1}, "cpu", "more than 1 seconds of processor time"),
        ("overfill", {}, "result_size", "larger than 256 MiB"),
        ("raise", {}, "damaged", "could not be decoded"),
    ],
)
def test_a_file_that_costs_too_much_is_refused_by_the_limit_it_breaks(
    tmp_path, order, changes, code, words
):
    with limited(**changes) as decoder, pytest.raises(Undecodable, match=words) as caught:
        decoder.decode(stored(tmp_path, order.encode()), Modality.AUDIO)
    assert caught.value.code == code


@LINUX
@pytest.mark.parametrize(
    ("order", "changes", "words"),
    [
        ("crash", {}, "ended by SIGSEGV"),
        ("sleep", {"wall_seconds": 0.3}, "longer than 0.3 seconds"),
        ("garble", {}, "could not be understood"),
    ],
)
def test_after_a_lost_decoder_the_next_file_is_decoded(tmp_path, order, changes, words):
    with limited(**changes) as decoder:
        with pytest.raises(DecoderLost, match=words):
            decoder.decode(stored(tmp_path, order.encode()), Modality.AUDIO)
        assert decoder.decode(stored(tmp_path, wav(tone())), Modality.AUDIO).samples.size > 0


def in_background(decoder, path) -> tuple[threading.Thread, list[BaseException]]:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            decoder.decode(path, Modality.AUDIO)
        except DecoderLost as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, errors


@LINUX
@pytest.mark.parametrize("victim", ["child", "server"])
def test_a_killed_decoder_is_reported_and_replaced(hostile, tmp_path, victim):
    (server,) = hostile.pids
    thread, errors = in_background(hostile, stored(tmp_path, b"sleep"))
    eventually(lambda: children(server))
    child = children(server)[0]
    os.kill(child if victim == "child" else server, signal.SIGKILL)
    thread.join(10)
    assert [type(error) for error in errors] == [DecoderLost]
    eventually(lambda: not exists(child))
    other = tmp_path / "other"
    other.write_bytes(wav(tone()))
    assert hostile.decode(other, Modality.AUDIO).samples.size > 0


@LINUX
def test_nothing_outlives_a_killed_worker(tmp_path):
    path = stored(tmp_path, b"sleep")
    script = (
        "import sys, pathlib\n"
        "from inference_worker.decoding.decoder import Decoder\n"
        "from inference_worker.types import Modality\n"
        "decoder = Decoder(slots=1, server='hostile_child')\n"
        "print(decoder.pids[0], flush=True)\n"
        "decoder.decode(pathlib.Path(sys.argv[1]), Modality.AUDIO)\n"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    server = int(worker.stdout.readline())
    eventually(lambda: children(server))
    child = children(server)[0]
    worker.kill()
    worker.wait()
    worker.stdout.close()
    eventually(lambda: not exists(server) and not exists(child))


@LINUX
def test_two_hundred_decodes_leak_no_file_descriptor(decoder, tmp_path):
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(encoded(halves(), "PNG"))
    bad.write_bytes(b"\xff\xd8\xff junk")
    (server,) = decoder.pids

    def open_files() -> list[int]:
        gc.collect()
        return [len(list(Path(f"/proc/{p}/fd").iterdir())) for p in (os.getpid(), server)]

    decoder.decode(good, Modality.IMAGE)
    before = open_files()
    for _ in range(100):
        decoder.decode(good, Modality.IMAGE)
        with pytest.raises(Undecodable):
            decoder.decode(bad, Modality.IMAGE)
    assert open_files() == before


@LINUX
def test_the_server_sees_none_of_the_workers_secrets(decoder, monkeypatch, tmp_path):
    monkeypatch.setenv("KILINDA_TEST_SECRET", "hunter2")
    with Decoder(slots=1) as fresh:
        environment = Path(f"/proc/{fresh.pids[0]}/environ").read_bytes()
    assert b"hunter2" not in environment


def test_slots_decode_side_by_side(tmp_path):
    path = stored(tmp_path, media("mp4", "aac", "mpeg4"))
    found = []
    with Decoder(slots=2) as decoder:
        work = [
            threading.Thread(target=lambda: found.append(decoder.decode(path, Modality.VIDEO)))
            for _ in range(6)
        ]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join(30)
    assert len({footage.frames[0].picture.pixels.tobytes() for footage in found}) == 1
    assert len(found) == 6


def test_closing_ends_the_servers():
    decoder = Decoder(slots=2)
    pids = decoder.pids
    decoder.close()
    assert len(pids) == 2
    assert not any(exists(pid) for pid in pids)


def test_a_pipe_or_a_missing_file_is_never_waited_for(decoder, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Undecodable, match="regular"):
        decoder.decode(tmp_path / "pipe", Modality.AUDIO)
    with pytest.raises(FileNotFoundError):
        decoder.decode(tmp_path / "missing", Modality.AUDIO)


def test_an_unknown_machine_has_no_filter_and_known_ones_fit_the_kernel():
    with pytest.raises(OSError, match="riscv64"):
        filter_code("riscv64")
    for machine in ("x86_64", "aarch64"):
        assert len(filter_code(machine)) % 8 == 0
        assert len(filter_code(machine)) // 8 < 4096  # BPF_MAXINSNS


# Previews


def test_peaks_follow_the_loudness():
    quiet_then_loud = np.concatenate([np.full(800, 0.1), np.full(800, -0.9)]).astype("f4")
    recording = Recording(quiet_then_loud, 0.1)
    assert previews.peaks(recording, 4) == pytest.approx([0.1, 0.1, 0.9, 0.9])
    assert len(previews.peaks(Recording(np.zeros(3, "f4"), 0.0), 10)) == 3
    assert previews.peaks(Recording(np.zeros(0, "f4"), 0.0), 10) == [0.0]


def test_a_thumbnail_keeps_the_shape_of_the_picture():
    picture = Picture(np.asarray(halves(400, 100)), 400, 100)
    with Image.open(io.BytesIO(previews.jpeg(picture, 80))) as thumbnail:
        assert thumbnail.size == (80, 20)
        assert is_close(thumbnail.getpixel((5, 10)), (255, 0, 0))
