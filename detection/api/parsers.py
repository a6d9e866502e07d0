"""Request bodies, read within limits: strict JSON, lines of JSON, and one uploaded file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import IO, Any, cast

from django.conf import settings
from django.core.files.uploadhandler import FileUploadHandler
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.utils.http import parse_header_parameters
from rest_framework.exceptions import APIException, ParseError, UnsupportedMediaType
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from detection.api import strict_json
from detection.blobs import Incoming
from detection.errors import ContentTooLarge
from detection.intake import NewUpload

MAX_JSON_BYTES = 8_000_000
"""One submission: a text of the largest size with every character written as \\uXXXX."""
MAX_BATCH_BYTES = 25_000_000
MAX_FORM_BYTES = 200_000
"""The fields beside the file of an upload, and the lines between them."""

_CHUNK_BYTES = 65_536
_MOST_DRAINED_BYTES = 64_000_000


class LengthRequired(APIException):
    """The body came without Content-Length."""

    status_code = 411
    default_detail = "Send the body with a Content-Length."
    default_code = "length_required"


class BadBody(ParseError):
    """The body cannot be read."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail, code)


class StrictJSONParser(BaseParser):
    """One JSON value, at most MAX_JSON_BYTES."""

    media_type = "application/json"
    max_bytes = MAX_JSON_BYTES

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the value. Raises BadBody, ContentTooLarge or UnsupportedMediaType."""
        raw = _read_body(stream, _request(parser_context), self.max_bytes)
        if not raw.strip():
            raise BadBody("empty_body", "The request has no body.")
        return self.parse_value(raw)

    def parse_value(self, raw: bytes) -> Any:
        """Return what the body says."""
        try:
            value = strict_json.loads(raw)
        except strict_json.NotStrictJSON as error:
            raise BadBody(error.code, str(error)) from error
        if not isinstance(value, dict):
            raise BadBody("not_an_object", "The body must be a JSON object.")
        return value


class BatchJSONParser(StrictJSONParser):
    """A JSON list of items; an item that cannot be stored becomes the BadBody that says why."""

    max_bytes = MAX_BATCH_BYTES

    def parse_value(self, raw: bytes) -> list[Any]:
        """Return the items."""
        try:
            value = strict_json.parse(raw)
        except strict_json.NotStrictJSON as error:
            raise BadBody(error.code, str(error)) from error
        if not isinstance(value, list):
            raise BadBody("not_a_list", "The body must be a JSON list.")
        return [_checked(item) for item in value]


class NDJSONParser(BatchJSONParser):
    """One JSON value a line; a bad one becomes the BadBody that says why. Empty lines pass."""

    media_type = "application/x-ndjson"

    def parse_value(self, raw: bytes) -> list[Any]:
        """Return the items."""
        return [_line(line) for line in raw.split(b"\n") if line.strip()]


def _checked(item: Any) -> Any:
    try:
        strict_json.check(item)
    except strict_json.NotStrictJSON as error:
        return BadBody(error.code, str(error))
    return item


def _line(line: bytes) -> Any:
    try:
        return strict_json.loads(line.strip())
    except strict_json.NotStrictJSON as error:
        return BadBody(error.code, str(error))


# --- One file ------------------------------------------------------------------------------------


class UploadParser(BaseParser):
    """A multipart form with one file and a few fields, as a dict; the file as NewUpload.

    The file is hashed and written to disk while it arrives. Its name is dropped but for the
    extension, which must not contradict the bytes.
    """

    media_type = "multipart/form-data"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the fields. Raises BadBody, ContentTooLarge or UnsupportedMediaType."""
        request = _request(parser_context)
        limit = settings.KILINDA_MAX_UPLOAD_BYTES
        length = _checked_length(stream, request, limit + MAX_FORM_BYTES)
        body = _Body(stream, length)
        handler = _ToIncoming(limit)
        try:
            fields, files = _Form(request.META, cast(Any, body), [handler], "utf-8").parse()
            body.check_complete(_boundary(request))
        except MultiPartParserError as error:
            handler.close()
            raise BadBody("invalid_multipart", f"Not a multipart form: {error}") from error
        except BaseException:
            handler.close()
            raise
        return _once([*fields.lists(), *files.lists()], handler)


