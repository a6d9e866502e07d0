"""How much of a file is looked at, and what decoding one may cost."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds for one file. The first block guards the machine, the others shape the result."""

    memory_bytes: int = 1536 * MIB
    """Address space of the decoding process; a progressive 50-megapixel JPEG takes about half."""
    result_bytes: int = 256 * MIB
    """Most bytes of decoded samples and pixels handed back."""
    cpu_seconds: int = 30
    wall_seconds: float = 60.0
    pixels: int = 50_000_000
    """Most pixels of a picture or of one video frame, as its header says, before it is decoded."""

    picture_side: int = 2048
    """Longest side kept of a picture, in pixels: detectors look at crops in native resolution."""

    sound_seconds: float = 600.0
    """Most seconds kept of a recording. Of a longer one between half of this and all of it, spread
    evenly over the whole length."""
    lowest_sample_rate: int = 4_000
    """In Hz. Below it there is no speech, and resampling multiplies a small file without bound."""
    damaged_share: float = 0.2
    """Share of a sound track's packets that may be undecodable."""

    reading_cpu_seconds: float = 15.0
    """Processor time after which no more of a sound or video file is read."""

    video_frames: int = 32
    """Most frames kept of a video."""
    video_frames_least: int = 8
    """With fewer key frames than this, frames between them are decoded too."""
    video_frame_every: float = 2.0
    """Seconds for which such a video gives one frame, if that makes more than the least."""
    video_keys: int = 96
    """Key frames compared to find scenes: between this and twice as many of a long video."""
    key_bytes: int = 128 * MIB
    """Most memory for key frames that wait to be decoded."""
    frame_side: int = 720
    """Longest side kept of a video frame, in pixels."""
    keys_cpu_seconds: float = 5.0
    """Processor time spent on key frames; with it used up, fewer are compared, spread evenly."""
    dense_cpu_seconds: float = 7.0
    """Processor time spent on frames between key frames before what there is must do."""
