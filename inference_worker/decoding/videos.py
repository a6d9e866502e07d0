"""Read a video with libav as a few frames spread over its length, and its sound."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import IO, Any

import av
import numpy as np

from inference_worker.decoding.containers import first_pictures, first_sound, opened
from inference_worker.decoding.limits import Limits
from inference_worker.decoding.pictures import check_pixels
from inference_worker.decoding.sniff import Sniffed
from inference_worker.decoding.sounds import SoundTrack
from inference_worker.errors import Undecodable
from inference_worker.types import Footage, Frame, Picture, Recording


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
        keys = _KeyPackets(limits.video_frames)
        recording = _first_pass(container, pictures, sound, keys, limits)
        frames = _frames(container, pictures, keys, limits) if pictures is not None else ()
    if not frames and recording is None:
        raise Undecodable("damaged", "Not one frame of the video could be decoded.")
    return _footage(frames, recording, keys.end_seconds)


def _footage(frames: tuple[Frame, ...], recording: Recording | None, end_seconds: float) -> Footage:
    seconds = max(end_seconds, recording.duration_seconds if recording else 0.0)
    width = frames[0].picture.original_width if frames else 0
    height = frames[0].picture.original_height if frames else 0
    return Footage(frames, recording, seconds, width, height)


class _KeyPackets:
    """Key frames' packets, thinned by doubling the stride so that at most 2 * `most` are held."""

    def __init__(self, most: int) -> None:
        self.packets: list[Any] = []
        self.end_seconds = 0.0
        self.seen = 0
        self._most = most
        self._stride = 1

    def take(self, packet: Any) -> None:
        self.end_seconds = max(self.end_seconds, _end_seconds(packet))
        if not packet.is_keyframe or not packet.size:
            return
        if self.seen % self._stride == 0:
            self.packets.append(packet)
        self.seen += 1
        if len(self.packets) > 2 * self._most:
            self.packets = self.packets[::2]
            self._stride *= 2


def _end_seconds(packet: Any) -> float:
    if packet.pts is None:
        return 0.0
    start = packet.stream.start_time or 0
    return float((packet.pts - start + (packet.duration or 0)) * packet.time_base)


def _first_pass(
    container: Any, pictures: Any, sound: Any, keys: _KeyPackets, limits: Limits
) -> Recording | None:
    """Decode the sound and collect key packets; a file cut short yields what there is of it."""
    track = SoundTrack(sound, limits) if sound is not None else None
    for packet in _packets(container, [s for s in (pictures, sound) if s is not None]):
        if packet.stream is pictures or packet.stream.type == "video":
            keys.take(packet)
        elif track is not None:
            track.take(packet)
    return track.finish() if track is not None else None


def _packets(container: Any, streams: list[Any]) -> Iterator[Any]:
    try:
        yield from container.demux(*streams)
    except av.error.InvalidDataError:
        return


def _frames(container: Any, pictures: Any, keys: _KeyPackets, limits: Limits) -> tuple[Frame, ...]:
    chosen = _evenly(keys.packets, limits.video_frames)
    if len(chosen) >= limits.video_frames_least:
        decoded = _decoded_keys(pictures.codec_context, chosen)
        return tuple(_frame(f, pictures, limits) for f in decoded)
    return _dense_frames(container, pictures, keys.end_seconds, limits)


def _evenly(items: list[Any], most: int) -> list[Any]:
    if len(items) <= most:
        return items
    return [items[round(i)] for i in np.linspace(0, len(items) - 1, most)]


def _decoded_keys(context: Any, packets: list[Any]) -> Iterator[Any]:
    """Decode each key packet by itself, so that none waits for a frame that was left out."""
    context.skip_frame = "NONKEY"
    for packet in packets:
        yield from _decoded(context, packet)
        yield from _decoded(context, None)
        context.flush_buffers()


def _decoded(context: Any, packet: Any | None) -> Iterable[Any]:
    """Decode one packet; a damaged one yields no frames."""
    try:
        return list(context.decode(packet))
    except (av.error.InvalidDataError, av.error.EOFError):
        return ()


def _dense_frames(
    container: Any, pictures: Any, end_seconds: float, limits: Limits
) -> tuple[Frame, ...]:
    """Decode from the start and keep `video_frames_least` frames, one a step of equal length."""
    container.seek(0)
    pictures.codec_context.flush_buffers()
    pictures.codec_context.skip_frame = "NONREF"
    step = end_seconds / limits.video_frames_least
    stop = time.process_time() + limits.dense_seconds
    kept: list[Frame] = []
    for packet in _packets(container, [pictures]):
        for frame in _decoded(pictures.codec_context, packet if packet.size else None):
            if _seconds(frame, pictures) >= len(kept) * step and _is_room(kept, limits):
                kept.append(_frame(frame, pictures, limits))
        if time.process_time() > stop:
            break
    return tuple(kept)


def _is_room(kept: list[Frame], limits: Limits) -> bool:
    return len(kept) < limits.video_frames_least


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
