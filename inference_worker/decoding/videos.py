"""Read a video with libav as a few frames, some of every scene, and its sound."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import IO, Any

import av
import numpy as np

from inference_worker.decoding import scenes
from inference_worker.decoding.containers import first_pictures, first_sound, opened
from inference_worker.decoding.keyframes import KeyPackets, spread
from inference_worker.decoding.limits import Limits
from inference_worker.decoding.pictures import check_pixels
from inference_worker.decoding.sniff import Sniffed
from inference_worker.decoding.sounds import SoundTrack
from inference_worker.errors import Undecodable
from inference_worker.types import Footage, Frame, Picture, Recording

_ERRORS_PASSED_OVER = 50
"""Damaged places after which reading goes on behind them; more, and the rest is given up."""
_CLOCK_EVERY = 256
"""Packets between two looks at the clock."""
_WIDEST_GAP = 0.25
"""Share of a video without a key frame from which frames between them are decoded too."""


def read_footage(file: IO[bytes], sniffed: Sniffed, limits: Limits) -> Footage:
    """Decode key frames and sound in one pass; a second pass if there are too few key frames.

    A file that holds sound only becomes a Footage without frames (width and height 0): intake
    cannot always tell it from a video. Raises Undecodable("empty") if it holds neither.
    """
    with opened(file, sniffed, limits) as container:
        pictures, sound = first_pictures(container), first_sound(container)
        if pictures is None and sound is None:
            raise Undecodable("empty", "The file has neither pictures nor sound.")
        if pictures is not None:
            check_pixels(
                pictures.codec_context.width, pictures.codec_context.height, limits, "video"
            )
        keys = KeyPackets(limits.video_keys, limits.key_bytes)
        recording = _first_pass(container, pictures, sound, keys, limits)
        frames: tuple[Frame, ...] = ()
        scene_count = 0
        if pictures is not None:
            frames, scene_count = _frames(container, pictures, keys, limits)
    if not frames and recording is None:
        raise Undecodable("damaged", "Not one frame of the video could be decoded.")
    seconds = max(keys.end_seconds, recording.duration_seconds if recording else 0.0)
    width = frames[0].picture.original_width if frames else 0
    height = frames[0].picture.original_height if frames else 0
    return Footage(frames, recording, seconds, width, height, scenes=scene_count)


def _first_pass(
    container: Any, pictures: Any, sound: Any, keys: KeyPackets, limits: Limits
) -> Recording | None:
    """Decode the sound and collect key packets; a file cut short yields what there is of it."""
    track = SoundTrack(sound, limits) if sound is not None else None
    stop = time.process_time() + limits.reading_cpu_seconds
    streams = [stream for stream in (pictures, sound) if stream is not None]
    for count, packet in enumerate(_packets(container, streams), 1):
        if packet.stream is pictures or packet.stream.type == "video":
            keys.take(packet)
        elif track is not None:
            track.take(packet)
        if count % _CLOCK_EVERY == 0 and time.process_time() > stop:
            break
    return track.finish() if track is not None else None


def _packets(container: Any, streams: list[Any]) -> Iterator[Any]:
    """Yield packets to the end of the file, past what is damaged on the way."""
    for _ in range(_ERRORS_PASSED_OVER):
        try:
            yield from container.demux(*streams)
        except av.error.InvalidDataError:
            continue
        return


def _frames(
    container: Any, pictures: Any, keys: KeyPackets, limits: Limits
) -> tuple[tuple[Frame, ...], int]:
    """Return the frames kept, in order of time, and the number of scenes they come from."""
    found = {f.at_seconds: f for f in _key_frames(pictures, keys, limits)}
    wanted = limits.video_frames
    if _is_sparse(keys, limits):
        between = _dense_frames(container, pictures, keys, limits)
        found |= {frame.at_seconds: frame for frame in between}
        wanted = round(keys.end_seconds / limits.video_frame_every)
        wanted = min(max(wanted, limits.video_frames_least), limits.video_frames)
    frames = [found[at] for at in sorted(found)]
    places, count = scenes.chosen(
        [scenes.luma(frame.picture) for frame in frames],
        [frame.at_seconds for frame in frames],
        wanted,
        limits.video_frames,
    )
    return tuple(frames[place] for place in places), count


def _is_sparse(keys: KeyPackets, limits: Limits) -> bool:
    few = len(keys.packets) < limits.video_frames_least
    return few or keys.widest_gap > _WIDEST_GAP * keys.end_seconds


def _key_frames(pictures: Any, keys: KeyPackets, limits: Limits) -> Iterator[Frame]:
    """Decode each key packet by itself, so that none waits for a frame that was left out."""
    context = pictures.codec_context
    context.skip_frame = "NONKEY"
    stop = time.process_time() + limits.keys_cpu_seconds
    for place in spread(len(keys.packets)):
        for packet in (keys.packets[place], None):
            for frame in _decoded(context, packet):
                yield _frame(frame, pictures, limits)
        context.flush_buffers()
        if time.process_time() > stop:
            return


def _decoded(context: Any, packet: Any | None) -> Iterable[Any]:
    """Decode one packet; a damaged one yields no frames."""
    try:
        return [frame for frame in context.decode(packet) if not frame.is_corrupt]
    except (av.error.InvalidDataError, av.error.EOFError):
        return ()


def _dense_frames(
    container: Any, pictures: Any, keys: KeyPackets, limits: Limits
) -> Iterator[Frame]:
    """Decode on from each key frame, as far as its share of the time allows.

    The share grows with the distance to the next key frame, and what one does not need is left to
    those after it: so every part of the video is looked at before time is up.
    """
    context = pictures.codec_context
    container.seek(0)
    context.flush_buffers()
    context.skip_frame = "NONREF"
    step = keys.end_seconds / (2 * limits.video_frames)
    due, began, is_skipping = 0.0, time.process_time(), False
    for packet in _packets(container, [pictures]):
        if packet.is_keyframe and is_skipping:
            context.flush_buffers()
            is_skipping = False
        if is_skipping:
            continue
        for frame in _decoded(context, packet if packet.size else None):
            at = _seconds(frame, pictures)
            if at >= due:
                due = at + step
                yield _frame(frame, pictures, limits)
        used = time.process_time() - began
        is_skipping = used > limits.dense_cpu_seconds * keys.share_until_next(packet)


def _seconds(frame: Any, stream: Any) -> float:
    if frame.pts is None:
        return 0.0
    return max(0.0, float((frame.pts - (stream.start_time or 0)) * stream.time_base))


def _frame(frame: Any, stream: Any, limits: Limits) -> Frame:
    """Scale down, convert to RGB and turn upright (phones film upright with a turned sensor)."""
    check_pixels(frame.width, frame.height, limits, "video")
    ratio = min(1.0, limits.frame_side / max(frame.width, frame.height))
    width, height = (max(1, round(n * ratio)) for n in (frame.width, frame.height))
    small = frame.reformat(
        width=width, height=height, format="rgb24", interpolation="AREA", threads=1
    )
    turns = round(frame.rotation / 90) % 4
    pixels = np.ascontiguousarray(np.rot90(small.to_ndarray(), turns))
    sides = (frame.height, frame.width) if turns % 2 else (frame.width, frame.height)
    return Frame(_seconds(frame, stream), Picture(pixels, *sides))
