"""How the review pages write times, scores and people."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django import template
from django.utils import timezone
from django.utils.translation import gettext as _

register = template.Library()

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


@register.filter
def age(moment: datetime) -> str:
    """Return how long ago, in one unit: 40 s, 5 min, 3 h, 2 d."""
    seconds = int((timezone.now() - moment).total_seconds())
    if seconds < _MINUTE:
        return _("now")
    if seconds < _HOUR:
        return _("%d min") % (seconds // _MINUTE)
    if seconds < _DAY:
        return _("%d h") % (seconds // _HOUR)
    return _("%d d") % (seconds // _DAY)


@register.filter
def clock(seconds: float) -> str:
    """Return a place on a time line: 0:07, 12:30."""
    whole = int(seconds)
    return f"{whole // _MINUTE}:{whole % _MINUTE:02d}"


@register.filter
def percent(value: Decimal | float | None) -> str:
    """Return a score with the two decimals it is stored with, 91.50 %, or a dash for none."""
    return "—" if value is None else f"{value:.2f} %"


@register.filter
def person(user: Any) -> str:
    """Return a person's full name, or else the account's."""
    return (user.get_full_name() or user.username) if user else ""


@register.filter
def points(parts: Any) -> str:
    """Return a score line for an SVG of 100 by 100, each part in the middle of its share."""
    parts = list(parts)
    step = 100 / max(1, len(parts))
    return " ".join(
        f"{(index + 0.5) * step:.2f},{100 - part.percent:.2f}" for index, part in enumerate(parts)
    )


@register.filter
def complement(value: float) -> float:
    """Return 100 minus the value: SVG counts downwards."""
    return 100 - value
