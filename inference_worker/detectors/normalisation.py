"""One spelling for what looks the same, so that disguises and platforms do not change the score.

Every step keeps, for each character it emits, where in the original text it came from.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

MASKED = re.compile(
    r"(?P<url>https?://\S+|www\.\S+|\bURL\b)"
    r"|(?P<user>(?:\brt\s+)?(?<!\w)@\s?\w+:?)"
    r"|(?P<entity>&\s?(?:amp|lt|gt|quot|nbsp|#\d{2,6});)",
    re.IGNORECASE,
)
"""Links, mentions and leftover HTML say where a text was posted, not what it says."""

MASKS = {"url": " url ", "user": " user ", "entity": " "}

DISGUISED_LETTER = re.compile(r"(?<=[a-z])[01345@$!](?=[a-z])")
PLAIN = {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "@": "a", "$": "s", "!": "i"}
"""b1tch, f@ck: a digit or sign between two letters. Light on purpose: never at a word's edge."""

LOOKALIKES = dict(zip("аеорсухіјԁһԛԝαορνικ", "aeopcyxijdhqwaopvik", strict=True))
"""Cyrillic and Greek letters drawn like Latin ones; used only in words that also hold Latin."""

LATIN = re.compile(r"[a-z]")
WORD = re.compile(r"\w+")

SAME_SOUND = {
    first: second
    for row_of, row_to in (
        ("ሐሑሒሓሔሕሖ", "ሀሁሂሃሄህሆ"),
        ("ኀኁኂኃኄኅኆ", "ሀሁሂሃሄህሆ"),
        ("ሠሡሢሣሤሥሦ", "ሰሱሲሳሴስሶ"),
        ("ዐዑዒዓዔዕዖ", "አኡኢኣኤእኦ"),
        ("ፀፁፂፃፄፅፆ", "ጸጹጺጻጼጽጾ"),
    )
    for first, second in zip(row_of, row_to, strict=True)
}
"""Amharic letters that sound alike are written for one another freely."""

LONGEST_RUN = 2
"""Of one character: 'fuuuuck' and 'fuuck' become the same, 'hell' and 'hel' stay apart."""


@dataclass(frozen=True, slots=True)
class Normalised:
    """A text as the model reads it; `origin[i]` is where character i began in the original."""

    text: str
    origin: tuple[int, ...]
    """Of len(text) + 1: the last entry is the original's end."""

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Translate a stretch of the normalised text into offsets of the original."""
        return self.origin[start], self.origin[end]


def normalise(text: str) -> Normalised:
    """Mask links and mentions, fold compatibility forms, undo light disguises, lower the case."""
    pieces: list[str] = []
    origin: list[int] = []
    at = 0
    for match in MASKED.finditer(text):
        _fold(text, at, match.start(), pieces, origin)
        mask = MASKS[match.lastgroup or "entity"]
        pieces.append(mask)
        origin.extend([match.start()] * len(mask))
        at = match.end()
    _fold(text, at, len(text), pieces, origin)
    plain = DISGUISED_LETTER.sub(lambda found: PLAIN[found.group()], "".join(pieces))
    return Normalised(WORD.sub(_undo_lookalikes, plain), (*origin, len(text)))


def _fold(text: str, start: int, end: int, pieces: list[str], origin: list[int]) -> None:
    """Append the folded characters of text[start:end] and their origins."""
    run, last = 0, ""
    for index in range(start, end):
        character = text[index]
        run = run + 1 if character == last else 1
        last = character
        if run <= LONGEST_RUN and (folded := _folded(character)):
            pieces.append(folded)
            origin.extend([index] * len(folded))


@lru_cache(maxsize=4096)
def _folded(character: str) -> str:
    """Return the characters to read instead of one: none for marks and invisible ones."""
    if character.isspace():
        return " "
    base = unicodedata.normalize("NFKD", character).lower()
    kept = (c for c in base if unicodedata.category(c) not in {"Mn", "Me", "Cf", "Cc", "Co", "Cs"})
    return "".join(SAME_SOUND.get(c, c) for c in kept)


def _undo_lookalikes(word: re.Match[str]) -> str:
    letters = word.group()
    if letters.isascii() or not LATIN.search(letters):
        return letters
    return "".join(LOOKALIKES.get(letter, letter) for letter in letters)
