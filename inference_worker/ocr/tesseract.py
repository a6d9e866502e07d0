"""Run the tesseract program on a page of grey pixels: bounded in size, time and memory."""

from __future__ import annotations

import csv
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from inference_worker.errors import InferenceError

TIMEOUT_SECONDS = 10.0
MEMORY_BYTES = 1024 * 1024 * 1024
MOST_PIXELS = 4_500_000
"""A 2048-pixel square and a little more; decoding keeps no picture larger."""
MOST_WORDS = 2_000

_SPARSE = "11"
"""Page segmentation: find as much text as there is, in no particular order."""
_LATIN = ("eng", "swa")
"""Read together: code-mixed chats have both in one sentence."""
_OWN_SCRIPT = ("amh",)
"""Read by themselves, where the Latin ones find little: together each spoils the other."""


class Unreadable(InferenceError):
    """Tesseract failed on this page or took too long."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word on a page: its box in pixels, how sure tesseract is (0..1), and the line it is on."""

    text: str
    left: int
    top: int
    right: int
    bottom: int
    confidence: float
    line: tuple[int, ...]
    """Tesseract's numbers of block, paragraph and line."""


@dataclass(frozen=True, slots=True)
class Tesseract:
    """The installed program."""

    program: str
    version: str
    languages: frozenset[str]

    @property
    def scripts(self) -> tuple[str, ...]:
        """Return what to read a page as, one after the other until it makes sense."""
        latin = "+".join(name for name in _LATIN if name in self.languages)
        return (latin, *(name for name in _OWN_SCRIPT if name in self.languages))

    def words(self, page: npt.NDArray[np.uint8], script: str) -> list[Word]:
        """Return the words of a grey page of shape (height, width). Raises Unreadable."""
        if page.size > MOST_PIXELS:
            raise Unreadable(f"The page has more than {MOST_PIXELS:,} pixels.")
        height, width = page.shape
        image = b"P5\n%d %d\n255\n" % (width, height) + np.ascontiguousarray(page).tobytes()
        command = [self.program, "-", "-", "-l", script, "--psm", _SPARSE, "tsv"]
        return list(_words(_run(command, image)))[:MOST_WORDS]


@cache
def installed() -> Tesseract | None:
    """Return the program if it is there and can read English."""
    program = shutil.which("tesseract")
    if program is None:
        return None
    try:
        version = _run([program, "--version"]).partition("\n")[0]
        listed = _run([program, "--list-langs"]).splitlines()[1:]
    except (OSError, Unreadable):
        return None
    languages = frozenset(name.strip() for name in listed)
    if "eng" not in languages:
        return None
    return Tesseract(program, version.removeprefix("tesseract").strip(), languages)


def _run(command: list[str], image: bytes = b"") -> str:
    """Run the program; its limits are set before it is given anything to read."""
    with subprocess.Popen(  # noqa: S603 - a program the operator installed
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(),
        start_new_session=True,
    ) as process:
        try:
            _confine(process.pid)
            out, _ = process.communicate(image, timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired as slow:
            process.kill()
            raise Unreadable(f"Reading took longer than {TIMEOUT_SECONDS:g} seconds.") from slow
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise Unreadable(f"Tesseract ended with {process.returncode}.")
    return out.decode("utf-8", "replace")


def _confine(pid: int) -> None:
    """Limit memory, processor time and files. macOS cannot limit another process: time must do."""
    if sys.platform != "linux":
        return
    seconds = round(TIMEOUT_SECONDS)
    for kind, value in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.prlimit(pid, kind, (value, value))


def _environment() -> dict[str, str]:
    kept = ("PATH", "TESSDATA_PREFIX", "LD_LIBRARY_PATH")
    given = {name: os.environ[name] for name in kept if name in os.environ}
    return {**given, "OMP_THREAD_LIMIT": "1", "LC_ALL": "C"}


_A_WORD = "5"


def _words(table: str) -> Iterator[Word]:
    for row in csv.DictReader(table.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE):
        text = (row.get("text") or "").strip()
        if row["level"] != _A_WORD or not text:
            continue
        left, top = int(row["left"]), int(row["top"])
        yield Word(
            text,
            left,
            top,
            left + int(row["width"]),
            top + int(row["height"]),
            float(row["conf"]) / 100,
            (int(row["block_num"]), int(row["par_num"]), int(row["line_num"])),
        )
