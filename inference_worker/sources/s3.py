"""Model folders in an object storage: s3://bucket/prefix. The AWS_* variables of boto3 apply."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from inference_worker.errors import SourceUnavailable
from inference_worker.registry import MANIFEST

_PIECE_BYTES = 1024 * 1024
_PATIENCE = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 3})


@dataclass(frozen=True, slots=True)
class Prefix:
    """A model folder under a prefix of a bucket. `prefix` ends with a slash or is empty."""

    bucket: str
    prefix: str

    @property
    def uri(self) -> str:
        """Return s3://bucket/prefix."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def read(self, name: str) -> Iterator[bytes]:
        """Yield an object in pieces."""
        with _told(f"{self.uri}/{name}"):
            found = _client().get_object(Bucket=self.bucket, Key=self.prefix + name)
            yield from found["Body"].iter_chunks(_PIECE_BYTES)


def find(uri: str) -> Sequence[Prefix]:
    """Return every model folder at or below a prefix."""
    place = at(uri)
    with _told(uri):
        pages = (
            _client()
            .get_paginator("list_objects_v2")
            .paginate(Bucket=place.bucket, Prefix=place.prefix)
        )
        keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
    found = sorted(key for key in keys if key.rpartition("/")[2] == MANIFEST)
    return [Prefix(place.bucket, key.removesuffix(MANIFEST)) for key in found]


def at(uri: str) -> Prefix:
    """Return the folder with this URI. Raises SourceUnavailable where it names no bucket."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    if not bucket:
        raise SourceUnavailable(f"{uri} names no bucket: write s3://bucket/prefix.")
    return Prefix(bucket, f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else "")


@cache
def _client() -> Any:
    return boto3.client("s3", config=_PATIENCE)


os.register_at_fork(after_in_child=_client.cache_clear)  # its connections are the parent's


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn boto3's errors into ours, without addresses and keys."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        raise SourceUnavailable(f"{what}: the object storage answers {code}.") from error
    except BotoCoreError as error:
        raise SourceUnavailable(f"{what}: {type(error).__name__}.") from error
