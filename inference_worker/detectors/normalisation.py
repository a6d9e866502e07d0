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
    r"|(?P<entity>&\s?(?:amp|lt|gt|quot|nbsp|#\d{2,6});)"
    r"|(?P<flag>[\U0001F1E6-\U0001F1FF]{2,})",
    re.IGNORECASE,
)
"""Links, mentions, leftover HTML and flags say where a text was posted, not what it says."""

MASKS = {"url": " url ", "user": " user ", "entity": " ", "flag": " "}

DISGUISED_LETTERS = re.compile(
    r"(?<=[a-z])[013456789@$!|+€]{1,4}(?=[a-z])|(?<![\w$])\$(?=[a-z]{2})|(?<=[a-z])\${1,2}(?!\w)"
)
"""b1tch, f@ck, n1663r, $hit, a$$: digits or signs between letters, dollar signs at an edge too. A
digit at an edge (covid19, 4th) or a word with nothing else (1990) stays."""
PLAIN = {
    "0": "o",
    "1": "i",
    "3": "e",
    "4": "a",
    "5": "s",
    "6": "g",
    "7": "t",
    "8": "b",
    "9": "g",
    "@": "a",
    "$": "s",
    "!": "i",
    "|": "i",
    "+": "t",
    "€": "e",
}

SPELT_OUT = re.compile(
    r"(?<![^\W_])(?P<first>[a-z\u1200-\u135a])(?P<gap>[ .\-_*/,·•~'|]{1,2})[a-z\u1200-\u135a]"
    r"(?:(?P=gap)[a-z\u1200-\u135a])+(?![^\W_])"
)
"""k i l l, k.i.l.l, k-i-l-l: three or more single letters with the same gap between them."""

LETTER_SIGNS = {
    **{chr(0x1F1E6 + place): chr(97 + place) for place in range(26)},
    **{chr(0x1F150 + place): chr(97 + place) for place in range(26)},
    **{chr(0x1F170 + place): chr(97 + place) for place in range(26)},
    **dict(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ", "abcdefghijklmnoprstuvwyz", strict=True)),
}
"""Emoji that are letters, and small capitals: compatibility folding knows none of them."""

LOOKALIKES = dict(
    zip(
        "аеорсухіјѕһԁԛԝӏкмтвнпгпиαορνικτυχεηωɑɡսոօհց",
        "aeopcyxijshdqwlkmtbhnrnuaopviktuxenwagunohg",
        strict=True,
    )
)
"""Cyrillic, Greek, Armenian and phonetic letters drawn like Latin ones. They are read as these in
a word that also holds Latin letters, and in a mostly Latin text where a whole word is made of them.
"""

LATIN = re.compile(r"[a-z]")
WORD = re.compile(r"[^\W\d_]+")
LOOKALIKE = re.compile(f"[{''.join(LOOKALIKES)}]")

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
    """Mask links and mentions, fold compatibility forms, undo disguises, lower the case."""
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
    plain = DISGUISED_LETTERS.sub(_undo_signs, _undo_lookalikes("".join(pieces)))
    return _joined(plain, [*origin, len(text)])


def _fold(text: str, start: int, end: int, pieces: list[str], origin: list[int]) -> None:
    """Append the folded characters of text[start:end] and their origins."""
    run, last = 0, ""
    for index in range(start, end):
        folded = _folded(text[index])
        if not folded:
            continue
        run = run + 1 if folded == last else 1
        last = folded
        if run <= LONGEST_RUN:
            pieces.append(folded)
            origin.extend([index] * len(folded))


@lru_cache(maxsize=4096)
def _folded(character: str) -> str:
    """Return the characters to read instead of one: none for marks and invisible ones."""
    if character.isspace():
        return " "
    base = LETTER_SIGNS.get(character) or unicodedata.normalize("NFKD", character).lower()
    kept = (c for c in base if unicodedata.category(c) not in {"Mn", "Me", "Cf", "Cc", "Co", "Cs"})
    return "".join(SAME_SOUND.get(c, c) for c in kept)


def _undo_signs(found: re.Match[str]) -> str:
    return "".join(PLAIN[sign] for sign in found.group())


def _undo_lookalikes(text: str) -> str:
    if not LOOKALIKE.search(text):
        return text
    is_latin = 2 * len(LATIN.findall(text)) > sum(map(str.isalpha, text))

    def undone(word: re.Match[str]) -> str:
        letters = word.group()
        is_whole = is_latin and all(letter in LOOKALIKES for letter in letters)
        if not is_whole and not LATIN.search(letters):
            return letters
        return "".join(LOOKALIKES.get(letter, letter) for letter in letters)

    return WORD.sub(undone, text)


def _joined(text: str, origin: list[int]) -> Normalised:
    """Close the gaps of words spelt out; `origin` has one entry more than the text."""
    places: list[int] = []
    at = 0
    for match in SPELT_OUT.finditer(text):
        step = 1 + len(match["gap"])
        places += [*range(at, match.start()), *range(match.start(), match.end(), step)]
        at = match.end()
    if not at:
        return Normalised(text, tuple(origin))
    places += range(at, len(text))
    kept = (*(origin[place] for place in places), origin[-1])
    return Normalised("".join(text[place] for place in places), kept)
