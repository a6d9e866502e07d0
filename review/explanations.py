"""One score's evidence as the page shows it: words, drawings, or where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from detection import evidence
from detection.evidence import State
from detection.evidence_files import Kept
from detection.models import ContentType, DetectorScore, ScoreKind
from review.evidence import strength_of, words_of

PLAIN = "picture"
STRONGEST = 8
"""Words that are listed with their weights."""
FIRST_WAITS_MS = (700, 700, 1_000, 1_500, 2_000, 3_000)
WAIT_MS = 5_000
MOST_ATTEMPTS = 42
"""How often a page asks: for somewhat longer than a computation may take."""


@dataclass(frozen=True, slots=True)
class WordRow:
    """A listed word: its weight, and the width of its bar as percent of the largest."""

    text: str
    weight: float
    width: float
    strength: int


@dataclass(frozen=True, slots=True)
class WordSum:
    """How the words make up the log odds of their window."""

    log_odds: float
    blank: float
    words: float
    gap: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the page shows of one score's evidence."""

    score: DetectorScore
    state: State
    failure: str = ""
    next_attempt: int | None = None
    """While it is computed: the number of the next question; None when the page has given up."""
    wait_ms: int = 0
    computed_at: datetime | None = None
    words: tuple[WordRow, ...] = ()
    total: WordSum | None = None
    drawings: tuple[Kept, ...] = ()

    @property
    def is_awaited(self) -> bool:
        """Say whether a worker has it or will have it."""
        return self.state in (State.MISSING, State.COMPUTING)

    @property
    def first_view(self) -> str:
        """Return the drawing to show first: what a detector found, not the plain picture."""
        names = [drawing["name"] for drawing in self.drawings]
        return next((name for name in names if name != PLAIN), "")


def explanation_of(score: DetectorScore, attempt: int = 0) -> Explanation | None:
    """Arrange a score's evidence; None where the detector did not judge."""
    state = evidence.state_of(score)
    if state is State.NONE:
        return None
    if state is State.FAILED:
        return Explanation(score, state, failure=evidence.failure_of(score))
    if state is not State.READY:
        following = attempt + 1 if attempt < MOST_ATTEMPTS else None
        wait = FIRST_WAITS_MS[attempt] if attempt < len(FIRST_WAITS_MS) else WAIT_MS
        return Explanation(score, state, next_attempt=following, wait_ms=wait)
    return Explanation(
        score,
        state,
        computed_at=datetime.fromisoformat(score.evidence["computed_at"]),
        words=_strongest(score),
        total=_total(score),
        drawings=tuple(score.evidence["drawings"]),
    )


def _strongest(score: DetectorScore) -> tuple[WordRow, ...]:
    words = sorted(words_of(score), key=lambda word: -abs(word["weight"]))[:STRONGEST]
    if not words:
        return ()
    text, largest = text_of(score), abs(words[0]["weight"]) or 1.0
    return tuple(
        WordRow(
            text[word["start"] : word["end"]],
            word["weight"],
            100 * abs(word["weight"]) / largest,
            strength_of(word["weight"], largest),
        )
        for word in words
    )


def _total(score: DetectorScore) -> WordSum | None:
    words, facts = words_of(score), score.evidence["facts"]
    if not words:
        return None
    shared = sum(word["weight"] for word in words)
    return WordSum(facts["log_odds"], facts["blank_log_odds"], shared, facts["gap"])


def text_of(score: DetectorScore) -> str:
    """Return the text that an explained score of a text is of: submitted, or found in media."""
    if score.kind != ScoreKind.TEXT:
        return ""
    if score.result.content_type == ContentType.TEXT:
        return score.result.job.submission.text
    wanted = score.evidence["facts"].get("text_sha256")
    texts = [passage.text for passage in evidence.found_passages(score)]
    return next((t for t in texts if sha256(t.encode()).hexdigest() == wanted), "")