class _Form(MultiPartParser):
    """Django's parser, with a name for files whose own name is unusable: it is dropped anyway."""

    def sanitize_file_name(self, file_name: str) -> str:
        return super().sanitize_file_name(file_name) or "file"


class _Body:
    """Counts the body and remembers its end: Django takes a form cut short for a whole one."""

    def __init__(self, stream: IO[Any], length: int) -> None:
        self._stream = stream
        self._left = length
        self._tail = b""

    def read(self, size: int = _CHUNK_BYTES) -> bytes:
        chunk: bytes = self._stream.read(min(size, self._left)) if self._left else b""
        self._left -= len(chunk)
        self._tail = (self._tail + chunk)[-512:]
        return chunk

    def check_complete(self, boundary: bytes) -> None:
        if self._left or b"--" + boundary + b"--" not in self._tail:
            raise BadBody("truncated_body", "The body ends before its last boundary.")


class _ToIncoming(FileUploadHandler):
    """Sends the file of a form into an Incoming."""

    chunk_size = _CHUNK_BYTES

    def __init__(self, limit_bytes: int) -> None:
        super().__init__()
        self._limit_bytes = limit_bytes
        self._incoming: Incoming | None = None

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        if self._incoming:
            raise BadBody("too_many_files", "Send one file a request.")
        self._incoming = Incoming(limit_bytes=self._limit_bytes)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        assert self._incoming is not None
        self._incoming.write(raw_data)

    def file_complete(self, file_size: int) -> Any:
        assert self._incoming is not None
        extension = PurePosixPath(self.file_name or "").suffix
        return NewUpload(self._incoming, self.content_type or "", extension)

    def close(self) -> None:
        if self._incoming:
            self._incoming.close()


def _once(fields: list[tuple[str, list[Any]]], handler: _ToIncoming) -> dict[str, Any]:
    for name, values in fields:
        if len(values) > 1:
            handler.close()
            raise BadBody("duplicate_key", f"The field {name[:100]!r} occurs twice.")
    return {name: values[0] for name, values in fields}


def _boundary(request: Request) -> bytes:
    _, parameters = parse_header_parameters(request.META["CONTENT_TYPE"])
    return str(parameters["boundary"]).encode()


# --- Headers and length --------------------------------------------------------------------------


def _request(parser_context: Mapping[str, Any] | None) -> Request:
    assert parser_context is not None
    request: Request = parser_context["request"]
    return request


def _read_body(stream: IO[Any], request: Request, limit: int) -> bytes:
    length = _checked_length(stream, request, limit)
    raw: bytes = stream.read(length)
    if len(raw) < length:
        raise BadBody(
            "truncated_body", f"The body has {len(raw)} bytes, not the announced {length}."
        )
    return raw


def _checked_length(stream: IO[Any], request: Request, limit: int) -> int:
    """Return Content-Length after the headers were checked. What is too long is read and dropped,
    within reason: a client that is still sending would not see the answer."""
    _check_coding(request)
    length = int(request.META["CONTENT_LENGTH"])
    if length > limit:
        left = min(length, _MOST_DRAINED_BYTES)
        while left > 0 and (chunk := stream.read(min(left, _CHUNK_BYTES))):
            left -= len(chunk)
        raise ContentTooLarge(f"A request body may have {limit} bytes at most here.")
    return length


_CHARSET = re.compile(r"utf-?8|us-ascii", re.IGNORECASE)


def _check_coding(request: Request) -> None:
    content_type = request.META.get("CONTENT_TYPE", "")
    _, parameters = parse_header_parameters(content_type)
    charset = str(parameters.get("charset", "utf-8"))
    if not _CHARSET.fullmatch(charset):
        raise UnsupportedMediaType(
            content_type, f"The charset must be utf-8, not {charset[:40]!r}."
        )
    coding = request.META.get("HTTP_CONTENT_ENCODING", "identity").strip().lower()
    if coding not in {"", "identity"}:
        raise UnsupportedMediaType(
            content_type,
            f"Send the body as it is; Content-Encoding {coding[:40]!r} is not accepted.",
        )
