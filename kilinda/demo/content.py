"""The demonstration's content, of all four kinds, submitted as a partner would."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from detection.blobs import Incoming
from detection.intake import NewSubmission, NewText, NewUpload, Receipt, Submitter, submit
from kilinda.partners import keys

SAMPLES = Path(__file__).parent / "samples"


@dataclass(frozen=True, slots=True)
class Sample:
    """One thing to submit: words, or the name of a file in SAMPLES."""

    title: str
    text: str = ""
    file: str = ""
    language: str = ""

    @property
    def key(self) -> str:
        """The idempotency key: one submission for each content, however often it is asked for."""
        content = self.text.encode() or (SAMPLES / self.file).read_bytes()
        return f"demo-{hashlib.sha256(self.title.encode() + content).hexdigest()[:24]}"


CONTENT = (
    Sample(
        "A polling notice, English",
        text="Polling stations in the county open at six in the morning on Tuesday. Bring your "
        "national identity card. Voters still in the queue at closing time may vote.",
        language="en",
    ),
    Sample(
        "A polling notice, Swahili",
        text="Vituo vya kupigia kura vitafunguliwa saa kumi na mbili asubuhi siku ya Jumanne. "
        "Tafadhali beba kitambulisho chako cha taifa.",
        language="sw",
    ),
    Sample(
        "An insult, English",
        text="You are a disgusting liar and a worthless idiot. Shut up, you stupid piece of "
        "garbage, nobody wants to hear from you.",
        language="en",
    ),
    Sample(
        "An insult, Swahili",
        text="Wewe ni mjinga na mpumbavu kabisa, mwongo mkubwa! Nyamaza, huna akili hata kidogo.",
        language="sw",
    ),
    Sample("A landscape, drawn by a program", file="landscape.jpg"),
    Sample("An interference pattern", file="pattern.png"),
    Sample("A computer voice reading a false notice", file="computer-voice-sw.ogg", language="sw"),
    Sample("A pan over the landscape, with the computer voice", file="pan.mp4", language="sw"),
)


def submit_all(api_key: str) -> list[Receipt]:
    """Submit each sample once; asked again, return the receipts given before.

    Raises PermissionError when the API key is not alive, and what intake raises.
    """
    key = keys.find(api_key)
    if key is None:
        raise PermissionError("The demonstration's API key was revoked.")
    submitter = Submitter(organisation=key.organisation, api_key=key)
    return [_submit(sample, submitter) for sample in CONTENT]


def _submit(sample: Sample, submitter: Submitter) -> Receipt:
    if sample.text:
        return submit(_new(sample, NewText(sample.text)), submitter=submitter)
    with Incoming(limit_bytes=settings.KILINDA_MAX_UPLOAD_BYTES) as incoming:
        incoming.write((SAMPLES / sample.file).read_bytes())
        upload = NewUpload(incoming, extension=Path(sample.file).suffix)
        return submit(_new(sample, upload), submitter=submitter)


def _new(sample: Sample, content: NewText | NewUpload) -> NewSubmission:
    return NewSubmission(
        content,
        language=sample.language,
        metadata={"title": sample.title, "demo": True},
        idempotency_key=sample.key,
    )
