"""Taking content in. When `submit` returns, the content is on disk and will reach a verdict."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from detection import addresses, doorbell, media_types, promise, queue
from detection.blobs import Incoming
from detection.errors import (
    ContentTooLarge,
    DetectionError,
    EmptyContent,
    IdempotencyKeyReused,
    UnsupportedContent,
)
from detection.models import AnalysisJob, ContentType, Media, Priority, Submission
from inference_worker.decoding.sniff import sniff
from inference_worker.types import Modality
from kilinda.audit.log import Act
from kilinda.partners.events import NewEvent
from kilinda.partners.models import APIKey, Organisation, User

_KEY_CONSTRAINT = "submission_idempotency_key"


@dataclass(frozen=True, slots=True)
class NewText:
    """Words to judge."""

    text: str


@dataclass(frozen=True, slots=True)
class NewUpload:
    """A received file, with what its sender claims it is: MIME type and extension (with dot)."""

    incoming: Incoming
    declared_mime: str = ""
    extension: str = ""

    def close(self) -> None:
        """Forget the bytes, unless they were kept."""
        self.incoming.close()


@dataclass(frozen=True, slots=True)
class NewURL:
    """An address whose content is to be fetched and judged."""

    url: str


@dataclass(frozen=True, slots=True)
class NewSubmission:
    """One thing to take in. `content_type` is the sender's claim; empty claims nothing."""

    content: NewText | NewUpload | NewURL
    content_type: str = ""
    language: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    priority: Priority = Priority.NORMAL
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """The promise given for one submission."""

    submission_id: UUID
    job_id: UUID


@dataclass(frozen=True, slots=True)
class Submitter:
    """Who hands content in, and by which way."""

    organisation: Organisation
    api_key: APIKey | None = None
    user: User | None = None
    source: Submission.Source = Submission.Source.API

    @property
    def actor(self) -> str:
        """Return the name used in the audit log."""
        if self.api_key:
            return f"key:{self.api_key.pk}"
        return f"user:{self.user.pk}" if self.user else "system"


def submit(new: NewSubmission, *, submitter: Submitter) -> Receipt:
    """Take one thing in; the same idempotency key and request again give the same receipt.

    Raises EmptyContent, ContentTooLarge, UnsupportedContent, TypesDisagree, URLNotAllowed,
    IdempotencyKeyReused or StorageUnavailable; nothing is stored then.
    """
    outcome = submit_many([new], submitter=submitter)[0]
    if isinstance(outcome, DetectionError):
        raise outcome
    return outcome


def submit_many(
    items: Sequence[NewSubmission], *, submitter: Submitter
) -> list[Receipt | DetectionError]:
    """Take several things in at once; return, for each, its receipt or why it was refused."""
    drafts = [_drafted(new, submitter) for new in items]
    outcomes = _write_once([draft for draft in drafts if isinstance(draft, _Draft)], submitter)
    return [draft if isinstance(draft, DetectionError) else outcomes[id(draft)] for draft in drafts]


# --- From content to rows ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Draft:
    """The rows of one submission before they are written."""

    submission: Submission
    job: AnalysisJob
    media: Media | None

    @property
    def receipt(self) -> Receipt:
        return Receipt(self.submission.id, self.job.id)


def _drafted(new: NewSubmission, submitter: Submitter) -> _Draft | DetectionError:
    try:
        return _draft(new, submitter)
    except DetectionError as refusal:
        if refusal.status >= 500:
            raise
        return refusal


def _draft(new: NewSubmission, submitter: Submitter) -> _Draft:
    content = _checked(new)
    submission = Submission(
        organisation=submitter.organisation,
        api_key=submitter.api_key,
        submitted_by=submitter.user,
        source=submitter.source,
        language=new.language,
        metadata=new.metadata,
        idempotency_key=new.idempotency_key,
        request_hash=_request_hash(new) if new.idempotency_key else "",
        content_type=content.content_type,
        text=content.text,
        url=content.url,
        media=content.media,
    )
    job = AnalysisJob(submission=submission, lane=queue.lane_for(submission), priority=new.priority)
    return _Draft(submission, job, content.media)


@dataclass(frozen=True, slots=True)
class StoredContent:
    """What a submission's content columns will hold. The bytes of `media` are stored already."""

    content_type: ContentType
    text: str = ""
    url: str = ""
    media: Media | None = None


def _checked(new: NewSubmission) -> StoredContent:
    match new.content:
        case NewText(text):
            _check_claim(new, ContentType.TEXT)
            return StoredContent(ContentType.TEXT, text=judgeable(text))
        case NewURL(url):
            _check_claim(new, ContentType.URL)
            addresses.check_url(url)
            return StoredContent(ContentType.URL, url=url)
        case NewUpload(incoming, mime, extension):
            return stored(incoming, mime=mime, extension=extension, content_type=new.content_type)


def _check_claim(new: NewSubmission, actual: ContentType) -> None:
    """A URL may claim what is behind it: that is seen when it was fetched."""
    if new.content_type in {"", actual} or actual is ContentType.URL:
        return
    raise UnsupportedContent(
        f"Declared as {new.content_type}, but {actual} was sent.", field="content_type"
    )


