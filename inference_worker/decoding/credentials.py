"""Read a file's content credential with c2pa: what runs in the sandbox, beside decoding.

Nothing is fetched: neither a credential kept elsewhere nor a certificate's revocation. The settings
say so, and the sandbox has no sockets.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any

import c2pa

from inference_worker.decoding.limits import MIB, Limits
from inference_worker.decoding.sniff import HEAD_BYTES, sniff
from inference_worker.types import Credential, Provenance

LIMITS = Limits(memory_bytes=1024 * MIB, result_bytes=1 * MIB, cpu_seconds=5, wall_seconds=15.0)
"""A credential is read in a child of its own: it may cost less than decoding, and its failure costs
the decoded content nothing."""

_MARKS = (b"jumb", b"c2pa", b"C2PA", b"provenance")
"""A credential is made of JUMBF boxes labelled c2pa; one kept elsewhere is named by the XMP
property dcterms:provenance. A file without these words has none (C2PA 2.2, 11.1 and A)."""
_STEP = 4 * MIB

_READABLE = frozenset(
    {
        "image/jpeg", "image/png", "image/gif", "image/webp",
        "audio/wav", "audio/flac", "audio/mpeg", "audio/mp4",
        "video/mp4", "video/quicktime", "video/3gpp",
    }
)  # fmt: skip
"""The sniffed types that c2pa defines a place in the file for, and this reader knows."""

_DEPTH = 8
"""How many generations of what a file was made from are followed."""


def may_carry(fd: int) -> bool:
    """Say whether reading is worth a child: the file has a word that every credential has.

    A plain search, which cannot be attacked. Leaves the position where it is.
    """
    longest = max(map(len, _MARKS)) - 1
    position, tail = 0, b""
    while step := os.pread(fd, _STEP, position):
        seen = tail + step
        if any(mark in seen for mark in _MARKS):
            return True
        position, tail = position + len(step), seen[-longest:]
    return False


class CredentialReader:
    """Reads one file. Made before the sandbox closes, used inside it.

    c2pa calls back into Python through pages that libffi makes executable, which the sandbox
    forbids; a stream made here leaves one behind, in this process alone.
    """

    def __init__(self, file: IO[bytes], trusted: str) -> None:
        """`trusted` holds the certificates of trusted issuers as PEM; it may be empty."""
        settings: dict[str, Any] = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
        if trusted:
            settings["trust"] = {"trust_anchors": trusted}
        self._file = file
        self._context = c2pa.Context.from_dict(settings)
        self._pages = c2pa.Stream(file)

    def read(self) -> Provenance:
        """Return the file's credential; NONE, REMOTE or UNREADABLE if there is nothing to read."""
        self._file.seek(0)  # decoding it left the position at the end
        sniffed = sniff(self._file.read(HEAD_BYTES))
        self._file.seek(0)
        if sniffed is None or sniffed.mime not in _READABLE:
            return Provenance(Credential.NONE)
        try:
            reader = c2pa.Reader(sniffed.mime, self._file, context=self._context)
        except c2pa.C2paError.ManifestNotFound:
            return Provenance(Credential.NONE)
        except c2pa.C2paError as error:
            return _unread(str(error))
        return provenance_of(json.loads(reader.json()))


_REMOTE = "must fetch remote manifests from url "


def _unread(message: str) -> Provenance:
    """c2pa names the reason in words only."""
    _, is_remote, address = message.partition(_REMOTE)
    if is_remote:
        return Provenance(Credential.REMOTE, address=address.strip())
    return Provenance(Credential.UNREADABLE, codes=(message.rpartition(": ")[2],))


def provenance_of(store: Mapping[str, Any]) -> Provenance:
    """Return what a manifest store says, in the JSON of c2pa's reader."""
    manifests: Mapping[str, Any] = store["manifests"]
    active = manifests[store["active_manifest"]]
    line = list(_line(manifests, active))
    signature = active.get("signature_info") or {}
    return Provenance(
        state=_state(store),
        issuer=str(signature.get("issuer") or ""),
        signer=str(signature.get("common_name") or ""),
        generator=_generator(active),
        signed_at=str(signature.get("time") or ""),
        sources=_each_once(kind for manifest in line for kind in _sources(manifest)),
        parts=_each_once(
            kind
            for manifest in line
            for part in _ingredients(manifests, manifest, is_parent=False)
            for ancestor in _line(manifests, part)
            for kind in _sources(ancestor)
        ),
        actions=tuple(
            str(act.get("action", "")) for manifest in reversed(line) for act in _actions(manifest)
        ),
        ingredients=sum(len(manifest.get("ingredients", ())) for manifest in line),
        codes=_each_once(each["code"] for each in store.get("validation_status", ())),
    )


def _state(store: Mapping[str, Any]) -> Credential:
    match store.get("validation_state"):
        case "Trusted":
            return Credential.VALID
        case "Valid":
            return Credential.UNTRUSTED
        case _:
            return Credential.INVALID


def _generator(manifest: Mapping[str, Any]) -> str:
    for tool in manifest.get("claim_generator_info") or ():
        return f"{tool.get('name', '')} {tool.get('version', '')}".strip()
    return str(manifest.get("claim_generator") or "")


def _line(manifests: Mapping[str, Any], youngest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a manifest and the manifests of what it was made from, youngest first."""
    manifest = youngest
    seen: list[Mapping[str, Any]] = []
    while manifest not in seen and len(seen) < _DEPTH:
        yield manifest
        seen.append(manifest)
        manifest = next(_ingredients(manifests, manifest, is_parent=True), manifest)


def _ingredients(
    manifests: Mapping[str, Any], manifest: Mapping[str, Any], *, is_parent: bool
) -> Iterator[Mapping[str, Any]]:
    """Yield the manifests of those ingredients that have one: the parent's, or all others'."""
    for ingredient in manifest.get("ingredients", ()):
        theirs = manifests.get(ingredient.get("active_manifest") or "")
        if theirs and (ingredient.get("relationship") == "parentOf") == is_parent:
            yield theirs


def _actions(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for assertion in manifest.get("assertions", ()):
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            yield from assertion["data"].get("actions", ())


def _sources(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield digital source types: of the actions, and of IPTC metadata that tools sign as well."""
    for act in _actions(manifest):
        if kind := act.get("digitalSourceType"):
            yield _last_part(kind)
    for assertion in manifest.get("assertions", ()):
        stated = assertion.get("data")
        if isinstance(stated, dict):
            for name, kind in stated.items():
                if name.rpartition(":")[2] == "DigitalSourceType":
                    yield _last_part(kind)


def _last_part(address: object) -> str:
    """http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture is known as digitalCapture."""
    return str(address).strip().rpartition("/")[2]


def _each_once(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))
