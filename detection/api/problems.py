"""Errors as application/problem+json (RFC 9457). Nothing of the program ever shows in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, TypedDict

import structlog
from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.views import defaults
from rest_framework.exceptions import APIException, NotFound, ParseError, ValidationError
from rest_framework.exceptions import PermissionDenied as Forbidden
from rest_framework.response import Response

from detection.errors import DetectionError
from kilinda.logs import request_id

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5
API_PATHS = ("/api/", "/v1/")


class FieldError(TypedDict):
    """What is wrong with one field."""

    field: str
    code: str
    detail: str


class Problem(TypedDict):
    """The body of every error."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[FieldError]
    request_id: str


def problem(status: int, code: str, detail: str, errors: Iterable[FieldError] = ()) -> Problem:
    """Return the body of an error."""
    return Problem(
        type=f"urn:kilinda:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        code=code,
        detail=detail,
        errors=list(errors),
        request_id=request_id(),
    )


def describe(error: Exception) -> Problem | None:
    """Return the problem an exception stands for, or None when it is a fault of the program."""
    if isinstance(error, DetectionError):
        return _refused(error)
    if isinstance(error, (OperationalError, InterfaceError)):
        log.error("database unavailable", error=str(error))
        return problem(503, "database_unavailable", "The database is away. Try again soon.")
    known = _as_api_exception(error)
    if isinstance(known, ValidationError):
        errors = list(_flattened(known.get_full_details()))
        return problem(400, "invalid", "Some fields are not valid; see errors.", errors)
    if known is not None:
        return problem(known.status_code, _code(known), str(known.detail))
    return None


def handle(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Answer an exception raised in an API view (Django REST framework's EXCEPTION_HANDLER)."""
    body = describe(error)
    if body is None:
        return None
    return Response(
        body, status=body["status"], headers=_headers(error, body), content_type=MEDIA_TYPE
    )


def _refused(error: DetectionError) -> Problem:
    errors = [FieldError(field=error.field, code=error.code, detail=error.detail)]
    return problem(error.status, error.code, error.detail, errors if error.field else ())


_DJANGO_ERRORS: tuple[tuple[type[Exception], int, str, str], ...] = (
    (RequestDataTooBig, 413, "too_large", "The fields of the form are too large."),
    (TooManyFieldsSent, 400, "too_many_fields", "The request has too many fields."),
    (TooManyFilesSent, 400, "too_many_files", "Send one file a request."),
    (UnreadablePostError, 400, "truncated_body", "The connection ended before the body."),
    (SuspiciousOperation, 400, "bad_request", "The request is not acceptable."),
)


def _as_api_exception(error: Exception) -> APIException | None:
    if isinstance(error, APIException):
        return error
    if isinstance(error, Http404):
        return NotFound()
    if isinstance(error, PermissionDenied):
        return Forbidden()
    for kind, status, code, detail in _DJANGO_ERRORS:
        if isinstance(error, kind):
            found = ParseError(detail, code)
            found.status_code = status
            return found
    return None


def _code(error: APIException) -> str:
    codes = error.get_codes()
    return codes if isinstance(codes, str) else error.default_code


def _flattened(details: Any, field: str = "") -> Iterator[FieldError]:
    """Yield a line for every message, naming nested fields with dots."""
    if isinstance(details, Mapping) and set(details) == {"message", "code"}:
        yield FieldError(field=field, code=str(details["code"]), detail=str(details["message"]))
    elif isinstance(details, Mapping):
        for name, inner in details.items():
            own = "" if name == "non_field_errors" else str(name)[:100]
            yield from _flattened(inner, ".".join(part for part in (field, own) if part))
    else:
        for inner in details:
            yield from _flattened(inner, field)


def _headers(error: Exception, body: Problem) -> dict[str, str]:
    headers = {}
    if body["status"] == 503:
        headers["Retry-After"] = str(RETRY_SECONDS)
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    return headers


# --- Outside of API views: named in kilinda.urls -------------------------------------------------


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400, such as for a wrong Host header."""
    if _is_api(request):
        return _plain(problem(400, "bad_request", "The request is not acceptable."))
    return defaults.bad_request(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404 for a path that leads nowhere."""
    if _is_api(request):
        return _plain(problem(404, "not_found", "Not found."))
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500 for a fault of the program; what happened is in the log under the request id."""
    if _is_api(request):
        return _plain(problem(500, "internal_error", "Something went wrong on our side."))
    return defaults.server_error(request)


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith(API_PATHS)


def _plain(body: Problem) -> HttpResponse:
    return JsonResponse(body, status=body["status"], content_type=MEDIA_TYPE)
