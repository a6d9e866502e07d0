"""The content itself: originals by byte range, and pictures made safe."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import IO, TypeVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.core.files.storage import default_storage
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_safe

from detection.models import Media
from inference_worker.errors import DecoderLost
from review import previews
from review.errors import PreviewMissing
from review.views.entrance import ReviewerRequest, reviewing, visible_item

R = TypeVar("R", bound=HttpResponseBase)

_CHUNK_BYTES = 64 * 1024
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")

_SAFE_INLINE = re.compile(r"(audio|video)/[a-z0-9.+-]+")
"""What an element of the page plays. Pictures are shown as fresh JPEGs, never as the original."""

_SANDBOX = "sandbox; default-src 'none'"


@require_safe
@reviewing
def original(request: ReviewerRequest, item_id: UUID) -> HttpResponse | StreamingHttpResponse:
    """Return the bytes as they were submitted: all, or the one range that was asked for."""
    item = visible_item(request, item_id, "job__submission__media")
    media = item.job.submission.media
    if media is None:
        return _text(item.job.submission.text, str(item_id))
    try:
        start, end = _range(request.headers.get("Range", ""), media.size_bytes)
    except ValueError:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{media.size_bytes}"})
    return _stream(request, media, start, end, str(item_id))


def _text(text: str, name: str) -> HttpResponse:
    response = HttpResponse(text, content_type="text/plain; charset=utf-8")
    return _guarded(response, f'attachment; filename="{name}.txt"')


def _range(header: str, size: int) -> tuple[int, int]:
    """Return the first byte and the one after the last; ValueError if there is no such part.

    Anything but one plain range (RFC 9110, section 14.2) is answered with the whole.
    """
    asked = _RANGE.fullmatch(header)
    if asked is None or asked.groups() == ("", ""):
        return 0, size
    first, last = asked.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
    if start >= end:
        raise ValueError(header)
    return start, end


def _stream(
    request: ReviewerRequest, media: Media, start: int, end: int, name: str
) -> StreamingHttpResponse:
    """Stream a part; under ASGI Django reads a plain iterator to its end before it sends."""
    file = default_storage.open(media.storage_name)
    file.seek(start)
    is_async = isinstance(request, ASGIRequest)
    chunks = _chunks_async(file, end - start) if is_async else _chunks(file, end - start)
    is_whole = (start, end) == (0, media.size_bytes)
    is_inline = _SAFE_INLINE.fullmatch(media.mime) is not None
    response = StreamingHttpResponse(
        chunks,
        status=200 if is_whole else 206,
        content_type=media.mime if is_inline else "application/octet-stream",
    )
    response["Content-Length"] = str(end - start)
    response["Accept-Ranges"] = "bytes"
    if not is_whole:
        response["Content-Range"] = f"bytes {start}-{end - 1}/{media.size_bytes}"
    disposition = "inline" if is_inline else f'attachment; filename="{name}"'
    return _guarded(response, disposition)


def _guarded(response: R, disposition: str) -> R:
    """Hostile bytes on our own origin: no guessing, no scripts, no frames."""
    response["Content-Disposition"] = disposition
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = _SANDBOX
    return response


def _chunks(file: IO[bytes], left: int) -> Iterator[bytes]:
    with file:
        while left > 0 and (chunk := file.read(min(_CHUNK_BYTES, left))):
            left -= len(chunk)
            yield chunk


async def _chunks_async(file: IO[bytes], left: int) -> AsyncIterator[bytes]:
    chunks = _chunks(file, left)
    try:
        while chunk := await sync_to_async(lambda: next(chunks, b""))():
            yield chunk
    finally:
        file.close()


@require_safe
@reviewing
def manifest(request: ReviewerRequest, item_id: UUID) -> JsonResponse:
    """Return durations, the waveform's outline and where the frames are."""
    try:
        return _kept(JsonResponse(previews.manifest(_media(request, item_id))))
    except DecoderLost as error:
        return JsonResponse({"failure": str(error)}, status=503)


@require_safe
@reviewing
def picture(request: ReviewerRequest, item_id: str, name: str) -> HttpResponse:
    """Return a picture, thumbnail or video frame as a JPEG of our own making."""
    try:
        content = previews.picture(_media(request, UUID(item_id)), f"{name}.jpg")
    except (PreviewMissing, ValueError) as error:
        raise Http404 from error
    except DecoderLost as error:
        return HttpResponse(str(error), status=503, content_type="text/plain")
    return _kept(HttpResponse(content, content_type="image/jpeg"))


def _media(request: ReviewerRequest, item_id: UUID) -> Media:
    media = visible_item(request, item_id, "job__submission__media").job.submission.media
    if media is None:
        raise Http404
    return media


def _kept(response: R) -> R:
    """Let the reviewer's own browser keep it for a shift; it is the same for ever."""
    response["Cache-Control"] = "private, max-age=28800"
    return response
