"""The partner API. Each method checks its input, calls one use case and shows the outcome."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from detection import intake
from detection.api import paging, parsers, problems, serializers
from detection.api.authentication import Caller, IsPartner
from detection.errors import ContentTooLarge, DetectionError, UnsupportedContent
from detection.intake import NewSubmission, NewUpload, Receipt, Submitter
from detection.models import Submission
from detection.reading import own_submission
from kilinda.partners import events
from kilinda.partners.models import Organisation

MAX_EVENTS = 1_000
EVENT_TYPES = ("message_created",)

S = TypeVar("S", bound=serializers.StrictSerializer)

_KEY = re.compile(rf"[\x21-\x7e]{{1,{serializers.MAX_IDEMPOTENCY_KEY}}}")

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description=(
        f"Up to {serializers.MAX_IDEMPOTENCY_KEY} printable ASCII characters. The same key with "
        "the same request gives the first answer again; with another request, 409."
    ),
)


def _refusals(*statuses: int) -> dict[int, OpenApiResponse]:
    return {
        status: OpenApiResponse(serializers.ProblemOutput, description="See code and errors.")
        for status in (401, *statuses)
    }


_REFUSED_INPUT = _refusals(400, 403, 409, 411, 413, 415, 422, 503)


class PartnerView(APIView):
    """A call by the holder of an API key."""

    permission_classes = [IsPartner]

    @property
    def organisation(self) -> Organisation:
        """Return the caller's organisation."""
        return self._caller.organisation

    @property
    def submitter(self) -> Submitter:
        """Return the caller as one who hands content in."""
        return Submitter(self.organisation, api_key=self._caller.api_key)

    @property
    def _caller(self) -> Caller:
        caller = self.request.user
        assert isinstance(caller, Caller)
        return caller

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse a body of unknown length, which would otherwise count as none."""
        super().initial(request, *args, **kwargs)
        if "Transfer-Encoding" in request.headers and "Content-Length" not in request.headers:
            raise parsers.LengthRequired

    def own_submission(self, submission_id: UUID) -> Submission:
        """Return the caller's submission. Another partner's is as missing as one that never was."""
        found = own_submission(self.organisation.pk, submission_id)
        if found is None:
            raise Http404
        return found


class SubmissionsView(PartnerView):
    """Hand content in; list what was handed in."""

    parser_classes = [parsers.StrictJSONParser, parsers.UploadParser]

    @extend_schema(
        operation_id="submit",
        parameters=[IDEMPOTENCY_KEY],
        request={
            "application/json": serializers.SubmissionInput,
            "multipart/form-data": serializers.UploadInput,
        },
        responses={202: serializers.AcceptedOutput, **_REFUSED_INPUT},
    )
    def post(self, request: Request) -> Response:
        """Hand in a text, a URL or a file.

        The answer means: it is on disk and will reach a verdict.
        """
        with _upload_closed(request.data):
            shape = _input_shape(request)
            new = checked(shape, request.data).to_new(idempotency_key(request))
            receipt = intake.submit(new, submitter=self.submitter)
        return Response(accepted(receipt), status=202)

    @extend_schema(
        operation_id="list_submissions",
        parameters=[serializers.ListInput],
        responses={200: serializers.SubmissionPageOutput, **_refusals(400)},
    )
    def get(self, request: Request) -> Response:
        """List submissions, newest first."""
        asked = checked(serializers.ListInput, query(request)).validated_data
        page = paging.page(
            _with_status(self.organisation, asked.pop("status", "")),
            cursor=asked.pop("cursor", ""),
            page_size=asked.pop("page_size"),
            filters=asked,
        )
        return Response(serializers.shown(serializers.SubmissionPageOutput, page))


class BatchView(PartnerView):
    """Hand many texts and URLs in at once."""

    parser_classes = [parsers.BatchJSONParser, parsers.NDJSONParser]

    @extend_schema(
        operation_id="submit_batch",
        parameters=[IDEMPOTENCY_KEY],
        request={
            "application/json": serializers.SubmissionInput(many=True),
            "application/x-ndjson": serializers.SubmissionInput,
        },
        responses={202: serializers.BatchOutput, **_REFUSED_INPUT},
    )
    def post(self, request: Request) -> Response:
        """Hand in up to 1000 items; each has its own outcome.

        An Idempotency-Key counts for each item together with its place in the request.
        """
        drafts = [
            _batch_item(item, _item_key(idempotency_key(request), index))
            for index, item in enumerate(_batch(request.data))
        ]
        outcomes = iter(
            intake.submit_many(
                [draft for draft in drafts if isinstance(draft, NewSubmission)],
                submitter=self.submitter,
            )
        )
        return Response(
            _batch_answer(
                [next(outcomes) if isinstance(draft, NewSubmission) else draft for draft in drafts]
            ),
            status=202,
        )


class SubmissionView(PartnerView):
    """One submission."""

    @extend_schema(
        operation_id="read_submission",
        responses={200: serializers.SubmissionOutput, **_refusals(404)},
    )
    def get(self, request: Request, submission_id: UUID) -> Response:
        """Read the status and, when it is done, the result."""
        return Response(
            serializers.shown(serializers.SubmissionOutput, self.own_submission(submission_id))
        )


class EventsView(PartnerView):
    """The organisation's event log."""

    @extend_schema(
        operation_id="read_events",
        parameters=[serializers.EventsInput],
        responses={200: serializers.EventPageOutput, **_refusals(400)},
    )
    def get(self, request: Request) -> Response:
        """Read the events after a number. Numbers have no gaps and never change."""
        asked = checked(serializers.EventsInput, query(request)).validated_data
        limit = min(asked["limit"], MAX_EVENTS)
        found = events.read(self.organisation.id, after_seq=asked["after_seq"], limit=limit + 1)
        items = found[:limit]
        page = {
            "items": items,
            "next_after_seq": items[-1].seq if items else asked["after_seq"],
            "has_more": len(found) > limit,
        }
        return Response(serializers.shown(serializers.EventPageOutput, page))


