"""Bytes on their way in: hashed while they stream to a file, then kept under their sha256."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import structlog
from botocore.exceptions import BotoCoreError, ClientError
from django.core.files import File
from django.core.files.storage import default_storage

from detection.errors import ContentTooLarge, StorageUnavailable
from detection.models import Media
from inference_worker.decoding.sniff import HEAD_BYTES

log = structlog.get_logger(__name__)

ABANDONED_AFTER_SECONDS = 24 * 3600
"""No upload and no fetch takes so long without a byte."""


class Incoming:
    """A temporary file that knows its size, sha256 and first bytes, and never outgrows its limit.

    Use it as a context manager, or close it: what was not kept is gone then. Raises
    StorageUnavailable where the disk or the object storage does not take the bytes.
    """

    def __init__(self, *, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.size_bytes = 0
        self.head = b""
        self._hash = hashlib.sha256()
        with _storage_errors():
            descriptor, name = tempfile.mkstemp(prefix="incoming-", dir=_folder())
        self._path = Path(name)
        self._file = os.fdopen(descriptor, "w+b")

    def __enter__(self) -> Incoming:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def sha256(self) -> str:
        """Return the hash of what was written so far."""
        return self._hash.hexdigest()

    def write(self, chunk: bytes) -> None:
        """Append a chunk. Raises ContentTooLarge as soon as the limit is passed."""
        self.size_bytes += len(chunk)
        if self.size_bytes > self.limit_bytes:
            raise ContentTooLarge(
                f"A file may have {self.limit_bytes} bytes at most.", field="file"
            )
        if len(self.head) < HEAD_BYTES:
            self.head += chunk[: HEAD_BYTES - len(self.head)]
        self._hash.update(chunk)
        with _storage_errors():
            self._file.write(chunk)

    def read(self) -> bytes:
        """Return everything that was written; for content known to be small."""
        self._file.seek(0)
        return self._file.read()

    def keep(self) -> None:
        """Store the bytes under their sha256. When this returns, they outlive a power cut."""
        name = Media(sha256=self.sha256).storage_name
        with _storage_errors():
            self._file.flush()
            target = local_path(name)
            if target:
                self._keep_locally(target)
            elif not default_storage.exists(name):
                self._file.seek(0)
                default_storage.save(name, File(self._file))

    def _keep_locally(self, target: Path) -> None:
        os.fsync(self._file.fileno())
        made = _make_folders(target.parent)
        if not target.exists() or target.stat().st_size != self.size_bytes:
            self._path.replace(target)
        for folder in (target.parent, *made):
            _sync_folder(folder)

    def close(self) -> None:
        """Forget what was not kept."""
        self._file.close()
        self._path.unlink(missing_ok=True)


def _folder() -> Path | None:
    """Return where to write first: beside the final place, so that keeping is only a rename."""
    folder = local_path("incoming")
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def forget_abandoned() -> int:
    """Delete what killed processes left of uploads long ago; return how many files."""
    folder = local_path("incoming")
    if folder is None or not folder.exists():
        return 0
    oldest = time.time() - ABANDONED_AFTER_SECONDS
    return sum(_forget_older(path, oldest) for path in folder.iterdir())


def _forget_older(path: Path, oldest: float) -> bool:
    try:
        if path.stat().st_mtime >= oldest:
            return False
        path.unlink()
    except FileNotFoundError:  # kept or closed in this moment
        return False
    return True


def local_path(name: str) -> Path | None:
    """Return where stored bytes lie in the file system, or None in a storage without paths."""
    try:
        return Path(default_storage.path(name))
    except NotImplementedError:  # an object storage has no paths
        return None


@contextlib.contextmanager
def local_file(media: Media) -> Iterator[Path]:
    """Yield a path to the bytes, copied first where the storage has no paths."""
    if local := local_path(media.storage_name):
        yield local
        return
    with tempfile.NamedTemporaryFile() as copy:
        with default_storage.open(media.storage_name) as original:
            shutil.copyfileobj(original, copy)
        copy.flush()
        yield Path(copy.name)


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder and its missing parents; return the parents whose list of names changed."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return [each.parent for each in missing]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _storage_errors() -> Iterator[None]:
    try:
        yield
    except (OSError, BotoCoreError, ClientError) as error:
        log.error("content not stored", error=str(error))
        raise StorageUnavailable from error
