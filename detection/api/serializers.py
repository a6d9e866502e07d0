"""The shapes of the partner API: what comes in, checked strictly, and what goes out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from detection.addresses import MAX_URL_LENGTH
from detection.api import strict_json
from detection.intake import NewSubmission, NewText, NewUpload, NewURL
from detection.models import (
    AnalysisJob,
    AnalysisResult,
    ContentType,
    Priority,
    RiskLevel,
    Submission,
)
from inference_worker.reliability import Grade
from kilinda.partners.models import Event

MAX_METADATA_BYTES = 16_384
MAX_METADATA_DEPTH = 10
MAX_IDEMPOTENCY_KEY = 200
"""Leaves room for the index that a batch appends."""

_OUTPUT_ONLY = frozenset(
    {"id", "job_id", "partner", "organisation", "state", "status", "status_url", "created_at"}
    | {"result", "risk_level", "overall_confidence", "findings", "verdict"}
    | {"audio_score", "visual_score", "text_score"}
)


# --- In ------------------------------------------------------------------------------------------


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields it does not know, by name."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Return the checked values. Raises ValidationError naming every wrong field."""
        if isinstance(data, Mapping) and (strange := data.keys() - self.fields.keys()):
            raise serializers.ValidationError(
                {name: _strange(name) for name in sorted(strange, key=str)[:20]}
            )
        values: dict[str, Any] = super().to_internal_value(data)
        return values


def _strange(name: str) -> serializers.ErrorDetail:
    if name in _OUTPUT_ONLY:
        return serializers.ErrorDetail("This is set by the platform.", "read_only")
    return serializers.ErrorDetail("There is no such field.", "unknown_field")


class TextField(serializers.CharField):
    """A string; unlike its parent it does not take numbers for text."""

    def to_internal_value(self, data: Any) -> str:
        """Return the string, unchanged."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


_LANGUAGE = re.compile(
    # RFC 5646: language, extended language, script, region, variants, extensions, private use.
    r"(?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4,8})(?:-[a-z]{4})?(?:-(?:[a-z]{2}|\d{3}))?"
    r"(?:-(?:[a-z0-9]{5,8}|\d[a-z0-9]{3}))*(?:-[a-wyz0-9](?:-[a-z0-9]{2,8})+)*"
    r"(?:-x(?:-[a-z0-9]{1,8})+)?|x(?:-[a-z0-9]{1,8})+",
    re.IGNORECASE,
)


class LanguageField(TextField):
    """A BCP 47 language tag, such as sw or pt-MZ."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=35, allow_blank=True, **options)

    def to_internal_value(self, data: Any) -> str:
        """Return the tag."""
        tag = super().to_internal_value(data)
        if tag and not _LANGUAGE.fullmatch(tag):
            raise serializers.ValidationError(
                "Not a BCP 47 language tag such as sw or pt-MZ.", "invalid_language"
            )
        return tag


@extend_schema_field(OpenApiTypes.OBJECT)
class MetadataField(serializers.Field[Any, Any, Any, Any]):
    """The partner's own notes: a JSON object of limited size and depth, given back as it came."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Return the object."""
        if not isinstance(data, dict):
            raise serializers.ValidationError("Must be a JSON object.", "not_an_object")
        if len(json.dumps(data, ensure_ascii=False).encode()) > MAX_METADATA_BYTES:
            raise serializers.ValidationError(
                f"Metadata may have {MAX_METADATA_BYTES} bytes at most.", "too_large"
            )
        if strict_json.depth(data) > MAX_METADATA_DEPTH:
            raise serializers.ValidationError(
                f"Metadata may be nested {MAX_METADATA_DEPTH} levels deep at most.", "too_deep"
            )
        return data

    def to_representation(self, value: Any) -> Any:
        """Return it as it is."""
        return value


class MetadataTextField(MetadataField):
    """The same, written as JSON text in a form field."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Return the object."""
        if not isinstance(data, str):
            raise serializers.ValidationError("Must be JSON text, not a file.", "invalid")
        try:
            value = strict_json.loads(data.encode())
        except strict_json.NotStrictJSON as error:
            raise serializers.ValidationError(str(error), error.code) from error
        return super().to_internal_value(value)


