"""Model folders in an MLflow registry: models:/name@alias or models:/name/3, with /folder behind.

Speaks MLflow's REST API, so that no worker needs the mlflow package. MLFLOW_TRACKING_URI names the
server; MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and _PASSWORD, as MLflow's own client.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import httpx

from inference_worker.errors import SourceUnavailable
from inference_worker.registry import MANIFEST
from inference_worker.sources import folders, s3

_URI = re.compile(
    r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/]+)|/(?P<version>\d+))"
    r"(?P<sub>(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)"
)
_PATIENCE = httpx.Timeout(30.0, connect=5.0)
_PIECE_BYTES = 1024 * 1024


class _Readable(Protocol):
    """Where the registered files really lie."""

    def read(self, name: str) -> Iterator[bytes]:
        """Yield a file in pieces."""

    def children(self) -> list[str]:
        """Name the folders directly below that hold a model, "" for the place itself."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A model folder registered under a name and a number. `uri` is models:/name/number/folder."""

    uri: str

    def read(self, name: str) -> Iterator[bytes]:
        """Yield a file in pieces."""
        with _client() as client:
            pinned, sub = _pinned(client, self.uri)
            yield from _place(client, pinned).read(f"{sub}{name}")


def find(uri: str) -> Sequence[Registered]:
    """Return the model folder of a registered version: its own, or those directly below."""
    with _client() as client:
        pinned, sub = _pinned(client, uri)
        if sub:
            return [Registered(f"{pinned}/{sub.rstrip('/')}")]
        return [
            Registered(f"{pinned}/{child}".rstrip("/"))
            for child in _place(client, pinned).children()
        ]


def at(uri: str) -> Registered:
    """Return the folder with this URI."""
    return Registered(uri)


def _pinned(client: httpx.Client, uri: str) -> tuple[str, str]:
    """Return models:/name/number for what an alias means now, and the folder below, "x/" or ""."""
    if not (parts := _URI.fullmatch(uri)):
        raise SourceUnavailable(f"{uri} is not models:/name@alias or models:/name/number.")
    name, number = parts["name"], parts["version"]
    if parts["alias"]:
        query = {"name": name, "alias": parts["alias"]}
        number = _asked(client, "registered-models/alias", query)["model_version"]["version"]
    sub = parts["sub"].strip("/")
    return f"models:/{name}/{number}", f"{sub}/" if sub else ""


def _place(client: httpx.Client, pinned: str) -> _Readable:
    """Return where the files of models:/name/number lie."""
    _, name, number = pinned.split("/")
    query = {"name": name, "version": number}
    uri = _asked(client, "model-versions/get-download-uri", query)["artifact_uri"]
    parts = urlsplit(uri)
    if parts.scheme == "mlflow-artifacts":
        return _Proxied(client, parts.path.strip("/"))
    if parts.scheme == "s3":
        return _Direct(s3.at(uri), [each.uri for each in s3.find(uri)], uri)
    if parts.scheme in {"", "file"} and Path(parts.path).is_dir():
        return _Direct(
            folders.at(parts.path), [f.uri for f in folders.find(parts.path)], parts.path
        )
    raise SourceUnavailable(
        f"{pinned} lies at {parts.scheme or 'file'}:, which cannot be read from this machine. "
        "Serve artifacts through the tracking server, or from s3."
    )


@dataclass(frozen=True, slots=True)
class _Direct:
    """Files that MLflow only points at."""

    source: folders.Folder | s3.Prefix
    found: Sequence[str]
    root: str

    def read(self, name: str) -> Iterator[bytes]:
        return self.source.read(name)

    def children(self) -> list[str]:
        return [uri.removeprefix(self.root.rstrip("/")).strip("/") for uri in self.found]


@dataclass(frozen=True, slots=True)
class _Proxied:
    """Files that the tracking server itself hands out."""

    client: httpx.Client
    path: str

    def read(self, name: str) -> Iterator[bytes]:
        address = f"/api/2.0/mlflow-artifacts/artifacts/{quote(f'{self.path}/{name}')}"
        with _told(), self.client.stream("GET", address) as answer:
            answer.raise_for_status()
            yield from answer.iter_bytes(_PIECE_BYTES)

    def children(self) -> list[str]:
        files, below = self._listed(self.path)
        if MANIFEST in files:
            return [""]
        return [name for name in below if MANIFEST in self._listed(f"{self.path}/{name}")[0]]

    def _listed(self, path: str) -> tuple[list[str], list[str]]:
        """Return the names of files and of folders."""
        with _told():
            answer = self.client.get(
                "/api/2.0/mlflow-artifacts/artifacts", params={"path": path}
            ).raise_for_status()
        listed = answer.json().get("files", [])
        names = [(each["path"].rpartition("/")[2], bool(each.get("is_dir"))) for each in listed]
        return [n for n, is_dir in names if not is_dir], [n for n, is_dir in names if is_dir]


def _asked(client: httpx.Client, endpoint: str, query: dict[str, str]) -> dict[str, Any]:
    with _told():
        answer = client.get(f"/api/2.0/mlflow/{endpoint}", params=query).raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


def _client() -> httpx.Client:
    if not (server := os.environ.get("MLFLOW_TRACKING_URI", "")):
        raise SourceUnavailable("models:/ needs MLFLOW_TRACKING_URI, the address of MLflow.")
    user = os.environ.get("MLFLOW_TRACKING_USERNAME", "")
    token = os.environ.get("MLFLOW_TRACKING_TOKEN", "")
    return httpx.Client(
        base_url=server.rstrip("/"),
        auth=(user, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")) if user else None,
        headers={"Authorization": f"Bearer {token}"} if token else {},
        timeout=_PATIENCE,
    )


@contextmanager
def _told() -> Iterator[None]:
    """Turn httpx's errors into ours, without addresses and keys."""
    try:
        yield
    except httpx.HTTPStatusError as error:
        raise SourceUnavailable(f"MLflow answers {_said(error.response)}.") from error
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise SourceUnavailable(f"MLflow cannot be asked: {type(error).__name__}.") from error


def _said(answer: httpx.Response) -> str:
    try:
        code = answer.json()["error_code"]
    except (ValueError, KeyError, TypeError, httpx.ResponseNotRead):
        code = ""
    return f"{answer.status_code} {code}".strip()
