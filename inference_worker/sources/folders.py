"""Model folders in a directory of this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference_worker.errors import SourceUnavailable
from inference_worker.registry import MANIFEST

_PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Folder:
    """A model folder on this machine."""

    path: Path

    @property
    def uri(self) -> str:
        """Return the absolute path."""
        return str(self.path)

    def read(self, name: str) -> Iterator[bytes]:
        """Yield a file in pieces."""
        try:
            with (self.path / name).open("rb") as stream:
                while piece := stream.read(_PIECE_BYTES):
                    yield piece
        except OSError as error:
            raise SourceUnavailable(f"{self.path / name}: {error.strerror}.") from error


def find(uri: str) -> Sequence[Folder]:
    """Return every model folder at or below a directory."""
    root = Path(uri)
    if not root.is_dir():
        raise SourceUnavailable(f"There is no directory {uri}.")
    return [Folder(manifest.parent.resolve()) for manifest in sorted(root.rglob(MANIFEST))]


def at(uri: str) -> Folder:
    """Return the folder with this path."""
    return Folder(Path(uri))
