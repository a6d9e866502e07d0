"""How a request is named in logs and metrics: by its URL pattern, never by what a client typed."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_WATCHED_CONSTANTLY = ("health", "metrics")


def endpoint(request: HttpRequest) -> str:
    """Return the pattern that matched, such as `api/v1/submissions/<uuid:id>`."""
    if match := request.resolver_match:
        return str(match.route) or "/"
    return "static" if request.path.startswith(settings.STATIC_URL) else "unmatched"


def method(request: HttpRequest) -> str:
    """Return the HTTP method, or OTHER for one a client made up."""
    return request.method if request.method in _METHODS else "OTHER"


def is_routine(request: HttpRequest) -> bool:
    """Say whether this is a probe, a scrape or a static file, which would drown the log."""
    return endpoint(request).startswith((*_WATCHED_CONSTANTLY, "static"))
