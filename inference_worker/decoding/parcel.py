"""How a decoded value crosses from the sandbox: a JSON label, then its arrays, in shared memory.

The sandboxed side may be in hostile hands: unpacking trusts nothing, builds no object by name.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from inference_worker.decoding.reading import Decoded
from inference_worker.errors import DecoderLost, Undecodable
from inference_worker.types import (
    Credential,
    Footage,
    Frame,
    Picture,
    Provenance,
    Recording,
    Stretch,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

MOST_CHARACTERS = 200
"""Of each text of a credential; what is longer is cut."""
MOST_STATED = 24
"""Actions, sources and codes kept of a credential."""
MOST_INGREDIENTS = 9_999

_ALIGNMENT = 64
_LENGTH = struct.Struct("<Q")


def pack_refusal(fd: int, refusal: Undecodable, cause: str) -> None:
    """Write to `fd` why there is no value; `cause` is for the log, not for the submitter."""
    _write(fd, {"refused": [refusal.code, str(refusal)], "cause": cause[:300]}, [])


def pack(fd: int, value: Decoded | Provenance) -> None:
    """Write `value` to `fd`."""
    arrays: list[npt.NDArray[Any]] = []
    _write(fd, _label(value, arrays), arrays)


def _label(value: Decoded | Provenance, arrays: list[npt.NDArray[Any]]) -> dict[str, Any]:
    if isinstance(value, Provenance):
        return {"provenance": asdict(value)}
    if isinstance(value, Recording):
        return {"sound": _sound(value, arrays)}
    if isinstance(value, Picture):
        return {"picture": _picture(value, arrays)}
    return {
        "frames": [[f.at_seconds, _picture(f.picture, arrays)] for f in value.frames],
        "sound": _sound(value.sound, arrays) if value.sound else None,
        "footage": [value.duration_seconds, value.width, value.height, value.scenes],
    }


def _sound(sound: Recording, arrays: list[npt.NDArray[Any]]) -> list[Any]:
    arrays.append(sound.samples)
    stretches = [[each.start, each.first, each.count] for each in sound.stretches]
    return [list(sound.samples.shape), sound.duration_seconds, stretches]


def _picture(picture: Picture, arrays: list[npt.NDArray[Any]]) -> list[Any]:
    arrays.append(picture.pixels)
    return [list(picture.pixels.shape), picture.original_width, picture.original_height]


def _write(fd: int, label: dict[str, Any], arrays: Sequence[npt.NDArray[Any]]) -> None:
    text = json.dumps(label).encode()
    _write_all(fd, _LENGTH.pack(len(text)) + text)
    position = _LENGTH.size + len(text)
    for array in arrays:
        _write_all(fd, bytes(-position % _ALIGNMENT))
        position += -position % _ALIGNMENT + array.nbytes
        _write_all(fd, np.ascontiguousarray(array).data.cast("B"))


def _write_all(fd: int, content: bytes | memoryview) -> None:
    while content:
        content = content[os.write(fd, content) :]


def unpack(fd: int) -> Decoded:
    """Map what the sandbox wrote; raise its Undecodable, or DecoderLost if it makes no sense."""
    return _unpack(fd, _Parcel.content)


def unpack_provenance(fd: int) -> Provenance:
    """Return the credential the sandbox wrote, cut to what may be stored; raise as unpack does."""
    return _unpack(fd, _Parcel.provenance)


def _unpack(fd: int, take: Callable[[_Parcel], T]) -> T:
    try:
        parcel = _Parcel(fd)
        refused = parcel.label.get("refused")
        if refused is None:
            return take(parcel)
        code, message = refused
        logger.info("Refused as %r because of %r", code, parcel.label.get("cause"))
    except (ValueError, TypeError, KeyError, struct.error, OSError) as error:
        raise DecoderLost("The decoder's answer could not be understood.") from error
    raise Undecodable(str(code), str(message))


def _stretch(length: int, start: float, first: int, count: int) -> Stretch:
    if not 0 <= first <= first + count <= length:
        raise ValueError("a stretch outside the samples")
    return Stretch(float(start), int(first), int(count))


class _Parcel:
    """A mapped parcel; its arrays share the mapping and keep it alive. Writes stay private."""

    def __init__(self, fd: int) -> None:
        self._memory = mmap.mmap(fd, 0, access=mmap.ACCESS_COPY)
        (length,) = _LENGTH.unpack_from(self._memory)
        self.label: dict[str, Any] = json.loads(self._memory[_LENGTH.size : _LENGTH.size + length])
        self._position = _LENGTH.size + length

    def provenance(self) -> Provenance:
        stated = self.label["provenance"]

        def several(name: str) -> tuple[str, ...]:
            return tuple(_short(each) for each in stated[name][:MOST_STATED])

        return Provenance(
            state=Credential(stated["state"]),
            issuer=_short(stated["issuer"]),
            signer=_short(stated["signer"]),
            generator=_short(stated["generator"]),
            signed_at=_short(stated["signed_at"]),
            sources=several("sources"),
            parts=several("parts"),
            actions=several("actions"),
            ingredients=min(int(stated["ingredients"]), MOST_INGREDIENTS),
            codes=several("codes"),
            address=_short(stated["address"]),
        )

    def content(self) -> Decoded:
        if "footage" in self.label:
            return self._footage()
        if "picture" in self.label:
            return self._picture(self.label["picture"])
        return self._sound(self.label["sound"])

    def _footage(self) -> Footage:
        seconds, width, height, scenes = self.label["footage"]
        frames = [Frame(float(at), self._picture(picture)) for at, picture in self.label["frames"]]
        sound = self._sound(self.label["sound"]) if self.label["sound"] else None
        return Footage(
            tuple(frames), sound, float(seconds), int(width), int(height), scenes=int(scenes)
        )

    def _picture(self, label: Sequence[Any]) -> Picture:
        (rows, columns, channels), width, height = label
        pixels = self._array(np.dtype(np.uint8), (rows, columns, channels))
        return Picture(pixels, int(width), int(height))

    def _sound(self, label: Sequence[Any]) -> Recording:
        (length,), seconds, stretches = label
        samples = self._array(np.dtype(np.float32), (length,))
        found = tuple(_stretch(length, *each) for each in stretches)
        return Recording(samples, float(seconds), stretches=found)

    def _array(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """Return the next array; numpy raises ValueError where it would reach past the end."""
        if min(shape) < 0:
            raise ValueError("a negative length")
        self._position += -self._position % _ALIGNMENT
        count = int(np.prod(shape, dtype=object))
        array = np.frombuffer(self._memory, dtype, count, self._position).reshape(shape)
        self._position += array.nbytes
        return array


def _short(text: object) -> str:
    """Return one line of printable characters; a credential may not steer what shows it."""
    shown = "".join(letter if letter.isprintable() else " " for letter in str(text))
    return " ".join(shown.split())[:MOST_CHARACTERS]
