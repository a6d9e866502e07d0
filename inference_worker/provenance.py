"""What a content credential means for the content: a finding, with what it claims as details.

A declaration of generative AI needs no trust in its signer, who gains nothing by it; that a camera
took something does. Neither is a proof: anybody can sign a file of somebody else's.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from inference_worker.types import Credential, Observation, Provenance

DETECTOR = "content-credentials"
CODE = "content_credential"
AI = f"{CODE}_ai"
CAMERA = f"{CODE}_camera"
BROKEN = f"{CODE}_broken"

_MADE_BY_AI = frozenset({"trainedAlgorithmicMedia", "trainedAlgorithmicData"})
_WITH_AI = frozenset({"compositeWithTrainedAlgorithmicMedia", "compositeSynthetic"})
_TAKEN_BY_CAMERA = frozenset({"digitalCapture", "computationalCapture", "compositeCapture"})
"""Terms of https://cv.iptc.org/newscodes/digitalsourcetype/ (and c2pa's trainedAlgorithmicData)."""


def observe(provenance: Provenance | None) -> Observation | None:
    """Return the finding; None where there is no credential, which means nothing."""
    if provenance is None or provenance.state is Credential.NONE:
        return None
    code, severity, message = _finding(provenance)
    return Observation(
        DETECTOR, version("c2pa-python"), code, severity, message, details(provenance)
    )


def details(provenance: Provenance) -> dict[str, Any]:
    """Return what is known of the credential, without what is empty."""
    stated = {
        "state": provenance.state.value,
        "issuer": provenance.issuer,
        "signer": provenance.signer,
        "generator": provenance.generator,
        "signed_at": provenance.signed_at,
        "sources": list(provenance.sources),
        "sources_of_parts": list(provenance.parts),
        "actions": list(provenance.actions),
        "ingredients": provenance.ingredients,
        "codes": list(provenance.codes),
        "address": provenance.address,
    }
    return {name: value for name, value in stated.items() if value}


def _finding(provenance: Provenance) -> tuple[str, str, str]:
    """Return code, severity and message."""
    match provenance.state:
        case Credential.INVALID:
            return BROKEN, "medium", _broken(provenance)
        case Credential.UNREADABLE:
            return f"{CODE}_unreadable", "info", "The content credential could not be read."
        case Credential.REMOTE:
            kept = "The file's content credential is kept elsewhere; it was not fetched."
            return f"{CODE}_remote", "info", kept
        case _:
            code, severity, claim = _claim(provenance)
            return code, severity, f"An intact content credential says: {claim}. {_who(provenance)}"


def _broken(provenance: Provenance) -> str:
    if any(code.startswith("claimSignature") for code in provenance.codes):
        return "The signature of the content credential does not hold."
    if any(code.endswith(".mismatch") for code in provenance.codes):
        return "The file or its content credential was changed after it was signed."
    return "The content credential does not pass validation."


def _claim(provenance: Provenance) -> tuple[str, str, str]:
    stated = set(provenance.sources)
    if stated & _MADE_BY_AI:
        return AI, "high", "made by generative AI"
    if (stated | set(provenance.parts)) & (_MADE_BY_AI | _WITH_AI):
        return AI, "high", "made in part by generative AI"
    if stated & _TAKEN_BY_CAMERA:
        return CAMERA, "info", "taken by a camera"
    return CODE, "info", "how the file was made, but not whether by a camera or by AI"


def _who(provenance: Provenance) -> str:
    name = provenance.issuer or provenance.signer or "no name given"
    if provenance.state is Credential.VALID:
        return f"The signer is on the trust list: {name}."
    return f"The signature is intact, but we do not know the signer ({name})."
