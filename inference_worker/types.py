"""The values that pass between decoding, detectors and their caller. No torch, no Django."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000
"""Every recording is decoded to mono float32 at this rate, in Hz."""


KINDS = "kinds"
"""Note of a Score whose label has several kinds, such as insult and hate: the share of each, the
likeliest first."""


class Modality(StrEnum):
    """What a piece of content is, and so which detectors may look at it."""

    TEXT = "text"
    AUDIO = "audio"
    IMAGE = "image"
    VIDEO = "video"


class Credential(StrEnum):
    """What became of a file's content credential (C2PA)."""

    NONE = "none"
    """There is none, which says nothing about the content."""
    VALID = "valid"
    """Signature and content are intact, and the signer is one we were told to trust."""
    UNTRUSTED = "untrusted"
    """Signature and content are intact, but the signer could be anyone."""
    INVALID = "invalid"
    """What was signed is not what is there, or the signature does not hold."""
    UNREADABLE = "unreadable"
    """There is one, but it could not be read."""
    REMOTE = "remote"
    """The file names a credential kept elsewhere, which is never fetched."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """A content credential as far as it could be read. All of it but the state is its own claim."""

    state: Credential
    issuer: str = ""
    """Organisation in the signing certificate."""
    signer: str = ""
    """Common name in the signing certificate."""
    generator: str = ""
    """The software that wrote the credential."""
    signed_at: str = ""
    """ISO 8601; empty without a time stamp."""
    sources: tuple[str, ...] = ()
    """IPTC digital source types of the file and of what it was made from: digitalCapture, ..."""
    parts: tuple[str, ...] = ()
    """The same of what was placed into it."""
    actions: tuple[str, ...] = ()
    """What was done to it, oldest first: c2pa.created, c2pa.cropped, ..."""
    ingredients: int = 0
    """How many other files it was made from."""
    codes: tuple[str, ...] = ()
    """Validation codes of what failed: assertion.dataHash.mismatch, ..."""
    address: str = ""
    """Of a credential kept elsewhere."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A text as submitted. `language` is the submitter's BCP 47 hint, or None."""

    text: str
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """An unbroken part of a recording."""

    start: float
    """On the recording's time line, in seconds."""
    first: int
    """Place of its first sample in Recording.samples."""
    count: int
    """How many samples it has."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Decoded sound: float32 samples of shape (n,), mono at SAMPLE_RATE, within [-1, 1]."""

    samples: npt.NDArray[np.float32]
    duration_seconds: float
    """Of the whole file; larger than len(samples) / SAMPLE_RATE when it was sampled."""
    language: str | None = None
    provenance: Provenance | None = None
    """None where nobody looked."""
    stretches: tuple[Stretch, ...] = ()
    """Where `samples` lie on the time line, in order; empty when they are the whole recording."""

    def parts(self) -> Iterator[tuple[float, npt.NDArray[np.float32]]]:
        """Yield the start in seconds and the samples of each unbroken part."""
        if not self.stretches:
            yield 0.0, self.samples
        for each in self.stretches:
            yield each.start, self.samples[each.first : each.first + each.count]

    def at(self, seconds: float) -> int:
        """Return the place in `samples` of a moment; of the next one kept if it was left out."""
        for each in self.stretches:
            if seconds < each.start:
                return each.first
            if seconds * SAMPLE_RATE < each.start * SAMPLE_RATE + each.count:
                return each.first + round((seconds - each.start) * SAMPLE_RATE)
        return min(round(seconds * SAMPLE_RATE), len(self.samples))


@dataclass(frozen=True, slots=True)
class ReadWord:
    """A word that OCR read: its box as shares of the picture, and its confidence, all 0..1."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture: uint8 RGB of shape (height, width, 3), orientation applied."""

    pixels: npt.NDArray[np.uint8]
    original_width: int
    original_height: int
    text: str = ""
    """What OCR read in it, a message or caption a line; empty without text or without OCR."""
    words: tuple[ReadWord, ...] = ()
    """The words of `text` and where they stand."""
    provenance: Provenance | None = None
    """None where nobody looked."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded video frame and its place on the time line, in seconds."""

    at_seconds: float
    picture: Picture


@dataclass(frozen=True, slots=True)
class Footage:
    """A decoded video: sampled frames in time order, and its sound track if it has one."""

    frames: tuple[Frame, ...]
    sound: Recording | None
    duration_seconds: float
    width: int
    height: int
    provenance: Provenance | None = None
    """None where nobody looked."""
    scenes: int = 0
    """How many different scenes were found among the frames that were compared."""


Content = Passage | Recording | Picture | Footage


class Origin(StrEnum):
    """Where in media a machine found text."""

    SPEECH = "speech"
    PICTURE = "picture"


@dataclass(frozen=True, slots=True)
class Line:
    """Some words found in media, and when they are said or shown, in seconds; 0 to 0 if never."""

    text: str
    start: float = 0.0
    end: float = 0.0


@dataclass(frozen=True, slots=True)
class FoundText:
    """Text that a machine read in pictures or heard in speech. Nobody has checked it."""

    origin: Origin
    by: str
    """What found it, with its version: tesseract@5.3.0."""
    lines: tuple[Line, ...]
    language: str | None = None
    """BCP 47; None when the finder does not tell languages apart."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the content with its own calibrated probability.

    `start` and `end` are character offsets for text and seconds for audio and video.
    """

    start: float
    end: float
    probability: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """How well a model was measured to rank content of one kind it had never seen."""

    group: str
    """What was measured, such as "language:sw" or "condition:phone"."""
    auc: float
    low: float
    """Of the 95 % interval of `auc`, as is `high`."""
    high: float
    n: int
    """Items it was measured on."""