@extend_schema_field(OpenApiTypes.BINARY)
class UploadField(serializers.Field[Any, Any, Any, Any]):
    """The file of a form, as the parser received it."""

    def to_internal_value(self, data: Any) -> NewUpload:
        """Return the upload."""
        if not isinstance(data, NewUpload):
            raise serializers.ValidationError("Must be a file, with a file name.", "not_a_file")
        return data


class _TermsInput(StrictSerializer):
    """What every way of submitting shares."""

    content_type = serializers.ChoiceField(
        ContentType.choices,
        required=False,
        help_text="What it is, if you know; refused when the content is something else.",
    )
    language = LanguageField(required=False, help_text="BCP 47 tag of the content's language.")
    metadata = MetadataField(required=False)
    priority = serializers.ChoiceField(
        [label.lower() for label in Priority.names], required=False, default="normal"
    )

    def content(self) -> NewText | NewURL | NewUpload:
        """Return the content itself, from the checked values."""
        raise NotImplementedError

    def to_new(self, idempotency_key: str | None) -> NewSubmission:
        """Return what intake takes, from the checked values."""
        values = self.validated_data
        return NewSubmission(
            content=self.content(),
            content_type=values.get("content_type", ""),
            language=values.get("language", ""),
            metadata=values.get("metadata", {}),
            priority=Priority[values["priority"].upper()],
            idempotency_key=idempotency_key,
        )


class SubmissionInput(_TermsInput):
    """A text or a URL. Exactly one of the two."""

    text = TextField(required=False, allow_blank=True, trim_whitespace=False)
    url = TextField(required=False, max_length=MAX_URL_LENGTH)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check that there is one content."""
        if ("text" in attrs) == ("url" in attrs):
            raise serializers.ValidationError("Send either text or url.", "one_content")
        return attrs

    def content(self) -> NewText | NewURL:
        """Return the text or the URL."""
        values = self.validated_data
        return NewText(values["text"]) if "text" in values else NewURL(values["url"])


class UploadInput(_TermsInput):
    """A form with one file."""

    file = UploadField(help_text="The recording, picture, video or plain text.")
    metadata = MetadataTextField(required=False, help_text="A JSON object.")

    def content(self) -> NewUpload:
        """Return the file."""
        upload: NewUpload = self.validated_data["file"]
        return upload


class EventInput(StrictSerializer):
    """A chat platform's event."""

    event_type = TextField(max_length=40)
    platform = TextField(max_length=40)
    channel_id = TextField(max_length=200, required=False, allow_blank=True)
    user_id = TextField(
        max_length=200, required=False, allow_blank=True, help_text="Whom it is addressed to."
    )
    author_id = TextField(
        max_length=200, required=False, allow_blank=True, help_text="Who wrote it."
    )
    content = TextField(allow_blank=True, trim_whitespace=False)
    language = LanguageField(required=False)
    metadata = MetadataField(required=False)

    def to_new(self, idempotency_key: str | None) -> NewSubmission:
        """Return what intake takes: the message as text, everything else as metadata."""
        values = dict(self.validated_data)
        text, language = values.pop("content"), values.pop("language", "")
        return NewSubmission(
            content=NewText(text),
            language=language,
            metadata=values,
            idempotency_key=idempotency_key,
        )


class ListInput(StrictSerializer):
    """Filters of the list, from the query string."""

    status = serializers.ChoiceField(["queued", "running", "done", "failed"], required=False)
    risk_level = serializers.ChoiceField(RiskLevel.choices, required=False)
    content_type = serializers.ChoiceField(ContentType.choices, required=False)
    created_after = serializers.DateTimeField(required=False)
    created_before = serializers.DateTimeField(required=False)
    cursor = serializers.CharField(
        max_length=300, required=False, help_text="next_cursor of a page."
    )
    page_size = serializers.IntegerField(
        min_value=1,
        max_value=strict_json.MAX_INTEGER,
        required=False,
        default=50,
        help_text="At most 200; more is taken as 200.",
    )


class EventsInput(StrictSerializer):
    """Where to go on reading the event log."""

    after_seq = serializers.IntegerField(
        min_value=0, max_value=strict_json.MAX_INTEGER, required=False, default=0
    )
    limit = serializers.IntegerField(
        min_value=1,
        max_value=strict_json.MAX_INTEGER,
        required=False,
        default=100,
        help_text="At most 1000; more is taken as 1000.",
    )


# --- Out -----------------------------------------------------------------------------------------


