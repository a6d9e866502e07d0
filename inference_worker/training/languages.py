"""Trains the letter-group statistics that tell measured languages from others.

Unmeasured languages are learnt from AfriSenti, from Django's own translations and, where neither
has any, from the function words below.
"""

from __future__ import annotations

import csv
import gettext
import gzip
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from inference_worker.detectors.languages import (
    GRAMS_FILE,
    TABLE_FILE,
    Languages,
    grams,
    words,
)
from inference_worker.detectors.normalisation import normalise

TRANSLATED = (
    *("af", "az", "ca", "cs", "cy", "da", "de", "es", "et", "fi", "fr", "hr", "hu", "id", "it"),
    *("lt", "lv", "nb", "nl", "pl", "pt", "ro", "sk", "sq", "sv", "tr", "vi"),
)
"""Languages in Latin script that Django is translated into."""

FUNCTION_WORDS: Mapping[str, str] = {
    "so": "waa iyo oo ka ku uu ayaa waxaa waxa soo in la ay aan waxay wuxuu dadka dalka badan "
    "marka kale ayuu lagu loo leh ahaa yahay tahay magaalada soomaaliya maxaa sidee waxaad "
    "maanta shacabka xukuumadda doorashada sheegay jirta inuu kasta haddii laakiin wax nin naag",
    "om": "kan akka irraa kana keessa fi waan hin garuu yeroo nama oromoo itti isaa sana jira "
    "dha ture namoota biyya akkasumas bara jedhu kun isaan gara mootummaa hunda tokko waliin",
    "rw": "ni mu ku na bya kandi ko muri ariko cyane ubwo abantu byo rwanda nk uko kugira ngo "
    "umuntu igihe igihugu avuga yavuze ibyo hari benshi mu gihe abaturage leta uyu iyi ubu",
    "lg": "nga ne mu ku era okuva abantu omuntu nti ate kubanga buli gwe bwe kye eggwanga ebyo "
    "olw okukola uganda okulya ekintu naye kati wano nnyo awamu abaana",
    "zu": "ukuthi futhi kodwa ngoba umuntu abantu lapho uma kakhulu yini ngiyabonga ukuba kanye "
    "nokuthi njengoba bonke wami kufanele lokho ngaphambi emva izwe uhulumeni",
    "ti": "ናይ እዩ ኣብ ካብ ከምዘሎ ነቲ ድማ ኣሎ እዚ ግን ኣብዚ ምስ ኩሉ ንሱ ንሳ ክኸውን እዮም ኣይኮነን ኤርትራ ትግራይ ሰባት ከም "
    "እቲ ብዛዕባ ሎሚ ክሳብ እንታይ ከመይ ኣለዉ ነይሩ ዝነበረ",
}
"""Common words of neighbouring languages for which no text was at hand."""

FEWEST_WORDS = 4
"""A shorter text says too little about its language to be turned away."""
FALSE_ALARMS = 0.005
"""Share of measured-language texts the margin may turn away."""
LEAST_MARGIN = -0.1
"""Everyday Swahili and short messages are rarer in the texts than in life; stay lenient."""
MOST_GRAMS = 24_000
MOST_WORDS_LEARNT = 60_000


def train_languages(measured: Mapping[str, Sequence[str]], data: Path, out: Path) -> None:
    """Learn from normalised texts by measured language, and write both files into `out`."""
    chance = random.Random(0)
    kept, held = {}, []
    for name, texts in measured.items():
        shuffled = chance.sample(list(texts), len(texts))
        held += shuffled[:500]
        kept[name] = _counted(shuffled[500:])
    foreign = {name: _counted(texts) for name, texts in _foreign(data).items()}
    _write({**kept, **foreign}, sorted(kept), 0.0, out)
    margin = _margin(Languages(out), held)
    _write({**kept, **foreign}, sorted(kept), margin, out)
    print(f"languages: margin {margin:.3f} nats a word")


def _margin(languages: Languages, held: Sequence[str]) -> float:
    found = [some for text in held if len(some := words(text)) >= FEWEST_WORDS]
    advantages = [languages.strongest_foreign(some)[1] for some in found]
    return max(float(np.quantile(advantages, 1 - FALSE_ALARMS)), LEAST_MARGIN)


def _foreign(data: Path) -> dict[str, list[str]]:
    from_django = {name: _django(name) for name in TRANSLATED}
    listed = {name: [text] for name, text in FUNCTION_WORDS.items()}
    return {**from_django, **listed, **_afrisenti(data)}


def _afrisenti(data: Path) -> dict[str, list[str]]:

    texts: dict[str, list[str]] = {"ha": [], "yo": []}
    with gzip.open(data / "sentiment.csv.gz", "rt", encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if row["lang"] in texts:
                texts[row["lang"]].append(normalise(row["text"]).text)
    return texts


PLACEHOLDER = re.compile(r"%\(\w+\)\w|%\w|\{\w*\}|<[^>]*>|&\w+;")


def _django(name: str) -> list[str]:
    spec = find_spec("django")
    assert spec is not None
    assert spec.origin is not None
    texts: list[str] = []
    for path in sorted(Path(spec.origin).parent.rglob(f"locale/{name}/LC_MESSAGES/django.mo")):
        with path.open("rb") as stream:
            catalog = gettext.GNUTranslations(stream)._catalog  # type: ignore[attr-defined]
        texts += [PLACEHOLDER.sub(" ", message) for key, message in catalog.items() if key]
    return [normalise(text).text for text in texts]


def _counted(texts: Sequence[str]) -> Counter[str]:
    learnt = [word for text in texts for word in words(text)][:MOST_WORDS_LEARNT]
    return Counter(gram for word in learnt for gram in grams(word))


def _write(
    counts: Mapping[str, Counter[str]], measured: Sequence[str], margin: float, out: Path
) -> None:
    names = sorted(counts)
    shares: dict[str, float] = defaultdict(float)
    for name in names:
        total = counts[name].total()
        for gram, count in counts[name].items():
            shares[gram] += count / total
    chosen = sorted(sorted(shares, key=shares.__getitem__, reverse=True)[:MOST_GRAMS])
    table = np.array([[counts[name][gram] for name in names] for gram in chosen], np.float64)
    # A pseudo-count in proportion to the corpus: a language known from few words is not unsure of
    # everything it has not shown.
    totals = table.sum(axis=0)
    smoothed = (table + totals * 2e-6 + 0.02) / (
        totals * (1 + 2e-6 * len(chosen)) + 0.02 * len(chosen)
    )
    save_file({"log_probability": np.log(smoothed).astype(np.float16)}, out / TABLE_FILE)
    stated = {
        "languages": names,
        "measured": list(measured),
        "margin": round(margin, 4),
        "fewest_words": FEWEST_WORDS,
        "grams": chosen,
    }
    (out / GRAMS_FILE).write_text(json.dumps(stated, ensure_ascii=False), encoding="utf-8")
