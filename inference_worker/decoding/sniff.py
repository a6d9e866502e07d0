"""Say what a file is from its first bytes. Names and declared types are never asked: they lie."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass

from inference_worker.types import Modality

HEAD_BYTES = 4096
"""How much of a file `sniff` wants to see; with less, a container may stay ambiguous."""


@dataclass(frozen=True, slots=True)
class Sniffed:
    """The content type a file's first bytes speak for, and the modality it is judged as."""

    mime: str
    modality: Modality


def sniff(head: bytes) -> Sniffed | None:
    """Recognise a file by its first HEAD_BYTES, or return None: not a type this platform accepts.

    A container that may hold pictures but does not say so early (mp4, webm, ogg) is called video;
    decoding it then yields a Footage without frames if it turns out to hold sound only.
    """
    for recognise in _RECOGNISERS:
        found = recognise(head)
        if found is not None:
            return found
    return None


def _image(mime: str) -> Sniffed:
    return Sniffed(mime, Modality.IMAGE)


def _audio(mime: str) -> Sniffed:
    return Sniffed(mime, Modality.AUDIO)


def _video(mime: str) -> Sniffed:
    return Sniffed(mime, Modality.VIDEO)


_SIGNATURES: tuple[tuple[re.Pattern[bytes], Sniffed], ...] = (
    (re.compile(rb"\xff\xd8\xff"), _image("image/jpeg")),
    (re.compile(rb"\x89PNG\r\n\x1a\n.{4}IHDR", re.DOTALL), _image("image/png")),
    (re.compile(rb"GIF8[79]a"), _image("image/gif")),
    (re.compile(rb"RIFF.{4}WEBPVP8[ LX]", re.DOTALL), _image("image/webp")),
    # "BM" alone begins many English texts; the size of the second header settles it.
    (re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL), _image("image/bmp")),
    (re.compile(rb"RIFF.{4}WAVE", re.DOTALL), _audio("audio/wav")),
    (re.compile(rb"fLaC"), _audio("audio/flac")),
    (re.compile(rb"#!AMR\n|#!AMR-WB\n"), _audio("audio/amr")),
    (re.compile(rb"ID3[\x02-\x04].[^\x80-\xff]", re.DOTALL), _audio("audio/mpeg")),
    # An ADTS header has layer 00; layers II and III have a bit rate and a sample rate.
    (re.compile(rb"\xff[\xf0\xf1\xf8\xf9]"), _audio("audio/aac")),
    (re.compile(rb"\xff[\xe2-\xe5\xf2-\xf5\xfa-\xfd][^\xf0-\xff\x0c-\x0f]"), _audio("audio/mpeg")),
)


def _by_signature(head: bytes) -> Sniffed | None:
    for pattern, sniffed in _SIGNATURES:
        if pattern.match(head):
            return sniffed
    return None


_AUDIO_BRANDS = frozenset({b"M4A ", b"M4B ", b"M4P "})
_PICTURE_BRANDS = frozenset({b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis", b"crx "})
_MP4_MIMES = {b"qt  ": "video/quicktime", b"3gp": "video/3gpp"}


def _mp4(head: bytes) -> Sniffed | None:
    if head[4:8] != b"ftyp":
        return None
    brand = head[8:12]
    if brand in _PICTURE_BRANDS:
        return None
    if brand in _AUDIO_BRANDS or (_has_handler(head, b"soun") and not _has_handler(head, b"vide")):
        return _audio("audio/mp4")
    return _video(_MP4_MIMES.get(brand) or _MP4_MIMES.get(brand[:3]) or "video/mp4")


def _has_handler(head: bytes, kind: bytes) -> bool:
    """Whether a track of this kind is declared in the part of the moov box that `head` shows.

    Sound alone counts only if the whole moov box is in view: a picture track may follow it.
    """
    start = head.find(b"moov", 8)
    if start < 4:
        return False
    size = int.from_bytes(head[start - 4 : start], "big")
    if kind == b"soun" and start - 4 + size > len(head):
        return False
    return re.search(rb"hdlr.{8}" + kind, head[start:], re.DOTALL) is not None


def _matroska(head: bytes) -> Sniffed | None:
    if not head.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    kind = "webm" if b"webm" in head[:64] else "x-matroska"
    sound_only = re.search(rb"\x86.A_[A-Z]", head, re.DOTALL) and not re.search(
        rb"\x86.V_[A-Z]", head, re.DOTALL
    )
    return _audio(f"audio/{kind}") if sound_only else _video(f"video/{kind}")


_OGG_PICTURES = (b"\x80theora", b"\x01video\0", b"BBCD", b"OVP80")
_OGG_SOUND = (b"OpusHead", b"\x01vorbis", b"Speex   ", b"\x7fFLAC")


def _ogg(head: bytes) -> Sniffed | None:
    """All streams of an Ogg file are announced in its very first pages."""
    if not head.startswith(b"OggS\0"):
        return None
    if any(mark in head for mark in _OGG_PICTURES):
        return _video("video/ogg")
    if any(mark in head for mark in _OGG_SOUND):
        return _audio("audio/ogg")
    return _video("video/ogg")


_NOT_PLAIN_TEXT = re.compile(
    rb"\s*(?:<\?xml|<!doctype|<svg|<html|<head|<body|<script|%!|%pdf-|#!|#extm3u|ffconcat\b"
    rb"|\[playlist\]|\{\\rtf|pk\x03\x04)",
    re.IGNORECASE,
)
"""Text to a computer, but a program, a document or a list of files: not words to be judged."""


def _text(head: bytes) -> Sniffed | None:
    """UTF-8 without NUL; `head` may end in the middle of a character."""
    words = head.removeprefix(codecs.BOM_UTF8)
    if not words.strip() or b"\0" in words or _NOT_PLAIN_TEXT.match(words):
        return None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(words)
    except UnicodeDecodeError:
        return None
    return Sniffed("text/plain", Modality.TEXT)


_RECOGNISERS: tuple[Callable[[bytes], Sniffed | None], ...] = (
    _by_signature,
    _mp4,
    _matroska,
    _ogg,
    _text,
)
