"""A content credential in words, for the reviewer: how much it is worth, and what it claims."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from detection.models import AnalysisResult
from inference_worker.provenance import AI, CODE
from inference_worker.types import Credential

_STATES = {
    Credential.VALID: (gettext_noop("Intact, from a trusted signer"), "good"),
    Credential.UNTRUSTED: (gettext_noop("Intact, from an unknown signer"), "unsure"),
    Credential.INVALID: (gettext_noop("Broken"), "bad"),
    Credential.UNREADABLE: (gettext_noop("Could not be read"), "unsure"),
    Credential.REMOTE: (gettext_noop("Kept elsewhere, not fetched"), "unsure"),
    Credential.NONE: (gettext_noop("None"), "none"),
}

_MEANINGS = {
    Credential.VALID: gettext_noop(
        "Nothing was changed since it was signed, and the signer is on this installation's trust "
        "list."
    ),
    Credential.UNTRUSTED: gettext_noop(
        "Nothing was changed since it was signed, but anybody can sign under any name: the signer "
        "is not on this installation's trust list."
    ),
    Credential.INVALID: gettext_noop(
        "The file is not what was signed, or the signature does not hold. Nothing it claims can be "
        "relied on."
    ),
    Credential.UNREADABLE: gettext_noop("There is a credential, but it is damaged or too new."),
    Credential.REMOTE: gettext_noop(
        "The file names an address where its credential may be. Opening it tells its owner that "
        "somebody looks."
    ),
    Credential.NONE: gettext_noop("Most files have none, and many programs remove it."),
}

_SOURCES = {
    "trainedAlgorithmicMedia": gettext_noop("Made by generative AI"),
    "trainedAlgorithmicData": gettext_noop("Made by generative AI"),
    "compositeWithTrainedAlgorithmicMedia": gettext_noop("Edited with generative AI"),
    "compositeSynthetic": gettext_noop("Composed, with synthetic parts"),
    "compositeCapture": gettext_noop("Composed of several captures"),
    "composite": gettext_noop("Composed of several elements"),
    "digitalCapture": gettext_noop("Taken with a camera"),
    "computationalCapture": gettext_noop("Taken with a camera that computes (such as a phone)"),
    "algorithmicallyEnhanced": gettext_noop("Enhanced by a program, without generative AI"),
    "algorithmicMedia": gettext_noop("Made by a program, without training on examples"),
    "digitalCreation": gettext_noop("Made by a person with digital tools"),
    "digitalArt": gettext_noop("Made by a person with digital tools"),
    "humanEdits": gettext_noop("Edited by a person"),
    "minorHumanEdits": gettext_noop("Minor edits by a person"),
    "screenCapture": gettext_noop("Captured from a screen"),
    "virtualRecording": gettext_noop("Recorded from a virtual scene"),
    "negativeFilm": gettext_noop("Scanned from a negative"),
    "positiveFilm": gettext_noop("Scanned from a slide"),
    "print": gettext_noop("Scanned from a print"),
}
"""IPTC's terms, https://cv.iptc.org/newscodes/digitalsourcetype/."""

_FAILURES = {
    "claimSignature.mismatch": gettext_noop("The signature does not match what was signed."),
    "assertion.dataHash.mismatch": gettext_noop("The content was changed after it was signed."),
    "assertion.bmffHash.mismatch": gettext_noop("The content was changed after it was signed."),
    "assertion.boxesHash.mismatch": gettext_noop("The content was changed after it was signed."),
    "assertion.hashedURI.mismatch": gettext_noop("A signed statement was changed."),
    "assertion.missing": gettext_noop("A signed statement was removed."),
    "ingredient.manifest.missing": gettext_noop("The record of a file it was made from is gone."),
    "ingredient.hashedURI.mismatch": gettext_noop(
        "The record of a file it was made from was changed."
    ),
    "signingCredential.expired": gettext_noop("The signer's certificate had run out."),
    "signingCredential.revoked": gettext_noop("The signer's certificate had been withdrawn."),
    "signingCredential.invalid": gettext_noop("The signer's certificate is not made for this."),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a credential does not hold: its code, and in words where there are some."""

    code: str
    words: str


@dataclass(frozen=True, slots=True)
class CredentialView:
    """What the page shows. `tone` is good, unsure, bad or none."""

    title: str
    tone: str
    meaning: str
    claims: tuple[tuple[str, str], ...]
    """Label and value; all of it the credential's own words."""
    steps: tuple[str, ...]
    """What was done to the file, first to last."""
    failures: tuple[Failure, ...]
    declares_ai: bool
    """And is intact."""


def credential(result: AnalysisResult) -> CredentialView | None:
    """Return the credential of the result's content; None where nobody looked for one."""
    stated = result.metadata.get("content_credential")
    if stated is None:
        return None
    state = Credential(stated)
    finding = _finding(result.findings)
    details = finding.get("details", {})
    title, tone = _STATES[state]
    return CredentialView(
        title=_(title),
        tone=tone,
        meaning=_(_MEANINGS[state]),
        claims=tuple((label, value) for label, value in _claims(details) if value),
        steps=tuple(_step(action) for action in details.get("actions", ())),
        failures=tuple(_failures(details.get("codes", ()))),
        declares_ai=finding.get("code") == AI,
    )


def _finding(findings: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    return next((each for each in findings if each["code"].startswith(CODE)), {})


def _claims(details: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    count = details.get("ingredients", 0)
    files = ngettext("%(n)s other file", "%(n)s other files", count) % {"n": count}
    yield _("Declared"), _sources(details.get("sources", ()))
    yield _("Declared of its parts"), _sources(details.get("sources_of_parts", ()))
    yield _("Signed by"), details.get("issuer", "")
    yield _("Certificate"), details.get("signer", "")
    yield _("Written by"), details.get("generator", "")
    yield _("Time stamp"), details.get("signed_at", "").replace("T", " ")
    yield _("Made from"), files if count else ""
    yield _("Address"), details.get("address", "")


def _sources(terms: Sequence[str]) -> str:
    """Several terms may read the same."""
    return "; ".join(
        dict.fromkeys(_(_SOURCES[each]) if each in _SOURCES else each for each in terms)
    )


def _step(action: str) -> str:
    """c2pa.color_adjustments is shown as color adjustments; a tool's own names stay whole."""
    return action.removeprefix("c2pa.").replace("_", " ") if action.startswith("c2pa.") else action


def _failures(codes: Iterable[str]) -> Iterable[Failure]:
    """Leave out that the signer is unknown, which the title says."""
    for code in codes:
        if not code.endswith(".untrusted"):
            yield Failure(code, _(_FAILURES[code]) if code in _FAILURES else "")