@cache
def _made(shape: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    return shape()


def shown(shape: type[serializers.Serializer[Any]], value: Any) -> dict[str, Any]:
    """Return the value in the shape. Each is made once: making it costs more than using it."""
    found: dict[str, Any] = _made(shape).to_representation(value)
    return found


class AcceptedOutput(serializers.Serializer[Any]):
    """The promise given for a submission."""

    id = serializers.UUIDField()
    job_id = serializers.UUIDField()
    status = serializers.ChoiceField(["queued"])
    status_url = serializers.CharField()


class FieldErrorOutput(serializers.Serializer[Any]):
    """What is wrong with one field."""

    field = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()


class ProblemOutput(serializers.Serializer[Any]):
    """An error (RFC 9457)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    errors = FieldErrorOutput(many=True)  # type: ignore[assignment]
    request_id = serializers.CharField()


class BatchItemOutput(serializers.Serializer[Any]):
    """The outcome of one item of a batch: accepted, with ids, or refused, with a problem."""

    index = serializers.IntegerField(help_text="Place in the request, from 0.")
    status = serializers.ChoiceField(["queued", "refused"])
    id = serializers.UUIDField(required=False)
    job_id = serializers.UUIDField(required=False)
    status_url = serializers.CharField(required=False)
    problem = ProblemOutput(required=False)


class BatchOutput(serializers.Serializer[Any]):
    """The outcomes of a batch, in the order of the request."""

    accepted = serializers.IntegerField()
    refused = serializers.IntegerField()
    items = BatchItemOutput(many=True)


class VerdictOutput(serializers.Serializer[Any]):
    """What people decided, once it is final."""

    decision = serializers.CharField(source="verdict")
    final = serializers.SerializerMethodField()
    decided_at = serializers.DateTimeField(source="verdict_at")

    def get_final(self, _result: AnalysisResult) -> bool:
        """Verdicts are shown only once they are final."""
        return True


class ReliabilityOutput(serializers.Serializer[Any]):
    """How well a score was measured to rank content of its kind that the model had never seen."""

    grade = serializers.ChoiceField(
        [each.value for each in Grade],
        help_text="unmeasured: not measured on content like this; unproven: measured, but not "
        "shown to be better than guessing; weak, fair or strong: by the AUC.",
    )
    groups = serializers.ListField(
        child=serializers.CharField(),
        help_text="What was measured: all, language:TAG or condition:NAME. Of an unmeasured "
        "score, what was not.",
    )
    auc = serializers.FloatField(
        allow_null=True,
        help_text="Chance that content of the label scores higher than content without it.",
    )
    low = serializers.FloatField(allow_null=True, help_text="Of the 95 % interval of auc.")
    high = serializers.FloatField(allow_null=True, help_text="Of the 95 % interval of auc.")
    n = serializers.IntegerField(allow_null=True, help_text="Items it was measured on.")


class ReliabilitiesOutput(serializers.Serializer[Any]):
    """The reliability of each score; null where there is no score."""

    audio = ReliabilityOutput(allow_null=True)
    visual = ReliabilityOutput(allow_null=True)
    text = ReliabilityOutput(allow_null=True)


class ResultOutput(serializers.Serializer[AnalysisResult]):
    """What the models found. A score nobody could give is null, and a finding says why."""

    overall_confidence = serializers.FloatField(allow_null=True)
    risk_level = serializers.ChoiceField(RiskLevel.choices)
    audio_score = serializers.FloatField(allow_null=True)
    visual_score = serializers.FloatField(allow_null=True)
    text_score = serializers.FloatField(allow_null=True)
    reliability = serializers.SerializerMethodField()
    findings = serializers.ListField(child=serializers.DictField())
    metadata = MetadataField()
    review = serializers.ChoiceField(AnalysisResult.Review.choices)
    verdict = serializers.SerializerMethodField()

    @extend_schema_field(ReliabilitiesOutput)
    def get_reliability(self, result: AnalysisResult) -> Any:
        """Return how reliable each score is; results from before it was kept have none."""
        return {kind: result.reliability.get(kind) for kind in ("audio", "visual", "text")}

    @extend_schema_field(VerdictOutput(allow_null=True))
    def get_verdict(self, result: AnalysisResult) -> Any:
        """Return the final verdict, or None while there is none."""
        return shown(VerdictOutput, result) if result.verdict else None


class FailureOutput(serializers.Serializer[AnalysisJob]):
    """Why there will be no result."""

    code = serializers.CharField(source="failure_code")
    reason = serializers.CharField(source="failure_reason")


@extend_schema_field(serializers.ChoiceField(["queued", "running", "done", "failed"]))
class StatusField(serializers.Field[Any, Any, Any, Any]):
    """Partners need not tell a failed job from a dead one: neither will have a result."""

    def to_representation(self, value: str) -> str:
        """Return the status of a job's state."""
        return "failed" if value == AnalysisJob.State.DEAD else value


class SubmissionOutput(serializers.Serializer[Submission]):
    """A submission and what became of it."""

    id = serializers.UUIDField()
    job_id = serializers.UUIDField(source="job.id")
    status = StatusField(source="job.state")
    content_type = serializers.ChoiceField(ContentType.choices)
    language = serializers.CharField()
    url = serializers.CharField()
    metadata = MetadataField()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(source="job.finished_at", allow_null=True)
    status_url = serializers.SerializerMethodField()
    failure = serializers.SerializerMethodField()
    result = serializers.SerializerMethodField()

    def get_status_url(self, submission: Submission) -> str:
        """Return the path of this document."""
        return status_url(submission.id)

    @extend_schema_field(FailureOutput(allow_null=True))
    def get_failure(self, submission: Submission) -> Any:
        """Return why it failed, or None."""
        job = submission.job
        return shown(FailureOutput, job) if job.failure_code and job.state in _BROKEN else None

    @extend_schema_field(ResultOutput(allow_null=True))
    def get_result(self, submission: Submission) -> Any:
        """Return the result, or None before the job is done."""
        job = submission.job
        return shown(ResultOutput, job.result) if job.state == AnalysisJob.State.DONE else None


_BROKEN = {AnalysisJob.State.FAILED, AnalysisJob.State.DEAD}


def status_url(submission_id: Any) -> str:
    """Return the path at which a submission's status is read."""
    return reverse("submission", args=[submission_id])


class SubmissionPageOutput(serializers.Serializer[Any]):
    """A page of submissions, newest first."""

    items = SubmissionOutput(many=True)
    next_cursor = serializers.CharField(allow_null=True)


class EventOutput(serializers.Serializer[Event]):
    """One entry of the event log."""

    seq = serializers.IntegerField()
    type = serializers.CharField()
    subject_id = serializers.UUIDField()
    payload = MetadataField()
    created_at = serializers.DateTimeField()


class EventPageOutput(serializers.Serializer[Any]):
    """Entries in order; go on with after_seq=next_after_seq."""

    items = EventOutput(many=True)
    next_after_seq = serializers.IntegerField()
    has_more = serializers.BooleanField()


class OrganisationOutput(serializers.Serializer[Any]):
    """The caller's organisation."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    slug = serializers.CharField()


class KeyOutput(serializers.Serializer[Any]):
    """The key the call was made with."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    prefix = serializers.CharField()
    is_read_only = serializers.BooleanField()


class LimitsOutput(serializers.Serializer[Any]):
    """What one request may carry."""

    text_bytes = serializers.IntegerField()
    upload_bytes = serializers.IntegerField()
    batch_items = serializers.IntegerField()
    metadata_bytes = serializers.IntegerField()


class MeOutput(serializers.Serializer[Any]):
    """Who is calling, and what they may send."""

    organisation = OrganisationOutput()
    api_key = KeyOutput()
    limits = LimitsOutput()


class EventAcceptedOutput(serializers.Serializer[Any]):
    """The promise given for a chat event."""

    event_id = serializers.CharField()
    status = serializers.ChoiceField(["queued"])
    processing_url = serializers.CharField()


class EventStatusOutput(serializers.Serializer[Submission]):
    """A chat event and what became of it."""

    event_id = serializers.SerializerMethodField()
    status = StatusField(source="job.state")
    created_at = serializers.DateTimeField()
    failure = serializers.SerializerMethodField()
    result = serializers.SerializerMethodField()

    get_failure = SubmissionOutput.get_failure
    get_result = SubmissionOutput.get_result

    def get_event_id(self, submission: Submission) -> str:
        """Return the event's id."""
        return event_id(submission.id)


def event_id(submission_id: Any) -> str:
    """Return the id a chat event is known by: evt_ and 32 hex digits."""
    return f"evt_{submission_id.hex}"
