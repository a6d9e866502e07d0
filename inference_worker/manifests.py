"""Reads a csv of labelled items, strictly: what is wrong is named by line and column."""

from __future__ import annotations

import csv
import gzip
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference_worker.errors import InferenceError

POSITIVE = frozenset({"1", "spoof", "ai", "true", "abuse", "synthetic", "fake"})
NEGATIVE = frozenset({"0", "bonafide", "real", "false", "normal", "authentic"})
MOST_NAMED = 5
"""Missing files that are named in one message; the others are counted."""


class ManifestUnusable(InferenceError):
    """The manifest cannot be read as labelled items."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One line of a manifest. Exactly one of `text` and `path` is set."""

    number: int
    """Place among the items, from 0."""
    label: int
    source: str
    language: str
    text: str | None
    path: Path | None
    condition: str = ""
    line: int = 0
    """Where it begins in the file, from 1, the header's line counted."""

    @property
    def groups(self) -> list[str]:
        """Return the groups it is compared in, in words."""
        named = (
            ("source", self.source),
            ("language", self.language),
            ("condition", self.condition),
        )
        return [f"{kind} {name}" for kind, name in named if name]


def read(manifest: Path) -> list[Labelled]:
    """Read a csv (or csv.gz) with columns file or text, label, and any of source, lang, condition.

    Files are found beside the manifest and must exist. Raises ManifestUnusable, naming the line and
    column.
    """
    csv.field_size_limit(sys.maxsize)
    opener = gzip.open if manifest.suffix == ".gz" else open
    try:
        with opener(manifest, "rt", encoding="utf-8-sig", newline="") as lines:
            items = list(_items(csv.DictReader(lines, strict=True), manifest))
    except OSError as error:
        why = error.strerror or error
        raise ManifestUnusable(f"{manifest} cannot be read: {why}.") from error
    except (EOFError, zlib.error) as error:
        raise ManifestUnusable(f"{manifest.name} is no whole gzip file: {error}.") from error
    except UnicodeDecodeError as error:
        raise ManifestUnusable(
            f"{manifest.name} is not UTF-8: byte {error.start} of a piece cannot be read. "
            "Save it as UTF-8."
        ) from error
    _check(items, manifest)
    return items


def _items(rows: csv.DictReader[str], manifest: Path) -> Iterator[Labelled]:
    columns = rows.fieldnames or ()
    _check_columns(columns, manifest)
    begins = rows.line_num + 1
    try:
        for number, row in enumerate(rows):
            yield _labelled(number, begins, row, manifest.parent)
            begins = rows.line_num + 1
    except csv.Error as error:
        raise ManifestUnusable(f"{manifest.name}, line {begins}: {error}.") from error


def _check_columns(columns: Sequence[str], manifest: Path) -> None:
    if not columns:
        raise ManifestUnusable(f"{manifest.name} is empty: it needs a line with column names.")
    there = ", ".join(columns)
    if "label" not in columns:
        raise ManifestUnusable(f"{manifest.name}, line 1: no column label among: {there}.")
    if not {"text", "file"} & set(columns):
        raise ManifestUnusable(f"{manifest.name}, line 1: no column text or file among: {there}.")
    if len(set(columns)) != len(columns):
        raise ManifestUnusable(f"{manifest.name}, line 1: a column is named twice: {there}.")


def _labelled(number: int, line: int, row: dict[str, str | None], folder: Path) -> Labelled:
    if None in row:  # what csv puts there: cells beyond the last column
        raise ManifestUnusable(
            f"Line {line}: more cells than columns; quote the text that holds a comma."
        )
    text, file = row.get("text"), row.get("file")
    if bool(text) == bool(file):
        both = "both are filled" if text else "both are empty"
        raise ManifestUnusable(f"Line {line}: give one of the columns text and file; {both}.")
    return Labelled(
        number=number,
        label=_label(line, row.get("label") or ""),
        source=row.get("source") or "unknown",
        language=row.get("lang") or "",
        text=text or None,
        path=folder / file if file else None,
        condition=row.get("condition") or "",
        line=line,
    )


def _label(line: int, label: str) -> int:
    said = label.strip().lower()
    if said in POSITIVE | NEGATIVE:
        return int(said in POSITIVE)
    yes, no = ", ".join(sorted(POSITIVE)), ", ".join(sorted(NEGATIVE))
    raise ManifestUnusable(
        f"Line {line}, column label: {label!r} is not known. It is true: {yes}. It is not: {no}."
    )


def _check(items: Sequence[Labelled], manifest: Path) -> None:
    if not items:
        raise ManifestUnusable(f"{manifest.name} has column names and no items.")
    missing = [item for item in items if item.path and not item.path.is_file()]
    if missing:
        named = "; ".join(f"line {item.line}: {item.path}" for item in missing[:MOST_NAMED])
        more = f"; and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
        raise ManifestUnusable(
            f"{len(missing)} of {len(items)} files are missing (column file, {named}{more}). "
            "Paths are taken from the manifest's folder."
        )
