"""Small safe views of media for the page: decoded once in the sandbox, kept beside the original.

`previews/<sha256>/` holds pictures as fresh JPEGs and, written last, `manifest.json`: its presence
means that the others are whole.
"""

from __future__ import annotations

import atexit
import functools
import json
from typing import TypedDict

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection, transaction

from detection.blobs import local_file
from detection.models import Media
from inference_worker.decoding import previews
from inference_worker.decoding.decoder import Decoder
from inference_worker.errors import Undecodable
from inference_worker.types import Footage, Modality, Picture, Recording
from review.errors import PreviewMissing

PICTURE_SIDE = 1_600
THUMBNAIL_SIDE = 160
FRAME_SIDE = 480
PEAKS = 600


class Manifest(TypedDict):
    """What there is to show. `failure` says in words why there is nothing."""

    duration_seconds: float | None
    peaks: list[float]
    frames: list[float]
    """The place of each frame on the time line, in seconds; its picture is frame-<index>.jpg."""
    failure: str


def manifest(media: Media) -> Manifest:
    """Return the manifest, making the previews first if they are missing. Raises DecoderLost."""
    if not default_storage.exists(_name(media, "manifest.json")):
        _make_once(media)
    found: Manifest = json.loads(_read(media, "manifest.json"))
    return found


def picture(media: Media, name: str) -> bytes:
    """Return picture, thumbnail or frame-<index>.jpg. Raises PreviewMissing, DecoderLost."""
    failure = manifest(media)["failure"]
    if failure or not default_storage.exists(_name(media, name)):
        raise PreviewMissing(failure)
    return _read(media, name)


def _name(media: Media, name: str) -> str:
    return f"previews/{media.sha256}/{name}"


def _read(media: Media, name: str) -> bytes:
    with default_storage.open(_name(media, name)) as file:
        content: bytes = file.read()
        return content


@transaction.atomic
def _make_once(media: Media) -> None:
    """Make the previews while no other process makes those of the same file."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"previews/{media.sha256}"]
        )
    if not default_storage.exists(_name(media, "manifest.json")):
        _make(media)


def _make(media: Media) -> None:
    try:
        with local_file(media) as path:
            decoded = _decoder().decode(path, Modality(media.modality))
    except Undecodable as error:
        made = Manifest(duration_seconds=None, peaks=[], frames=[], failure=str(error))
    else:
        made = _made_of(media, decoded)
    _save(media, "manifest.json", json.dumps(made).encode())


def _made_of(media: Media, decoded: Picture | Recording | Footage) -> Manifest:
    match decoded:
        case Picture():
            _save_picture(media, decoded, "picture.jpg", PICTURE_SIDE)
            return Manifest(duration_seconds=None, peaks=[], frames=[], failure="")
        case Recording():
            return _of_sound(decoded)
        case Footage():
            return _of_footage(media, decoded)


def _of_sound(recording: Recording) -> Manifest:
    return Manifest(
        duration_seconds=recording.duration_seconds,
        peaks=previews.peaks(recording, PEAKS),
        frames=[],
        failure="",
    )


def _of_footage(media: Media, footage: Footage) -> Manifest:
    for index, frame in enumerate(footage.frames):
        _save(media, f"frame-{index}.jpg", previews.jpeg(frame.picture, FRAME_SIDE))
    if footage.frames:
        _save_picture(media, footage.frames[0].picture, "picture.jpg", FRAME_SIDE)
    return Manifest(
        duration_seconds=footage.duration_seconds,
        peaks=previews.peaks(footage.sound, PEAKS) if footage.sound else [],
        frames=[frame.at_seconds for frame in footage.frames],
        failure="",
    )


def _save_picture(media: Media, shown: Picture, name: str, side: int) -> None:
    _save(media, name, previews.jpeg(shown, side))
    _save(media, "thumbnail.jpg", previews.jpeg(shown, THUMBNAIL_SIDE))


def _save(media: Media, name: str, content: bytes) -> None:
    """Write, replacing what an interrupted attempt left."""
    default_storage.delete(_name(media, name))
    default_storage.save(_name(media, name), ContentFile(content))


@functools.cache
def _decoder() -> Decoder:
    """Start the sandbox at the first preview, so that processes that show none have none."""
    decoder = Decoder(slots=1)
    atexit.register(decoder.close)
    return decoder
