"""System checks: settings that would make the platform unsafe stop it here."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from detection.addresses import networks


@register(Tags.security)
def fetch_allow_names_networks(**_: Any) -> list[CheckMessage]:
    """KILINDA_FETCH_ALLOW holds networks."""
    try:
        networks(settings.KILINDA_FETCH_ALLOW)
    except ValueError as error:
        return [Error(f"KILINDA_FETCH_ALLOW: {error}.", id="detection.E001")]
    return []


@register(Tags.security, deploy=True)
def nothing_private_may_be_fetched(**_: Any) -> list[CheckMessage]:
    """Private networks are opened to fetching in tests only."""
    if not settings.KILINDA_FETCH_ALLOW:
        return []
    return [
        Error(
            "KILINDA_FETCH_ALLOW opens private networks to whoever submits a URL.",
            hint="Unset it: it is for tests only.",
            id="detection.E002",
        )
    ]