class MeView(PartnerView):
    """The caller."""

    @extend_schema(operation_id="me", responses={200: serializers.MeOutput, **_refusals()})
    def get(self, request: Request) -> Response:
        """Read whose key this is, and what one request may carry."""
        me = {
            "organisation": self.organisation,
            "api_key": self._caller.api_key,
            "limits": {
                "text_bytes": settings.KILINDA_MAX_TEXT_BYTES,
                "upload_bytes": settings.KILINDA_MAX_UPLOAD_BYTES,
                "batch_items": settings.KILINDA_MAX_BATCH,
                "metadata_bytes": serializers.MAX_METADATA_BYTES,
            },
        }
        return Response(serializers.shown(serializers.MeOutput, me))


class IngestView(PartnerView):
    """Events of chat platforms."""

    @extend_schema(
        operation_id="ingest_event",
        parameters=[IDEMPOTENCY_KEY],
        request=serializers.EventInput,
        responses={202: serializers.EventAcceptedOutput, **_REFUSED_INPUT},
    )
    def post(self, request: Request) -> Response:
        """Hand in a chat message."""
        event = checked(serializers.EventInput, request.data)
        _check_event_type(event.validated_data["event_type"])
        submitter = Submitter(
            self.organisation, api_key=self._caller.api_key, source=Submission.Source.EVENT
        )
        receipt = intake.submit(event.to_new(idempotency_key(request)), submitter=submitter)
        named = serializers.event_id(receipt.submission_id)
        return Response(
            {
                "event_id": named,
                "status": "queued",
                "processing_url": f"/v1/events/{named}/status",
            },
            status=202,
        )


class EventStatusView(PartnerView):
    """One chat event."""

    @extend_schema(
        operation_id="read_event_status",
        responses={200: serializers.EventStatusOutput, **_refusals(404)},
    )
    def get(self, request: Request, event_id: UUID) -> Response:
        """Read the status of a chat event and, when it is done, the result."""
        return Response(
            serializers.shown(serializers.EventStatusOutput, self.own_submission(event_id))
        )