@dataclass(frozen=True, slots=True)
class Score:
    """A detector's calibrated probability that its label is true of the content."""

    detector: str
    version: str
    label: str
    """abuse | synthetic_speech | synthetic_image"""
    probability: float
    """Calibrated, 0..1."""
    raw: float
    """The uncalibrated logit the probability came from."""
    segments: tuple[Segment, ...] = ()
    notes: dict[str, Any] = field(default_factory=dict)
    threshold: float = 0.5
    """Calibrated probability from which the model itself calls its label true."""
    reliability: Reliability | None = None
    """For content like this; None where it was not measured."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Something found that is no probability, such as a broken signature."""

    detector: str
    version: str
    code: str
    severity: str
    """info, or the risk level it alone would mean: low, medium, high, critical."""
    message: str
    """One sentence for a person."""
    details: dict[str, Any] = field(default_factory=dict)
    """JSON-like."""


@dataclass(frozen=True, slots=True)
class Abstention:
    """A detector's statement that it cannot judge this content, and why."""

    detector: str
    version: str
    label: str
    code: str
    """too_short, too_quiet, no_speech, no_sound, too_small, blank, language_not_measured, ..."""
    reason: str
    """One sentence for a person, naming the limit."""


Judgement = Score | Abstention | Observation


@dataclass(frozen=True, slots=True)
class Window:
    """The unit of a forward pass: one stretch of one item, ready for the device."""

    features: Any
    """What the detector's forward() takes: token ids, a spectrogram, pixels."""
    length: int
    """Cost on the device (tokens, frames); windows are batched with others of like length."""
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Prepared:
    """One item as windows, with what interpret() needs beside the logits."""

    windows: tuple[Window, ...]
    notes: dict[str, Any] = field(default_factory=dict)


Observer = Callable[[str, float], None]
"""Told a model's label and the seconds of each pass."""


class Detector(Protocol):
    """A model with everything around it. One class a file in detectors/, one instance a process."""

    name: str
    version: str
    label: str
    """What a high probability claims: abuse, synthetic_speech, synthetic_image."""
    batch_size: int
    """Most windows in one forward pass."""

    def prepare(self, content: Any) -> Prepared | Abstention:
        """Check the gates and cut the content into windows. CPU only, no model call."""

    def forward(self, windows: Sequence[Window]) -> npt.NDArray[np.float32]:
        """Run the model once over at most `batch_size` windows; return one row a window.

        A row is the window's logit, or that followed by more that interpret() wants to know.
        """

    def interpret(self, prepared: Prepared, logits: npt.NDArray[np.float32]) -> Judgement:
        """Turn the logits of one item's windows into one calibrated score with segments."""

    def warm_up(self) -> None:
        """Run the common shapes once, so that the first real item is not slow."""


@dataclass(frozen=True, slots=True)
class WeighedWord:
    """A word of a text, as character offsets, and how far it moves the log odds."""

    start: int
    end: int
    weight: float
    """Negative where the word speaks against the label."""


@dataclass(frozen=True, slots=True)
class WordEvidence:
    """What the worst window of a text rests on: its words, and the two log odds they join."""

    start: int
    """The window, as character offsets of the text; so is `end`."""
    end: int
    words: tuple[WeighedWord, ...]
    log_odds: float
    blank_log_odds: float
    """Of the window with every word blanked."""
    gap: float
    """log_odds - blank_log_odds - the sum of the weights: what the computation missed."""


@dataclass(frozen=True, slots=True)
class MapEvidence:
    """Where in a picture something was found, by a detector that localises by itself."""

    heat: npt.NDArray[np.float32]
    """Shape (rows, columns), over the whole picture, 0 (nothing) to 1."""
    unit: str
    """What a value means, for the scale bar: "probability that the place was copied"."""
    details: dict[str, Any] = field(default_factory=dict)
    """JSON-like: regions, shifts, what method."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a transcriber made of one window, believable or not."""

    lines: tuple[Line, ...]
    """In seconds of the recording."""
    language: str | None
    log_probability: float
    """Mean over the tokens, in nats: how sure the model was of its words."""
    repetition: float
    """How many times smaller the text becomes when compressed; loops of words become very small."""


@runtime_checkable
class Transcriber(Protocol):
    """A model that turns speech into text. At most one is in use."""

    name: str
    version: str
    label: str
    """transcript"""
    batch_size: int
    """Most windows in one pass."""

    def prepare(self, content: Recording) -> Prepared | Abstention:
        """Cut the recording into a bounded number of windows in which someone speaks. CPU only."""

    def transcribe(self, windows: Sequence[Window]) -> list[Heard]:
        """Run the model once over at most `batch_size` windows."""

    def interpret(self, prepared: Prepared, heard: Sequence[Heard]) -> FoundText | Abstention:
        """Join what was heard in a recording's windows; decline what cannot be believed."""

    def warm_up(self) -> None:
        """Run one window once, so that the first real item is not slow."""


@runtime_checkable
class Explains(Protocol):
    """A detector that says by itself which parts of the content a score of its own rests on.

    Others are explained from outside (`inference_worker.explaining`), by taking parts away.
    """

    def explain(self, content: Any, score: Score) -> WordEvidence | MapEvidence:
        """Return the words of a text or the places of a picture."""
