"""How reliable a score is, as it is stored and told: a grade, what was measured, the figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from inference_worker.reliability import CONDITION, GROUPS, LANGUAGE, Grade, grade, is_relied_on
from inference_worker.types import Score


class Reliability(TypedDict):
    """What a partner and a reviewer read about the reliability of one score."""

    grade: str
    """unmeasured, unproven, weak, fair or strong."""
    groups: list[str]
    """What was measured, such as "language:sw"; of an unmeasured score, what was not."""
    auc: float | None
    low: float | None
    """Of the 95 % interval of `auc`, as is `high`."""
    high: float | None
    n: int | None
    """Items it was measured on."""


def stated(score: Score) -> Reliability:
    """Return the reliability of a score as it is stored."""
    measured = score.reliability
    if measured is None:
        groups = [str(group) for group in score.notes.get(GROUPS, ())]
        return Reliability(
            grade=Grade.UNMEASURED.value, groups=groups, auc=None, low=None, high=None, n=None
        )
    return Reliability(
        grade=grade(measured).value,
        groups=[measured.group],
        auc=round(measured.auc, 4),
        low=round(measured.low, 4),
        high=round(measured.high, 4),
        n=measured.n,
    )


def shortfall(score: Score) -> str | None:
    """Return why a score cannot be relied on, to follow "The score "; None when it can."""
    if is_relied_on(score.reliability):
        return None
    said = stated(score)
    about = named(said["groups"])
    if said["grade"] == Grade.UNMEASURED:
        return f"was not measured on content like this{f' ({about})' if about else ''}"
    return f"was measured no better than guessing on {about}"


def named(groups: Sequence[str]) -> str:
    """Return groups as people say them: Swahili, “phone codec” content."""
    return ", ".join(name_of(group) for group in groups)


def name_of(group: str) -> str:
    """Return one group as people say it; a language that has no name here by its tag."""
    if group.startswith(LANGUAGE):
        return _language(group.removeprefix(LANGUAGE))
    if group.startswith(CONDITION):
        return f"“{group.removeprefix(CONDITION)}” content"
    return "all content together"


def _language(tag: str) -> str:
    first, _, rest = tag.replace("_", "-").partition("-")
    name = LANGUAGES.get(first.lower(), first)
    if not rest:
        return name
    if other := LANGUAGES.get(rest if rest.islower() else ""):
        return f"{name} mixed with {other}"
    return f"{name} ({REGIONS.get(rest.upper(), rest)})"


LANGUAGES = {
    "aa": "Afar",
    "af": "Afrikaans",
    "am": "Amharic",
    "ar": "Arabic",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "ha": "Hausa",
    "hi": "Hindi",
    "ig": "Igbo",
    "it": "Italian",
    "ja": "Japanese",
    "ki": "Kikuyu",
    "ln": "Lingala",
    "lg": "Ganda",
    "luo": "Luo",
    "mg": "Malagasy",
    "ny": "Chichewa",
    "om": "Oromo",
    "pcm": "Nigerian Pidgin",
    "pt": "Portuguese",
    "rn": "Rundi",
    "ru": "Russian",
    "rw": "Kinyarwanda",
    "sn": "Shona",
    "so": "Somali",
    "st": "Sotho",
    "sw": "Swahili",
    "ti": "Tigrinya",
    "tn": "Tswana",
    "tr": "Turkish",
    "tw": "Twi",
    "wo": "Wolof",
    "xh": "Xhosa",
    "yo": "Yoruba",
    "zh": "Chinese",
    "zu": "Zulu",
}
"""Names of the languages that content here is most often in, by their first sub-tag."""

REGIONS = {
    "CD": "DR Congo",
    "ET": "Ethiopia",
    "GB": "Britain",
    "GH": "Ghana",
    "KE": "Kenya",
    "MZ": "Mozambique",
    "NG": "Nigeria",
    "TZ": "Tanzania",
    "UG": "Uganda",
    "US": "United States",
    "ZA": "South Africa",
}
