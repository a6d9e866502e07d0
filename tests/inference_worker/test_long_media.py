"""Long, sparse and damaged media: bounded memory and time, and all of the length looked at."""

import io
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from inference_worker.decoding import scenes
from inference_worker.decoding.decoder import Decoder
from inference_worker.decoding.keyframes import spread
from inference_worker.decoding.limits import MIB, Limits
from inference_worker.decoding.previews import peaks
from inference_worker.decoding.stretches import BLOCK_SAMPLES, Blocks
from inference_worker.errors import Undecodable
from inference_worker.sampling import clock, unheard, unseen
from inference_worker.types import (
    SAMPLE_RATE,
    Footage,
    Frame,
    Modality,
    Picture,
    Recording,
    Stretch,
)

HOUR = 3600
COLOURS = {"red": (255, 0, 0), "lime": (0, 255, 0), "blue": (0, 0, 255)}


@pytest.fixture(scope="module")
def decoder():
    with Decoder(slots=1) as decoder:
        yield decoder


def stored(folder: Path, content: bytes) -> Path:
    path = folder / "upload"
    path.write_bytes(content)
    return path


# Made by encoding little and repeating its packets: three hours in a second


def tone(hertz: float, seconds: float, rate: int) -> np.ndarray:
    return (0.4 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype("f4")


def tone_packets(stream, hertz: float, seconds: float) -> list:
    samples = tone(hertz, seconds, stream.rate)
    resampler = av.AudioResampler(stream.format, "mono", stream.rate, stream.frame_size or 1024)
    frame = av.AudioFrame.from_ndarray(samples[None], "flt", "mono")
    frame.sample_rate, frame.pts = stream.rate, 0
    return [p for piece in resampler.resample(frame) for p in stream.encode(piece)]


def long_sound(kind: str, codec: str, rate: int, pitches, each_seconds: float) -> bytes:
    """A recording that changes its pitch every `each_seconds`."""
    out = io.BytesIO()
    with av.open(out, "w", format=kind) as file:
        stream = file.add_stream(codec, rate=rate, layout="mono")
        at = 0
        for hertz in pitches:
            packets = tone_packets(stream, hertz, 8)
            for n in range(int(each_seconds / 8 * len(packets))):
                packet = packets[n % len(packets)]
                again = av.Packet(bytes(packet))
                again.stream, again.time_base = stream, packet.time_base
                again.pts = again.dts = at
                again.duration = packet.duration
                at += packet.duration
                file.mux(again)
    return out.getvalue()


def pitch(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * SAMPLE_RATE / len(samples))


THREE_HOURS = ("ogg", "libopus", 16_000)


@pytest.fixture(scope="module")
def three_hours(tmp_path_factory) -> Path:
    return stored(tmp_path_factory.mktemp("long"), long_sound(*THREE_HOURS, (300, 500, 700), HOUR))


def test_three_hours_are_heard_over_their_whole_length_at_the_right_times(decoder, three_hours):
    recording = decoder.decode(three_hours, Modality.AUDIO)
    assert recording.duration_seconds == pytest.approx(3 * HOUR, rel=0.01)
    assert 300 <= len(recording.samples) / SAMPLE_RATE <= 600
    starts = [start for start, _ in recording.parts()]
    assert starts[0] == 0
    assert starts[-1] > 3 * HOUR - 200
    assert len({round(after - before) for before, after in pairwise(starts)}) == 1
    for start, samples in recording.parts():
        if start % HOUR < HOUR - 60:  # not across a change
            assert pitch(samples) == pytest.approx((300, 500, 700)[int(start // HOUR)], abs=2)


def test_three_hours_fit_memory_that_their_samples_would_not(three_hours):
    """As samples they are 660 MiB. The limit is on the address space; the kernel enforces it."""
    tight = Limits(memory_bytes=640 * MIB)
    with Decoder(slots=1, limits=tight) as decoder:
        assert len(decoder.decode(three_hours, Modality.AUDIO).stretches) > 50
    whole = replace(
        tight, sound_seconds=4.0 * HOUR, reading_cpu_seconds=100, cpu_seconds=120, wall_seconds=500
    )
    with Decoder(slots=1, limits=whole) as decoder, pytest.raises(Undecodable, match="640 MiB"):
        decoder.decode(three_hours, Modality.AUDIO)


def test_out_of_time_what_was_read_counts_and_the_rest_is_told(three_hours):
    with Decoder(slots=1, limits=Limits(reading_cpu_seconds=0.3)) as decoder:
        recording = decoder.decode(three_hours, Modality.AUDIO)
    assert recording.stretches
    (told,) = unheard(recording)
    assert told.code == "sampled_sound"
    assert told.details["longest_gap_seconds"] > 100


@pytest.mark.parametrize(
    ("kind", "codec", "rate"),
    [("mp4", "aac", 44_100), ("mp3", "libmp3lame", 44_100), ("amr", "libopencore_amrnb", 8_000)],
)
def test_half_an_hour_in_any_format_is_heard_to_its_end(decoder, tmp_path, kind, codec, rate):
    path = stored(tmp_path, long_sound(kind, codec, rate, (300, 700), 900))
    recording = decoder.decode(path, Modality.AUDIO)
    assert recording.duration_seconds == pytest.approx(1800, rel=0.02)
    first, last = (list(recording.parts())[n] for n in (1, -2))
    assert pitch(first[1]) == pytest.approx(300, abs=3)
    assert pitch(last[1]) == pytest.approx(700, abs=3)
    assert last[0] > 1700


def test_blocks_keep_a_bounded_evenly_spread_part():
    blocks = Blocks(most=10)
    for number in range(1000):
        if blocks.wants(number):
            blocks.add(number, np.full(2, number, np.float32))
    samples, stretches = blocks.joined()
    assert [stretch.start for stretch in stretches] == [4 * n for n in range(0, 1000, 128)]
    assert samples[::2].tolist() == list(range(0, 1000, 128))


def test_blocks_that_follow_one_another_are_one_stretch():
    blocks = Blocks(most=10)
    for number in range(5):
        blocks.add(number, np.zeros(BLOCK_SAMPLES, np.float32))
    samples, stretches = blocks.joined()
    assert stretches == (Stretch(0.0, 0, 5 * BLOCK_SAMPLES),)
    assert len(samples) == 5 * BLOCK_SAMPLES


def sampled() -> Recording:
    stretches = (Stretch(0.0, 0, 64_000), Stretch(96.0, 64_000, 64_000))
    samples = np.concatenate([np.full(64_000, 0.1), np.full(64_000, 0.9)]).astype("f4")
    return Recording(samples, 200.0, stretches=stretches)


def test_a_moment_of_a_sampled_recording_is_found():
    recording = sampled()
    assert recording.at(2.0) == 32_000
    assert recording.at(50.0) == 64_000  # left out: the next that was kept
    assert recording.at(98.0) == 96_000
    assert recording.at(150.0) == 128_000


def test_peaks_of_a_sampled_recording_lie_at_their_time():
    shown = peaks(sampled(), 20)  # ten seconds each
    assert shown[0] == pytest.approx(0.1)
    assert shown[9] == pytest.approx(0.9)
    assert shown[2] == pytest.approx(0.1)
    assert shown[15] == pytest.approx(0.9)


def test_what_was_not_heard_is_said_in_words():
    (told,) = unheard(sampled())
    assert told.message == (
        "The sound is 3:20 long; 0:08 of it were listened to, in 2 stretches spread over the "
        "whole. The longest part left out is 1:40."
    )
    assert not list(unheard(Recording(np.zeros(9, "f4"), 9 / SAMPLE_RATE)))
    assert clock(3 * HOUR + 61) == "3:01:01"


# Video


def colour_packets(stream, colour, scene: int, gop: int) -> list:
    """Six groups of pictures of one colour, with a bar that grows."""
    packets = []
    for n in range(6 * gop):
        image = np.empty((36, 64, 3), np.uint8)
        image[:] = colour
        image[:16, : 4 + 4 * (5 * n // gop % 7)] //= 3
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts = scene * 6 * gop + n
        packets += stream.encode(frame)
    return packets


def long_video(colours, each_seconds: int, gop: int, kind="mp4", codec="mpeg4") -> bytes:
    """A video of 10 frames a second that changes its colour every `each_seconds`."""
    out = io.BytesIO()
    with av.open(out, "w", format=kind) as file:
        stream = file.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 36, "yuv420p"
        stream.gop_size, stream.bit_rate = gop, 20_000
        stream.codec_context.max_b_frames = 0
        if codec == "libvpx":
            stream.options = {"lag-in-frames": "0", "cpu-used": "8", "deadline": "realtime"}
        at = 0
        for scene, colour in enumerate(colours):
            packets = colour_packets(stream, COLOURS[colour], scene, gop)
            for n in range(each_seconds * 10):
                again = av.Packet(bytes(packets[n % len(packets)]))
                again.stream, again.time_base = stream, packets[0].time_base
                again.is_keyframe = packets[n % len(packets)].is_keyframe
                again.pts = again.dts = at
                again.duration = 1
                at += 1
                file.mux(again)
    return out.getvalue()


def colour_of(frame: Frame) -> str:
    pixel = frame.picture.pixels[frame.picture.pixels.shape[0] // 2, -2].astype(int)
    return min(COLOURS, key=lambda name: np.abs(pixel - COLOURS[name]).sum())


def test_two_hours_of_video_give_frames_of_every_scene_in_bounded_time(decoder, tmp_path):
    path = stored(tmp_path, long_video(("red", "lime", "blue"), 2400, gop=50))
    started = time.monotonic()
    footage = decoder.decode(path, Modality.VIDEO)
    assert time.monotonic() - started < 60
    assert footage.duration_seconds == pytest.approx(2 * HOUR, rel=0.01)
    assert footage.scenes == 3
    assert len(footage.frames) <= 32
    seen = [(colour_of(frame), frame.at_seconds) for frame in footage.frames]
    assert [colour for colour, _ in seen] == sorted(
        (colour for colour, _ in seen), key=("red", "lime", "blue").index
    )
    assert {colour for colour, _ in seen} == set(COLOURS)
    assert all(int(at // 2400) == ("red", "lime", "blue").index(name) for name, at in seen)
    (told,) = unseen(footage)
    assert told.details["scenes"] == 3


def test_a_short_scene_among_long_ones_is_not_missed(decoder, tmp_path):
    scenes_of_it = ["red"] * 9 + ["blue"] + ["red"] * 10
    path = stored(tmp_path, long_video(scenes_of_it, 10, gop=10))
    footage = decoder.decode(path, Modality.VIDEO)
    assert footage.scenes == 3
    assert any(colour_of(frame) == "blue" for frame in footage.frames)


def test_few_key_frames_are_filled_in_over_the_whole_length_within_the_time(tmp_path):
    """Four key frames, 50 s apart; time for a small part of the frames between them."""
    path = stored(tmp_path, long_video(("red", "lime", "blue", "red"), 50, gop=500))
    with Decoder(slots=1, limits=Limits(dense_cpu_seconds=0.04)) as decoder:
        footage = decoder.decode(path, Modality.VIDEO)
    quarters = {int(frame.at_seconds // 50) for frame in footage.frames}
    assert quarters == {0, 1, 2, 3}
    with Decoder(slots=1) as decoder:
        footage = decoder.decode(path, Modality.VIDEO)
    assert max(b.at_seconds - a.at_seconds for a, b in pairwise(footage.frames)) < 25
    assert footage.frames[-1].at_seconds > 180


def test_a_still_picture_is_judged_once(decoder, tmp_path):
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 128, 96, "yuv420p", 10
        image = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
        image = image.repeat(8, axis=0).repeat(8, axis=1)
        for n in range(300):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = n
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    footage = decoder.decode(stored(tmp_path, out.getvalue()), Modality.VIDEO)
    assert len(footage.frames) == 1
    assert footage.scenes == 1
    assert footage.duration_seconds == pytest.approx(60, abs=1)


def test_frames_of_a_variable_rate_have_their_own_times(decoder, tmp_path):
    out = io.BytesIO()
    shown_at = [0, 100, 200, 5_000, 5_100, 20_000, 29_000]  # ms
    with av.open(out, "w", format="matroska") as file:
        stream = file.add_stream("mpeg4", rate=1000)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 36, "yuv420p", 1
        for n, at in enumerate(shown_at):
            image = np.full((36, 64, 3), 30 * n, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = at
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    footage = decoder.decode(stored(tmp_path, out.getvalue()), Modality.VIDEO)
    assert [round(1000 * frame.at_seconds) for frame in footage.frames] == shown_at


@pytest.mark.parametrize("kind", ["mp4", "matroska", "webm"])
def test_behind_a_broken_middle_the_rest_is_seen(decoder, tmp_path, kind):
    codec = "libvpx" if kind == "webm" else "mpeg4"
    content = bytearray(long_video(("red", "lime", "blue"), 40, gop=10, kind=kind, codec=codec))
    third = len(content) // 3
    noise = np.random.default_rng(1).integers(0, 256, third // 2, np.uint8).tobytes()
    content[third : third + len(noise)] = noise
    footage = decoder.decode(stored(tmp_path, bytes(content)), Modality.VIDEO)
    assert colour_of(footage.frames[0]) == "red"
    assert colour_of(footage.frames[-1]) == "blue"
    assert footage.frames[-1].at_seconds > 100


def test_an_mp4_of_sound_only_is_footage_without_frames(decoder, tmp_path):
    path = stored(tmp_path, long_sound("mp4", "aac", 44_100, (440,), 8))
    footage = decoder.decode(path, Modality.VIDEO)
    assert footage.frames == ()
    assert pitch(footage.sound.samples) == pytest.approx(440, abs=1)


def test_whatever_part_of_a_spread_order_is_taken_it_is_even():
    assert sorted(spread(13)) == list(range(13))
    first = sorted(list(spread(64))[:8])
    assert [after - before for before, after in pairwise(first)] == [8] * 7
    assert list(spread(1)) == [0]
    assert list(spread(0)) == []


def test_every_scene_gives_a_frame_and_long_ones_more():
    scene_of = [0] * 20 + [1] * 2 + [2] * 10
    rng = np.random.default_rng(0)
    frames = [
        np.clip(np.full((18, 32), 0.1 + 0.4 * s, "f4") + rng.normal(0, 0.02, (18, 32)), 0, 1)
        for s in scene_of
    ]
    places, count = scenes.chosen(frames, list(range(32)), wanted=8, most=8)
    assert count == 3
    assert len(places) == 8
    shares = [sum(scene_of[place] == s for place in places) for s in range(3)]
    assert shares[1] == 1
    assert shares[0] > shares[2] >= 2


def test_more_scenes_than_frames_are_sampled_evenly():
    frames = [np.full((18, 32), n % 2, "f4") for n in range(100)]
    places, count = scenes.chosen(frames, list(range(100)), wanted=8, most=8)
    assert count == 100
    assert len(places) == 8
    assert places[0] == 0
    assert places[-1] == 99


def test_frames_far_apart_are_told():
    picture = Picture(np.zeros((2, 2, 3), np.uint8), 2, 2)
    near = Footage((Frame(0.0, picture), Frame(9.0, picture)), None, 20.0, 2, 2, scenes=1)
    assert not list(unseen(near))
    (told,) = unseen(replace(near, duration_seconds=600.0))
    assert told.message == (
        "The video is 10:00 long; 2 frames from 1 scene were judged. "
        "The longest part without a judged frame is 9:51."
    )


# What phones and their messengers record


@pytest.mark.parametrize(
    ("kind", "codec", "rate", "bit_rate"),
    [
        ("amr", "libopencore_amrnb", 8_000, 12_200),
        ("amr", "libopencore_amrnb", 8_000, 4_750),
        ("3gp", "libopencore_amrnb", 8_000, 7_950),
        ("3gp", "aac", 16_000, 24_000),
        ("ipod", "aac", 44_100, 64_000),  # m4a
        ("mov", "alac", 44_100, 0),
        ("ogg", "libopus", 16_000, 16_000),  # voice notes
        ("ogg", "libopus", 48_000, 6_000),
        ("adts", "aac", 44_100, 32_000),
        ("mp3", "libmp3lame", 22_050, 32_000),
        ("wav", "pcm_mulaw", 8_000, 64_000),
        ("wav", "pcm_alaw", 8_000, 64_000),
        ("wav", "adpcm_ima_wav", 8_000, 32_000),
    ],
)
def test_what_phones_record_is_decoded(decoder, tmp_path, kind, codec, rate, bit_rate):
    out = io.BytesIO()
    with av.open(out, "w", format=kind) as file:
        stream = file.add_stream(codec, rate=rate, layout="mono")
        if bit_rate:
            stream.bit_rate = bit_rate
        for packet in [*tone_packets(stream, 440, 3), *stream.encode(None)]:
            file.mux(packet)
    recording = decoder.decode(stored(tmp_path, out.getvalue()), Modality.AUDIO)
    assert recording.duration_seconds == pytest.approx(3, abs=0.15)
    assert pitch(recording.samples) == pytest.approx(440, abs=2)
