"""Whether what a submitter says about a file agrees with what its bytes are."""

from __future__ import annotations

import mimetypes

from detection.errors import TypesDisagree
from inference_worker.decoding.sniff import Sniffed
from inference_worker.types import Modality

_SAYS_NOTHING = frozenset({"", "application/octet-stream", "binary/octet-stream"})

_CONTAINERS = {
    "jpeg": ("image/jpeg", "image/jpg", "image/pjpeg"),
    "png": ("image/png", "image/x-png", "image/apng"),
    "bmp": ("image/bmp", "image/x-bmp", "image/x-ms-bmp"),
    "wav": ("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"),
    "flac": ("audio/flac", "audio/x-flac"),
    "mp3": ("audio/mpeg", "audio/mp3", "audio/x-mp3", "audio/mpeg3"),
    "aac": ("audio/aac", "audio/x-aac", "audio/aacp"),
    "amr": ("audio/amr", "audio/amr-wb", "audio/3gpp-amr"),
    "mp4": (
        "audio/mp4",
        "audio/x-m4a",
        "audio/m4a",
        "audio/mp4a-latm",
        "audio/3gpp",
        "video/mp4",
        "video/x-m4v",
        "video/quicktime",
        "video/3gpp",
    ),
    "matroska": ("audio/webm", "video/webm", "audio/x-matroska", "video/x-matroska"),
    "ogg": ("audio/ogg", "video/ogg", "application/ogg", "audio/opus", "audio/vorbis"),
}
"""Names that mean the same bytes: one container holds sound or pictures and has several."""

_CONTAINER = {mime: name for name, mimes in _CONTAINERS.items() for mime in mimes}


def check(sniffed: Sniffed, *, mime: str = "", extension: str = "", content_type: str = "") -> None:
    """Raise TypesDisagree when a declared MIME type, file extension or content type is not so.

    `extension` comes with its dot; `content_type` is text, audio, image or video. What is empty,
    or says nothing, claims nothing.
    """
    if not _agrees(mime.partition(";")[0].strip().lower(), sniffed):
        raise TypesDisagree(
            f"Declared as {mime[:100]}, but the bytes are {sniffed.mime}.", field="file"
        )
    guessed = mimetypes.guess_type(f"name{extension.lower()}", strict=False)[0] or ""
    if not _agrees(guessed, sniffed):
        raise TypesDisagree(
            f"Named {extension[:20]} ({guessed}), but the bytes are {sniffed.mime}.", field="file"
        )
    if content_type and not _may_be(content_type, sniffed):
        raise TypesDisagree(
            f"Declared as {content_type}, but the bytes are {sniffed.mime}.", field="content_type"
        )


def _agrees(mime: str, sniffed: Sniffed) -> bool:
    if mime in _SAYS_NOTHING:
        return True
    if sniffed.modality is Modality.TEXT:
        return mime.startswith("text/") and mime != "text/html"
    return _CONTAINER.get(mime, mime) == _CONTAINER.get(sniffed.mime, sniffed.mime)


def _may_be(content_type: str, sniffed: Sniffed) -> bool:
    """A container called video may turn out to hold sound only; see sniff()."""
    return content_type == sniffed.modality or (
        content_type == Modality.AUDIO and sniffed.modality is Modality.VIDEO
    )