# --- Input ---------------------------------------------------------------------------------------


def checked(shape: type[S], values: Any) -> S:
    """Return the input once it was found valid. Raises ValidationError naming the wrong fields."""
    found = shape(data=values)
    found.is_valid(raise_exception=True)
    return found


def query(request: Request) -> dict[str, str]:
    """Return the query string's parameters. Raises ValidationError for one that occurs twice."""
    for name, values in request.query_params.lists():
        if len(values) > 1:
            raise ValidationError({name[:100]: ["This parameter occurs twice."]}, "duplicate_key")
    return request.query_params.dict()


def idempotency_key(request: Request) -> str | None:
    """Return the request's Idempotency-Key. Raises ValidationError for one that is not usable."""
    given = request.headers.get("Idempotency-Key")
    if given is None or _KEY.fullmatch(given):
        return given
    raise ValidationError(
        {
            "Idempotency-Key": [
                f"Must be 1 to {serializers.MAX_IDEMPOTENCY_KEY} printable ASCII characters."
            ]
        },
        "invalid_idempotency_key",
    )


def _input_shape(
    request: Request,
) -> type[serializers.SubmissionInput] | type[serializers.UploadInput]:
    is_form = request.content_type.lower().startswith(parsers.UploadParser.media_type)
    return serializers.UploadInput if is_form else serializers.SubmissionInput


@contextmanager
def _upload_closed(values: Any) -> Iterator[None]:
    try:
        yield
    finally:
        for value in values.values():
            if isinstance(value, NewUpload):
                value.close()


def _with_status(organisation: Organisation, status: str) -> Any:
    rows = Submission.objects.for_partner(organisation).select_related("job__result")
    return rows.filter(job__state__in=paging.states(status)) if status else rows


def _check_event_type(event_type: str) -> None:
    if event_type not in EVENT_TYPES:
        raise UnsupportedEvent(f"Accepted event types: {', '.join(EVENT_TYPES)}.")


class UnsupportedEvent(UnsupportedContent):
    """This type of event is not accepted."""

    status = 422
    code = "unsupported_event_type"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, field="event_type")


# --- Batches -------------------------------------------------------------------------------------


def _batch(items: Any) -> list[Any]:
    if not isinstance(items, list) or not items:
        raise parsers.BadBody("empty_body", "The batch has no items.")
    if len(items) > settings.KILINDA_MAX_BATCH:
        raise ContentTooLarge(f"A batch may have {settings.KILINDA_MAX_BATCH} items at most.")
    return items


def _batch_item(item: Any, key: str | None) -> NewSubmission | Exception:
    """Return the item as intake takes it, or the error that it is."""
    if isinstance(item, Exception):
        return item
    try:
        return checked(serializers.SubmissionInput, item).to_new(key)
    except ValidationError as error:
        return error


def _item_key(key: str | None, index: int) -> str | None:
    return f"{key}#{index}" if key else None


def _batch_answer(outcomes: list[Receipt | DetectionError | Exception]) -> dict[str, Any]:
    items = [{"index": index, **_outcome(outcome)} for index, outcome in enumerate(outcomes)]
    taken = sum(isinstance(outcome, Receipt) for outcome in outcomes)
    return {"accepted": taken, "refused": len(items) - taken, "items": items}


def _outcome(outcome: Receipt | Exception) -> dict[str, Any]:
    if isinstance(outcome, Receipt):
        return accepted(outcome)
    return {"status": "refused", "problem": problems.describe(outcome)}


def accepted(receipt: Receipt) -> dict[str, Any]:
    """Return the body of a 202; the same receipt gives the same bytes."""
    return {
        "id": str(receipt.submission_id),
        "job_id": str(receipt.job_id),
        "status": "queued",
        "status_url": serializers.status_url(receipt.submission_id),
    }
