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
    "ig": "na nke ndi bu ka ga maka nwere onye anyi unu ha ihe mmadu kedu biko nwanne gini ebe ahu "
    "mere ndị bụ onye ụlọ ọrụ anyị gị ya kwa nile ugbu a otu nwoke nwanyi obodo ego chukwu nma "
    "daalu ka o mana mgbe nne nna umu oge ozo ikwu gaa bia ndeewo abali ututu ulo oru ike ndu",
    "wo": "ak ci la nga mu bi yi gi li ñu dafa ndax waaye bu am rekk lu lan ngir itam mag rafet "
    "nit ñi jërëjëf jamm dina damay dem yow moom nun ëpp lool tey suba",
    "ti": "ናይ እዩ ኣብ ካብ ከምዘሎ ነቲ ድማ ኣሎ እዚ ግን ኣብዚ ምስ ኩሉ ንሱ ንሳ ክኸውን እዮም ኣይኮነን ኤርትራ ትግራይ ሰባት ከም "
    "እቲ ብዛዕባ ሎሚ ክሳብ እንታይ ከመይ ኣለዉ ነይሩ ዝነበረ",
}
"""Common words of neighbouring languages for which no text was at hand."""

FEWEST_WORDS = 4
"""A shorter text says too little about its language to be turned away."""
FALSE_ALARMS = 0.001
"""Share of measured-language texts that one unmeasured language may turn away."""
LEAST_MARGIN = -0.1
"""Everyday Swahili and short messages are rarer in the texts than in life; stay lenient."""
HELD_OUT = 500
"""Texts of each language that are not learnt from: they set the margins and measure the gate."""
MOST_GRAMS = 24_000
MOST_WORDS_LEARNT = 60_000


def train_languages(
    measured: Mapping[str, Sequence[str]], data: Path, out: Path
) -> dict[str, dict[str, float]]:
    """Learn from normalised texts by measured language, and write both files into `out`.

    Returns, by language with texts held out, how many there were and what share was declined.
    """
    chance = random.Random(0)
    counts, kept, held = _foreign(), {}, {}
    for name, texts in {**measured, **_afrisenti(data)}.items():
        shuffled = chance.sample(list(texts), len(texts))
        kept[name], held[name] = shuffled[HELD_OUT:], shuffled[:HELD_OUT]
        counts[name] = _counted(kept[name])
    _write(counts, sorted(measured), {}, out)
    familiar = [text for name in measured for text in held[name]]
    _write(counts, sorted(measured), _margins(Languages(out), familiar), out)
    gate = Languages(out)
    return {
        name: {"n": len(texts), "declined": sum(map(bool, map(gate.foreign, texts))) / len(texts)}
        for name, texts in held.items()
    }


def _margins(languages: Languages, familiar: Sequence[str]) -> dict[str, float]:
    """Return, by unmeasured language, the advantage hardly any familiar text gives it."""
    found = [some for text in familiar if len(some := words(text)) >= FEWEST_WORDS]
    advantages = np.stack([languages.advantages(some) for some in found])
    return {
        name: round(max(float(np.quantile(of_one, 1 - FALSE_ALARMS)), LEAST_MARGIN), 4)
        for name, of_one in zip(languages.names, advantages.T, strict=True)
        if np.isfinite(of_one).all()
    }


def _foreign() -> dict[str, Counter[str]]:
    from_django = {name: _django(name) for name in TRANSLATED}
    listed = {name: [text] for name, text in FUNCTION_WORDS.items()}
    return {name: _counted(texts) for name, texts in {**from_django, **listed}.items()}


def _afrisenti(data: Path) -> dict[str, list[str]]:
    """Return the tweets of AfriSenti in languages the text model was not measured on."""
    texts: dict[str, list[str]] = {"ha": [], "yo": [], "pcm": []}
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
    counts: Mapping[str, Counter[str]],
    measured: Sequence[str],
    margins: Mapping[str, float],
    out: Path,
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
        "margins": dict(margins),
        "fewest_words": FEWEST_WORDS,
        "grams": chosen,
    }
    (out / GRAMS_FILE).write_text(json.dumps(stated, ensure_ascii=False), encoding="utf-8")
