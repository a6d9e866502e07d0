"""Open a sound or video file with libav: a known container, known codecs, nothing beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import av
import av.audio.codeccontext
import av.audio.stream
import av.logging
import av.subtitles.codeccontext
import av.subtitles.stream
import av.video.codeccontext
import av.video.stream  # libav's wrapper imports some of these late, which the sandbox forbids

from inference_worker.decoding.encryption import is_encrypted
from inference_worker.decoding.limits import Limits
from inference_worker.decoding.sniff import Sniffed
from inference_worker.errors import Undecodable

av.logging.set_level(av.logging.PANIC)

_DEMUXERS = {
    "wav": "wav",
    "flac": "flac",
    "amr": "amr",
    "mpeg": "mp3",
    "aac": "aac",
    "mp4": "mov",
    "quicktime": "mov",
    "3gpp": "mov",
    "ogg": "ogg",
    "webm": "matroska",
    "x-matroska": "matroska",
}
"""Sniffed subtype to libav demuxer. No playlist, concat or device demuxer can be chosen."""

_SOUND_CODECS = frozenset(
    {
        "opus",
        "libopus",
        "vorbis",
        "mp3",
        "mp3float",
        "mp2",
        "mp2float",
        "aac",
        "alac",
        "flac",
        "amrnb",
        "amrwb",
        "libopencore_amrnb",
        "libopencore_amrwb",
        "speex",
        "libspeex",
        "pcm_s16le",
        "pcm_s16be",
        "pcm_s24le",
        "pcm_s24be",
        "pcm_s32le",
        "pcm_s32be",
        "pcm_f32le",
        "pcm_f32be",
        "pcm_f64le",
        "pcm_u8",
        "pcm_s8",
        "pcm_alaw",
        "pcm_mulaw",
        "adpcm_ms",
        "adpcm_ima_wav",
    }
)
_PICTURE_CODECS = frozenset(
    {
        "h264",
        "hevc",
        "vp8",
        "libvpx",
        "vp9",
        "libvpx-vp9",
        "av1",
        "libdav1d",
        "mpeg4",
        "mpeg2video",
        "h263",
        "theora",
        "mjpeg",
    }
)


@contextmanager
def opened(file: IO[bytes], sniffed: Sniffed, limits: Limits) -> Iterator[Any]:
    """Yield the open av container; raise Undecodable where libav calls the file invalid."""
    options = {
        "codec_whitelist": ",".join(_SOUND_CODECS | _PICTURE_CODECS),
        "max_streams": "16",
        "max_pixels": str(limits.pixels),
    }
    demuxer = _DEMUXERS[sniffed.mime.partition("/")[2]]
    if demuxer == "mov" and is_encrypted(file):
        raise Undecodable(
            "encrypted", "The file is encrypted (copy protection); send a copy without it."
        )
    try:
        with av.open(
            file,
            format=demuxer,
            options=options,
            metadata_errors="replace",
            io_open=_refuse_to_open,
        ) as container:
            yield container
    except (av.FFmpegError, EOFError) as error:
        if isinstance(error, MemoryError):
            raise
        raise Undecodable("damaged", "The file is damaged and could not be decoded.") from error


def _refuse_to_open(url: str, flags: int, options: dict[str, str]) -> IO[bytes]:
    raise PermissionError("a media file may not name another file")


def first_sound(container: Any) -> Any | None:
    """Return the first sound stream with a codec on the list, ready to decode, or None."""
    return _first(container.streams.audio, _SOUND_CODECS)


def first_pictures(container: Any) -> Any | None:
    """Return the first video stream, its codec being on the list, or None; cover art is none."""
    streams = [s for s in container.streams.video if not _is_cover(s)]
    return _first(streams, _PICTURE_CODECS)


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _first(streams: Any, codecs: frozenset[str]) -> Any | None:
    for stream in streams:
        context = stream.codec_context
        if context is None:
            continue
        if context.name not in codecs:
            raise Undecodable("unsupported_codec", f"The codec {context.name} is not supported.")
        context.thread_count = 1  # the sandbox allows no threads
        context.thread_type = "NONE"
        return stream
    return None
