"""From an open file and its claimed modality to a decoded value: what runs in the sandbox."""

from __future__ import annotations

from typing import IO

from inference_worker.decoding.limits import Limits
from inference_worker.decoding.pictures import read_picture
from inference_worker.decoding.sniff import HEAD_BYTES, Sniffed, sniff
from inference_worker.decoding.sounds import read_recording
from inference_worker.decoding.videos import read_footage
from inference_worker.errors import Undecodable
from inference_worker.types import Footage, Modality, Picture, Recording

Decoded = Recording | Picture | Footage

_SOUNDING = frozenset({Modality.AUDIO, Modality.VIDEO})


def read(file: IO[bytes], modality: Modality, limits: Limits) -> Decoded:
    """Decode `file` as `modality`. Raises Undecodable: empty, unsupported, damaged, too large..."""
    sniffed = _identified(file, modality)
    if modality is Modality.IMAGE:
        return read_picture(file, limits)
    if modality is Modality.AUDIO:
        return read_recording(file, sniffed, limits)
    return read_footage(file, sniffed, limits)


def _identified(file: IO[bytes], modality: Modality) -> Sniffed:
    """Sound may be asked of a video file and the reverse; a picture is always a picture."""
    head = file.read(HEAD_BYTES)
    file.seek(0)
    if not head:
        raise Undecodable("empty", "The file is empty.")
    sniffed = sniff(head)
    if sniffed is None or (sniffed.modality in _SOUNDING) != (modality in _SOUNDING):
        raise Undecodable("unsupported", f"The file is not a supported kind of {modality}.")
    if sniffed.modality is Modality.TEXT:
        raise Undecodable("unsupported", f"The file is text, not {modality}.")
    return sniffed
