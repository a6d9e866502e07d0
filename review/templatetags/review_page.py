"""How the review pages write times, scores and people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django import template
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

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


@register.filter
def signed(value: float) -> str:
    """Return a number with its sign and a real minus."""
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


@register.filter
def unlocalized(value: float) -> str:
    """Return a number as scripts read it, whatever the page's language."""
    return repr(float(value))


@register.filter
def of(by_key: Mapping[Any, Any], key: Any) -> Any:
    """Return what a mapping holds under a key."""
    return by_key[key]


_VIEWS = {
    "seconds": gettext_lazy("Whole recording"),
    "window": gettext_lazy("Worst window"),
    "picture": gettext_lazy("Picture"),
    "heatmap": gettext_lazy("Heatmap"),
    "map": gettext_lazy("Where it was found"),
    "noise": gettext_lazy("Noise residual"),
    "frames": gettext_lazy("Frames"),
}


@register.filter
def view_name(name: str) -> str:
    """Return what a drawing of evidence is called on its button."""
    return str(_VIEWS.get(name, name))