def judgeable(text: str) -> str:
    """Return the text if it can be stored and judged: not empty, not too long, no NUL."""
    if not text.strip():
        raise EmptyContent("The text is empty.", field="text")
    if len(text.encode(errors="replace")) > settings.KILINDA_MAX_TEXT_BYTES:
        raise ContentTooLarge(
            f"A text may have {settings.KILINDA_MAX_TEXT_BYTES} bytes at most.", field="text"
        )
    if "\0" in text:
        raise UnsupportedContent("A text may not contain the NUL character.", field="text")
    return text


def stored(
    incoming: Incoming, *, mime: str = "", extension: str = "", content_type: str = ""
) -> StoredContent:
    """Return the content of a received file after its type was checked and its bytes stored."""
    if not incoming.size_bytes:
        raise EmptyContent("The file is empty.", field="file")
    sniffed = sniff(incoming.head)
    if sniffed is None:
        raise UnsupportedContent(
            "The file is no text, audio, image or video of a kind this platform can judge.",
            field="file",
        )
    media_types.check(sniffed, mime=mime, extension=extension, content_type=content_type)
    if sniffed.modality is Modality.TEXT:
        return StoredContent(ContentType.TEXT, text=judgeable(_words(incoming)))
    incoming.keep()
    media = Media(
        sha256=incoming.sha256,
        size_bytes=incoming.size_bytes,
        mime=sniffed.mime,
        modality=sniffed.modality.value,
    )
    return StoredContent(ContentType(sniffed.modality.value), media=media)


def _words(incoming: Incoming) -> str:
    if incoming.size_bytes > settings.KILINDA_MAX_TEXT_BYTES:
        raise ContentTooLarge(
            f"A text may have {settings.KILINDA_MAX_TEXT_BYTES} bytes at most.", field="file"
        )
    try:
        return incoming.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnsupportedContent("The text is not UTF-8.", field="file") from error


def _request_hash(new: NewSubmission) -> str:
    """Return a hash that is equal for two requests exactly when they ask for the same."""
    match new.content:
        case NewText(text):
            asked = ["text", text]
        case NewURL(url):
            asked = ["url", url]
        case NewUpload(incoming):
            asked = ["sha256", incoming.sha256]
    terms = [asked, new.content_type, new.language, new.metadata, int(new.priority)]
    return hashlib.sha256(json.dumps(terms, sort_keys=True).encode()).hexdigest()


# --- Writing -------------------------------------------------------------------------------------


def _write_once(
    drafts: list[_Draft], submitter: Submitter
) -> dict[int, Receipt | IdempotencyKeyReused]:
    """Write the drafts whose idempotency key is new; return each draft's outcome by its id().

    The unique constraint decides between concurrent duplicates. Writing comes first and looking
    only after a conflict, because almost every key is new.
    """
    outcomes: dict[int, Receipt | IdempotencyKeyReused] = {}
    while drafts:
        try:
            _write(drafts, submitter)
        except IntegrityError as error:
            earlier = _earlier(drafts, submitter)
            if not earlier or _KEY_CONSTRAINT not in str(error):
                raise
            known = [draft for draft in drafts if draft.submission.idempotency_key in earlier]
            outcomes |= {id(draft): _again(draft, earlier) for draft in known}
            drafts = [draft for draft in drafts if id(draft) not in outcomes]
        else:
            return outcomes | {id(draft): draft.receipt for draft in drafts}
    return outcomes


def _earlier(drafts: Sequence[_Draft], submitter: Submitter) -> dict[str | None, AnalysisJob]:
    jobs = AnalysisJob.objects.select_related("submission").filter(
        submission__organisation=submitter.organisation,
        submission__idempotency_key__in=[
            draft.submission.idempotency_key
            for draft in drafts
            if draft.submission.idempotency_key is not None
        ],
    )
    return {job.submission.idempotency_key: job for job in jobs}


def _again(draft: _Draft, earlier: dict[str | None, AnalysisJob]) -> Receipt | IdempotencyKeyReused:
    job = earlier[draft.submission.idempotency_key]
    if job.submission.request_hash == draft.submission.request_hash:
        return Receipt(job.submission_id, job.id)
    return IdempotencyKeyReused()


def _write(drafts: Sequence[_Draft], submitter: Submitter) -> None:
    promise.write(
        [
            promise.Promise(
                submission=draft.submission,
                job=draft.job,
                media=draft.media,
                event=_received(draft),
                act=_act(draft, submitter.actor),
            )
            for draft in drafts
        ]
    )
    for lane in {draft.job.lane for draft in drafts}:
        transaction.on_commit(partial(doorbell.ring, lane))


def _received(draft: _Draft) -> NewEvent:
    submission = draft.submission
    return NewEvent(
        submission.organisation_id,
        "submission.received",
        submission.id,
        {
            "submission_id": str(submission.id),
            "job_id": str(draft.job.id),
            "content_type": submission.content_type,
        },
    )


def _act(draft: _Draft, actor: str) -> Act:
    submission = draft.submission
    detail = {"content_type": submission.content_type, "source": submission.source}
    if draft.media:
        detail["sha256"] = draft.media.sha256
    return Act(actor, "submission.received", "submission", str(submission.id), detail)
