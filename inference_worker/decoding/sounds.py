"""Read sound with libav as 16 kHz mono, keeping no more than a limit and counting the rest."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import IO, Any

import av
import numpy as np
import numpy.typing as npt

from inference_worker.decoding.containers import first_sound, opened
from inference_worker.decoding.limits import Limits
from inference_worker.decoding.sniff import Sniffed
from inference_worker.errors import Undecodable
from inference_worker.types import SAMPLE_RATE, Recording

_HIGHEST_SAMPLE_RATE = 384_000
_MOST_CHANNELS = 16


def read_recording(file: IO[bytes], sniffed: Sniffed, limits: Limits) -> Recording:
    """Decode the first sound track of `file`, a sound or video file; else raise Undecodable."""
    with opened(file, sniffed, limits) as container:
        stream = first_sound(container)
        if stream is None:
            raise Undecodable("no_sound", "The file has no sound track.")
        track = SoundTrack(stream, limits)
        for packet in container.demux(stream):
            track.take(packet)
        recording = track.finish()
    if recording is None:
        raise Undecodable("no_sound", "The file's sound track is empty.")
    return recording


class SoundTrack:
    """Collects the samples of one stream, packet by packet."""

    def __init__(self, stream: Any, limits: Limits) -> None:
        """Raise Undecodable("sample_rate" | "channels") if the stream's header is beyond reason."""
        self._limits = limits
        self._stream = stream
        self._room = math.ceil(limits.sound_seconds * SAMPLE_RATE)
        self._resampler: av.AudioResampler | None = None
        self._source: tuple[str, str, int] | None = None
        self._kept: list[npt.NDArray[np.float32]] = []
        self._end_seconds = 0.0
        self._packets = self._damaged = 0
        context = stream.codec_context
        _check_header(context.sample_rate, context.channels, limits)

    def take(self, packet: Any) -> None:
        """Decode one packet (an empty one flushes); once full, only note how far the track goes."""
        if packet.pts is not None:
            start = self._stream.start_time or 0
            end = packet.pts - start + (packet.duration or 0)
            self._end_seconds = max(self._end_seconds, float(end * packet.time_base))
        if self._room <= 0:
            return
        self._packets += 1
        try:
            frames = packet.decode()
        except (av.error.InvalidDataError, av.error.EOFError):
            self._damaged += 1
            return
        self._keep(sample for frame in frames for sample in self._resampled(frame))

    def finish(self) -> Recording | None:
        """Return what was collected, or None if there is not one sample."""
        self._check_damage()
        if self._resampler is not None:
            self._keep(self._resampler.resample(None))
        if not self._kept:
            return None
        samples = np.concatenate(self._kept)
        seconds = len(samples) / SAMPLE_RATE
        truncated = self._room <= 0 and self._end_seconds > seconds
        return Recording(
            samples, max(seconds, self._end_seconds) if truncated else seconds, truncated
        )

    def _resampled(self, frame: Any) -> list[Any]:
        """Resample to mono; a stream may change its format on the way, so the resampler may too."""
        _check_header(frame.sample_rate, len(frame.layout.channels), self._limits)
        source = (frame.format.name, frame.layout.name, frame.sample_rate)
        flushed: list[Any] = []
        if self._resampler is None or source != self._source:
            flushed = self._resampler.resample(None) if self._resampler else []
            self._resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
            self._source = source
        return flushed + self._resampler.resample(frame)

    def _keep(self, frames: Iterable[Any]) -> None:
        for frame in frames:
            samples = frame.to_ndarray()[0][: max(0, self._room)]
            self._room -= len(samples)
            if len(samples):
                self._kept.append(np.clip(np.nan_to_num(samples), -1.0, 1.0).astype(np.float32))

    def _check_damage(self) -> None:
        share = self._damaged / max(1, self._packets)
        if share > self._limits.damaged_share:
            raise Undecodable(
                "damaged",
                f"{share:.0%} of the sound could not be decoded; "
                f"the limit is {self._limits.damaged_share:.0%}.",
            )


def _check_header(sample_rate: int, channels: int, limits: Limits) -> None:
    if not limits.lowest_sample_rate <= sample_rate <= _HIGHEST_SAMPLE_RATE:
        raise Undecodable(
            "sample_rate",
            f"The sound has {sample_rate:,} samples a second; "
            f"{limits.lowest_sample_rate:,} to {_HIGHEST_SAMPLE_RATE:,} are accepted.",
        )
    if not 1 <= channels <= _MOST_CHANNELS:
        raise Undecodable(
            "channels", f"The sound has {channels} channels; 1 to {_MOST_CHANNELS} are accepted."
        )
