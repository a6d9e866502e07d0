"""How well the abuse detector sees through disguises, and what normalisation does for it.

`python -m inference_worker.training.text_obfuscation --data DIR > docs/text-obfuscation.md` writes
the page about it. The disguises only measure; nothing is trained on them.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from inference_worker.detectors.normalisation import LOOKALIKES, Normalised, normalise
from inference_worker.detectors.text import TextDetector
from inference_worker.figures import Tally, auc
from inference_worker.registry import ModelFolder
from inference_worker.training.text import RESERVED
from inference_worker.training.text_data import DAVIDSON, OLID, Example, load, reserve

Disguise = Callable[[str, random.Random], str]

SIGNS = {"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "t": "7"}
DRAWN_LIKE = {latin: other for other, latin in LOOKALIKES.items()}
ZERO_WIDTH = "\u200b\u200c\u2060\ufeff"


def _leet(word: str, chance: random.Random) -> str:
    inner = "".join(SIGNS.get(letter, letter) for letter in word[1:-1])
    return word[0] + inner + word[-1]


def _homoglyphs(word: str, chance: random.Random) -> str:
    return "".join(
        DRAWN_LIKE[letter] if letter in DRAWN_LIKE and chance.random() < 0.5 else letter
        for letter in word
    )


def _invisible(word: str, chance: random.Random) -> str:
    return "".join(letter + chance.choice(ZERO_WIDTH) for letter in word)


def _spaced(word: str, chance: random.Random) -> str:
    return " ".join(word)


def _dotted(word: str, chance: random.Random) -> str:
    return ".".join(word)


def _emoji(word: str, chance: random.Random) -> str:
    return "".join(
        chr(0x1F170 + ord(letter) - 97) if "a" <= letter <= "z" else letter for letter in word
    )


def _stretched(word: str, chance: random.Random) -> str:
    at = chance.randrange(len(word))
    return word[:at] + word[at] * 5 + word[at + 1 :]


def _overridden(word: str, chance: random.Random) -> str:
    return f"\u202e\u2066{word}\u2069\u202c"


def _marked(word: str, chance: random.Random) -> str:
    return "".join(letter + "\u0336" for letter in word)


DISGUISES: Mapping[str, Disguise] = {
    "letters for signs": _leet,
    "look-alike letters": _homoglyphs,
    "invisible characters": _invisible,
    "spaced letters": _spaced,
    "dotted letters": _dotted,
    "emoji letters": _emoji,
    "stretched letters": _stretched,
    "direction marks": _overridden,
    "struck through": _marked,
}
LEAST_LETTERS = 4


def disguised(text: str, disguise: str, seed: int) -> str:
    """Return the text with every word of LEAST_LETTERS letters or more disguised."""
    chance = random.Random(seed)
    change = DISGUISES[disguise]
    return " ".join(_changed(word, change, chance) for word in text.split(" "))


def _changed(word: str, change: Disguise, chance: random.Random) -> str:
    letters = word.rstrip(",.!?")
    if len(letters) < LEAST_LETTERS or not letters.isalpha():
        return word
    return change(letters, chance) + word[len(letters) :]


MODEL = Path(__file__).resolve().parents[1] / "models" / "abuse-text"
PAGE = """\
# Disguised abuse

This page is generated; do not edit it. After the text model changed, write it again:

```
.venv/bin/python -m inference_worker.training.text_obfuscation --data DIR > docs/text-obfuscation.md
```

{count} English texts of OLID and Davidson that {model} did not learn from, with every word of four
letters or more disguised. "Found" is the share of the abusive texts at or above the threshold of
{threshold:.2f}, "false alarms" that of the others. "As typed" is the same model without the
normalisation, on lower-case text.

{rows}
"""


def read_by(detector: TextDetector, texts: Sequence[Normalised]) -> list[float]:
    """Return the log odds of the first window of each text."""
    windows = [detector.windows(text)[0] for text in texts]
    windows_by_length = sorted(range(len(windows)), key=lambda place: windows[place].length)
    odds = [0.0] * len(windows)
    for at in range(0, len(windows), detector.batch_size):
        places = windows_by_length[at : at + detector.batch_size]
        rows = detector.forward([windows[place] for place in places])
        for place, row in zip(places, rows.reshape(len(places), -1)[:, 0], strict=True):
            odds[place] = float(row)
    return odds


def as_typed(text: str) -> Normalised:
    """Return a text the model reads without any normalisation but lower case."""
    lowered = "".join(letter.lower()[:1] for letter in text)
    return Normalised(lowered, tuple(range(len(lowered) + 1)))


def rows(folder: ModelFolder, examples: Sequence[Example]) -> Iterator[str]:
    """Yield the lines of the table, the undisguised texts first."""
    detector = TextDetector(folder)
    labels = [example.label for example in examples]
    ways: Mapping[str, Callable[[str], Normalised]] = {"": normalise, "typed": as_typed}
    yield "| disguise | AUC | found | false alarms | AUC as typed | found as typed |"
    yield "|---|---|---|---|---|---|"
    for name in ("none", *DISGUISES):
        texts = [e.text if name == "none" else disguised(e.text, name, 0) for e in examples]
        cells = []
        for way, read in ways.items():
            odds = read_by(detector, [read(text) for text in texts])
            called = [folder.calibration.probability(o) >= folder.threshold for o in odds]
            cells.append(f"{auc(Tally.of(labels, odds)) or 0:.3f}")
            cells.append(f"{_share(called, labels, 1):.0%}")
            if not way:
                cells.append(f"{_share(called, labels, 0):.0%}")
        yield f"| {name} | {' | '.join(cells)} |"


def _share(called: Sequence[bool], labels: Sequence[int], label: int) -> float:
    of_label = [each for each, known in zip(called, labels, strict=True) if known == label]
    return sum(of_label) / len(of_label)


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with text/*.csv.gz")
    parser.add_argument("--model", type=Path, default=MODEL)
    options = parser.parse_args()
    folder = ModelFolder.load(options.model)
    corpus = load(options.data / "text")
    _, reserved = reserve(corpus.examples, RESERVED, int(folder.training["seed"]))
    english = [example for example in reserved if example.source in {OLID, DAVIDSON}]
    page = PAGE.format(
        count=len(english),
        model=folder,
        threshold=folder.threshold,
        rows="\n".join(rows(folder, english)),
    )
    print(page, end="")


if __name__ == "__main__":
    main()
