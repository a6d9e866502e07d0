"""Read sound with libav as 16 kHz mono, in one pass and bounded memory, whatever its length."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import IO, Any

import av
import numpy as np

from inference_worker.decoding.containers import first_sound, opened
from inference_worker.decoding.limits import Limits
from inference_worker.decoding.sniff import Sniffed
from inference_worker.decoding.stretches import BLOCK_SAMPLES, BLOCK_SECONDS, Blocks, Samples
from inference_worker.errors import Undecodable
from inference_worker.types import SAMPLE_RATE, Recording

_HIGHEST_SAMPLE_RATE = 384_000
_MOST_CHANNELS = 16
_LEAD_SECONDS = 0.2
"""Decoded and thrown away before a stretch: codecs need some packets until they sound right."""
_CLOCK_EVERY = 256
"""Packets between two looks at the clock."""


def read_recording(file: IO[bytes], sniffed: Sniffed, limits: Limits) -> Recording:
    """Decode the first sound track of `file`, a sound or video file; else raise Undecodable."""
    with opened(file, sniffed, limits) as container:
        stream = first_sound(container)
        if stream is None:
            raise Undecodable("no_sound", "The file has no sound track.")
        track = SoundTrack(stream, limits)
        for packet in container.demux(stream):
            track.take(packet)
            if track.is_out_of_time:
                break
        recording = track.finish()
    if recording is None:
        raise Undecodable("no_sound", "The file's sound track is empty.")
    return recording


class SoundTrack:
    """Collects stretches of one stream, packet by packet; what lies between is never decoded."""

    def __init__(self, stream: Any, limits: Limits) -> None:
        """Raise Undecodable("sample_rate" | "channels") if the stream's header is beyond reason."""
        self._limits = limits
        self._stream = stream
        self._blocks = Blocks(max(1, int(limits.sound_seconds / BLOCK_SECONDS)))
        self._run: _Run | None = None
        self._clock = 0.0
        self._end_seconds = 0.0
        self._packets = self._decoded = self._damaged = 0
        self._stop = time.process_time() + limits.reading_cpu_seconds
        self.is_out_of_time = False
        context = stream.codec_context
        _check_header(context.sample_rate, context.channels, limits)

    def take(self, packet: Any) -> None:
        """Decode one packet (an empty one flushes) if it belongs to a stretch that is kept."""
        if self.is_out_of_time:
            return
        self._packets += 1
        if self._packets % _CLOCK_EVERY == 0 and time.process_time() > self._stop:
            self.is_out_of_time = True
            return
        start = self._place(packet)
        if self._run is None and self._is_due(start):
            self._begin(start)
        if self._run is not None:
            self._decode(packet, self._run)

    def finish(self) -> Recording | None:
        """Return what was collected, or None if there is not one sample."""
        self._check_damage()
        if self._run is not None:
            self._run.end()
        samples, stretches = self._blocks.joined()
        if not len(samples):
            return None
        if self._blocks.is_whole and not self.is_out_of_time:
            return Recording(samples, len(samples) / SAMPLE_RATE)
        last = stretches[-1]
        heard = last.start + last.count / SAMPLE_RATE
        claimed = _claimed_seconds(self._stream) if self.is_out_of_time else 0.0
        return Recording(samples, max(heard, self._end_seconds, claimed), stretches=stretches)

    def _place(self, packet: Any) -> float:
        """Return where the packet begins, in seconds; without time stamps they follow on."""
        start = self._clock
        if packet.pts is not None:
            start = max(
                0.0, float((packet.pts - (self._stream.start_time or 0)) * packet.time_base)
            )
        self._clock = start + float((packet.duration or 0) * packet.time_base)
        self._end_seconds = max(self._end_seconds, self._clock)
        return start

    def _is_due(self, start: float) -> bool:
        """Whether decoding must begin here for the next block that is kept."""
        number = -int(-start // BLOCK_SECONDS)
        starts_at = number * BLOCK_SECONDS
        return self._blocks.wants(number) and self._clock > starts_at - _LEAD_SECONDS

    def _begin(self, start: float) -> None:
        if self._decoded:
            self._stream.codec_context.flush_buffers()
        self._run = _Run(round(start * SAMPLE_RATE), self._blocks, self._limits)

    def _decode(self, packet: Any, run: _Run) -> None:
        self._decoded += 1
        try:
            frames = packet.decode()
        except (av.error.InvalidDataError, av.error.EOFError):
            self._damaged += not run.is_leading_in
            return
        for frame in frames:
            run.take(frame)
        if run.is_over:
            self._run = None

    def _check_damage(self) -> None:
        share = self._damaged / max(1, self._decoded)
        if share > self._limits.damaged_share:
            raise Undecodable(
                "damaged",
                f"{share:.0%} of the sound could not be decoded; "
                f"the limit is {self._limits.damaged_share:.0%}.",
            )


class _Run:
    """Packets decoded one after the other, resampled and cut into blocks."""

    def __init__(self, first: int, blocks: Blocks, limits: Limits) -> None:
        """`first` is the place of the first sample on the time line, in samples."""
        self._position = first
        self._wanted_from = -(-first // BLOCK_SAMPLES) * BLOCK_SAMPLES
        self._blocks = blocks
        self._limits = limits
        self._filling: list[Samples] = []
        self._resampler: av.AudioResampler | None = None
        self._source: tuple[str, str, int] | None = None
        self.is_over = False

    @property
    def is_leading_in(self) -> bool:
        """Whether what is decoded now is thrown away."""
        return self._position < self._wanted_from

    def take(self, frame: Any) -> None:
        """Resample to mono; a stream may change its format on the way, so the resampler may too."""
        _check_header(frame.sample_rate, len(frame.layout.channels), self._limits)
        source = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or source != self._source:
            if self._resampler is not None:
                self._keep(self._resampler.resample(None))
            self._resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
            self._source = source
        self._keep(self._resampler.resample(frame))

    def end(self) -> None:
        """Take what the resampler still holds, and keep a last block that is not full."""
        if self._resampler is not None:
            self._keep(self._resampler.resample(None))
        self._close_block((self._position - 1) // BLOCK_SAMPLES)

    def _keep(self, frames: Iterable[Any]) -> None:
        for frame in frames:
            samples = np.nan_to_num(frame.to_ndarray()[0])
            self._cut(np.clip(samples, -1.0, 1.0).astype(np.float32))

    def _cut(self, samples: Samples) -> None:
        while len(samples) and not self.is_over:
            number = self._position // BLOCK_SAMPLES
            part = samples[: (number + 1) * BLOCK_SAMPLES - self._position]
            if not self.is_leading_in:
                self._filling.append(part)
            self._position += len(part)
            samples = samples[len(part) :]
            if self._position % BLOCK_SAMPLES == 0:
                self._close_block(number)
                self.is_over = not self._blocks.wants(number + 1)

    def _close_block(self, number: int) -> None:
        if self._filling:
            self._blocks.add(number, np.concatenate(self._filling))
            self._filling = []


def _claimed_seconds(stream: Any) -> float:
    return float(stream.duration * stream.time_base) if stream.duration else 0.0


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
