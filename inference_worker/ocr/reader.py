"""Read the text in pictures and in a few frames of videos, where tesseract is installed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from inference_worker.ocr import pages
from inference_worker.ocr.messages import LEAST_CONFIDENCE, Row, messages, text_of
from inference_worker.ocr.tesseract import Tesseract, Unreadable, Word, installed
from inference_worker.types import Content, Footage, Frame, Picture, ReadWord

log = logging.getLogger(__name__)

MOST_FRAMES_READ = 3
"""Of a video: one from each third, where most seems to be written."""
FRAMES_LOOKED_AT = 12

LEAST_LETTERS = 8
"""Less is not worth judging: a logo, a number plate, a misread texture."""
LEAST_MEAN_CONFIDENCE = 0.7
_SURE, _A_GUESS = 0.9, 0.6
"""Confidences: of plain Latin text, which is not tried as another script; of misread texture."""
_SMALL_SIDE = 500
"""A picture smaller than this is doubled: tesseract wants letters of 20 pixels or more."""
_ETHIOPIC = ("\u1200", "\u139f")


class TextReader:
    """Fills in what is written in pictures. May be used from several threads."""

    def __init__(self, program: Tesseract) -> None:
        self._program = program

    @property
    def version(self) -> str:
        """The program with its version and languages, for the log."""
        languages = ", ".join(sorted(self._program.languages - {"osd"}))
        return f"tesseract {self._program.version} ({languages})"

    def read(self, content: Content) -> Content:
        """Return the content with the text in it; unchanged where there is none to be read."""
        match content:
            case Picture():
                return self._read(content) if pages.may_have_text(content.pixels) else content
            case Footage():
                return self._read_frames(content)
            case _:
                return content

    def _read_frames(self, footage: Footage) -> Footage:
        chosen = _worth_reading(footage.frames)
        if not chosen:
            return footage
        frames = tuple(
            Frame(frame.at_seconds, self._read(frame.picture)) if place in chosen else frame
            for place, frame in enumerate(footage.frames)
        )
        return replace(footage, frames=frames)

    def _read(self, picture: Picture) -> Picture:
        pixels = _enlarged(picture.pixels)
        height, width = pixels.shape[:2]
        try:
            found = messages(self._words(pixels), width, height)
        except (Unreadable, OSError) as reason:
            log.warning("text in a picture not read: %s", reason)
            return picture
        return replace(
            picture,
            text="\n".join(text_of(message) for message in found),
            words=tuple(_boxes(found, width, height)),
        )

    def _words(self, pixels: npt.NDArray[np.uint8]) -> list[Word]:
        """Return the words of the way of reading that makes sense; none where no way does."""
        grey = pages.grey_of(pixels)
        ways = [pages.dark_on_light(grey)]
        if pages.is_photo(grey):
            ways.append(pages.white_letters(pixels))
        latin, *others = self._program.scripts
        best = max((self._program.words(way, latin) for way in ways), key=_sureness)
        if _mean_confidence(best) < _SURE:
            others_best = (self._program.words(ways[0], script) for script in others)
            best = max((best, *filter(_is_mostly_ethiopic, others_best)), key=_sureness)
        return best if _makes_sense(best) else []


def text_reader() -> TextReader | None:
    """Return a reader where tesseract is installed, else None."""
    program = installed()
    return TextReader(program) if program else None


def _worth_reading(frames: Sequence[Frame]) -> set[int]:
    """Return the places of the frames to read."""
    if not frames:
        return set()
    looked_at = {round(at) for at in np.linspace(0, len(frames) - 1, FRAMES_LOOKED_AT)}
    letters = {place: pages.letters(frames[place].picture.pixels) for place in sorted(looked_at)}
    thirds = np.array_split(np.arange(len(frames)), MOST_FRAMES_READ)
    fullest = (max(third, key=lambda at: letters.get(at, 0)) for third in thirds if len(third))
    return {int(at) for at in fullest if letters.get(int(at), 0) >= pages.LEAST_LETTERS}


def _enlarged(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    if max(height, width) >= _SMALL_SIDE:
        return pixels
    doubled = Image.fromarray(pixels).resize((2 * width, 2 * height), Image.Resampling.BICUBIC)
    return np.asarray(doubled)


def _believed(words: Sequence[Word]) -> list[Word]:
    return [word for word in words if word.confidence >= LEAST_CONFIDENCE]


def _letters(words: Sequence[Word]) -> str:
    return "".join(letter for word in words for letter in word.text if letter.isalpha())


def _sureness(words: Sequence[Word]) -> float:
    """Return how much was surely read: letters, each by how far its word is from a guess."""
    return sum(max(0.0, word.confidence - _A_GUESS) * len(_letters([word])) for word in words)


def _mean_confidence(words: Sequence[Word]) -> float:
    """Return the confidence of a typical letter; 0 where there is none."""
    believed = _believed(words)
    weights = [len(_letters([word])) for word in believed]
    if not sum(weights):
        return 0.0
    return float(np.average([word.confidence for word in believed], weights=weights))


def _makes_sense(words: Sequence[Word]) -> bool:
    """Say whether there are enough letters, most of them in words tesseract is sure of."""
    enough = len(_letters(_believed(words))) >= LEAST_LETTERS
    return enough and _mean_confidence(words) >= LEAST_MEAN_CONFIDENCE


def _is_mostly_ethiopic(words: Sequence[Word]) -> bool:
    letters = _letters(_believed(words))
    first, last = _ETHIOPIC
    return sum(first <= letter <= last for letter in letters) > len(letters) / 2


def _boxes(found: Iterable[Sequence[Row]], width: int, height: int) -> Iterator[ReadWord]:
    for word in (word for message in found for row in message for word in row.words):
        yield ReadWord(
            word.text,
            word.left / width,
            word.top / height,
            word.right / width,
            word.bottom / height,
            word.confidence,
        )
