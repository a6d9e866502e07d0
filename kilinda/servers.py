"""Django's HTTP handlers, hardened where a request could break them before any of our code runs."""

from __future__ import annotations

from typing import Any

from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import HttpRequest


class _AnyContentType(HttpRequest):
    """Takes a Content-Type that cannot be parsed for none at all, which views refuse with 415.

    Django raises ValueError for `charset*=bogus''x` while it makes the request: a 500.
    """

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        try:
            super()._set_content_type_params(meta)  # type: ignore[misc]
        except ValueError:
            meta["CONTENT_TYPE"] = ""
            super()._set_content_type_params(meta)  # type: ignore[misc]


class _WSGIRequest(_AnyContentType, WSGIRequest):
    pass


class _ASGIRequest(_AnyContentType, ASGIRequest):
    pass


class WSGI(WSGIHandler):
    """What gunicorn calls."""

    request_class = _WSGIRequest


class ASGI(ASGIHandler):
    """What daphne calls for HTTP."""

    request_class = _ASGIRequest
