"""Where model folders come from: directories, object storages, model registries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from inference_worker.errors import SourceUnavailable
from inference_worker.sources import folders, mlflow, s3


class Source(Protocol):
    """One model folder, wherever it lies."""

    @property
    def uri(self) -> str:
        """Where exactly, so that the same files are found again: no alias, nothing relative."""

    def read(self, name: str) -> Iterator[bytes]:
        """Yield one of its files in pieces. Raises SourceUnavailable."""


class Kind(Protocol):
    """A kind of place, each a module of this package."""

    def find(self, uri: str) -> Sequence[Source]:
        """Return every model folder at or below this place, in order of URI."""

    def at(self, uri: str) -> Source:
        """Return the model folder exactly here, without looking whether it is there."""


KINDS: Mapping[str, Kind] = {"s3://": s3, "models:/": mlflow}
"""By the beginning of a URI; what has none of these is a directory."""


def find(uri: str) -> Sequence[Source]:
    """Return every model folder at or below a directory, s3://bucket/prefix or models:/name@alias.

    Raises SourceUnavailable where it cannot be reached.
    """
    return _kind(uri).find(uri)


def at(uri: str) -> Source:
    """Return the source with exactly this URI, as `find` returned it before."""
    return _kind(uri).at(uri)


def bases(written: str) -> list[str]:
    """Return the places named by KILINDA_MODELS, separated by commas."""
    return [place.strip() for place in written.split(",") if place.strip()]


def directories(written: str) -> list[Path]:
    """Return those of the places that are directories of this machine."""
    return [Path(place) for place in bases(written) if is_directory(place)]


def is_directory(uri: str) -> bool:
    """Say whether a URI means a directory of this machine."""
    return not uri.startswith(tuple(KINDS))


def _kind(uri: str) -> Kind:
    if found := next((kind for start, kind in KINDS.items() if uri.startswith(start)), None):
        return found
    if "://" in uri:
        known = ", ".join(KINDS)
        raise SourceUnavailable(f"{uri} is no directory and does not begin with {known}.")
    return folders
