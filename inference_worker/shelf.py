"""Where a machine keeps fetched model folders: each under the sha256 of its kilinda.json.

A folder appears whole or not at all: it is written beside its place, every file checked against the
hash that kilinda.json states, and then renamed. Who comes second waits and finds it there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from inference_worker.errors import ModelUnusable
from inference_worker.registry import MANIFEST, ModelFolder
from inference_worker.sources import Source

_MOST_MANIFEST_BYTES = 10_000_000


@dataclass(frozen=True, slots=True)
class Described:
    """A model at its source: what its kilinda.json claims, and the hash that pins every file."""

    source: Source
    folder: ModelFolder
    """Not loaded: its path is none of this machine."""
    digest: str
    manifest: bytes


def described(source: Source) -> Described:
    """Read a source's kilinda.json and nothing else. Raises ModelUnusable or SourceUnavailable."""
    manifest = b""
    for piece in source.read(MANIFEST):
        manifest += piece
        if len(manifest) > _MOST_MANIFEST_BYTES:
            raise ModelUnusable(f"{source.uri}/{MANIFEST} has more than 10 MB.")
    folder = ModelFolder.described(manifest, source.uri)
    return Described(source, folder, hashlib.sha256(manifest).hexdigest(), manifest)


@dataclass(frozen=True, slots=True)
class Shelf:
    """The model folders of one machine."""

    root: Path
    most_bytes: int
    """Of one model, all its files together."""

    def find(self, digest: str) -> Path | None:
        """Return where a model lies, or None where it was not fetched yet."""
        return next(iter((self.root / digest).glob("*")), None)

    def load(self, digest: str) -> ModelFolder:
        """Verify every file of a fetched model. Raises ModelUnusable."""
        path = self.find(digest)
        if path is None:
            raise ModelUnusable(f"The model {digest[:12]} has not been fetched to this machine.")
        if hashlib.sha256((path / MANIFEST).read_bytes()).hexdigest() != digest:
            raise ModelUnusable(f"{path.name}/{MANIFEST} was altered.")
        return ModelFolder.load(path)

    def fetch(self, source: Source, digest: str) -> Path:
        """Return where the model lies, fetched from its source first unless it is there.

        Raises ModelUnusable for other files than were registered, SourceUnavailable.
        """
        if found := self.find(digest):
            return found
        model = described(source)
        if model.digest != digest:
            raise ModelUnusable(f"{source.uri} holds other files now than when it was registered.")
        return self.take(model)

    def take(self, model: Described) -> Path:
        """Return where a described model lies, fetched first unless it is there."""
        with self._alone(model.digest):
            return self.find(model.digest) or self._written(model)

    def _written(self, model: Described) -> Path:
        draft, final = self.root / f"draft-{model.digest}", self.root / model.digest
        shutil.rmtree(draft, ignore_errors=True)  # what a killed process left behind
        folder = draft / model.folder.name
        folder.mkdir(parents=True)
        try:
            _write(folder / MANIFEST, [model.manifest])
            left = self.most_bytes
            for name, expected in model.folder.files.items():
                left -= self._fetched(model, name, expected, folder / name, left)
            draft.rename(final)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return final / folder.name

    def _fetched(self, model: Described, name: str, expected: str, path: Path, left: int) -> int:
        """Write one file; return its size. Raises ModelUnusable where it is not what it should."""
        digest, size = hashlib.sha256(), 0

        def counted() -> Iterator[bytes]:
            nonlocal size
            for piece in model.source.read(name):
                size += len(piece)
                if size > left:
                    raise ModelUnusable(
                        f"{model.source.uri} has more than {self.most_bytes} bytes, "
                        "the limit KILINDA_MAX_MODEL_BYTES."
                    )
                digest.update(piece)
                yield piece

        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, counted())
        if digest.hexdigest() != expected:
            raise ModelUnusable(f"{model.source.uri}/{name} does not match its sha256.")
        return size

    @contextmanager
    def _alone(self, digest: str) -> Iterator[None]:
        """Hold the model's lock among all processes of this machine; a killed one lets go of it."""
        self.root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.root / f"{digest}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _write(path: Path, pieces: Iterator[bytes] | list[bytes]) -> None:
    with path.open("wb") as stream:
        for piece in pieces:
            stream.write(piece)
        stream.flush()
        os.fsync(stream.fileno())  # the rename must not outlive the bytes in a power cut
