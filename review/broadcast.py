"""Tell open pages that something changed. The only module that touches the channel layer.

A message carries no content, only `{"type": "changed", "seq": N, "item": id}`; the page fetches
what it may see. So a lost message costs freshness until the next one, never correctness.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import NotRequired, TypedDict
from uuid import UUID

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction
from redis.exceptions import RedisError

from review.access import Access
from review.models import ItemChange

logger = logging.getLogger(__name__)

_EVERYTHING = "review.everything"
_PATIENCE_SECONDS = 1.0
"""How long a request may wait for the broker before it goes on without it."""


class Changed(TypedDict):
    """What a page receives. `item` is there when the message is about one item alone."""

    type: str
    seq: int
    item: NotRequired[str]


def groups_of(access: Access) -> frozenset[str]:
    """Return the groups whose messages this access may see."""
    if access.everywhere:
        return frozenset({_EVERYTHING})
    return frozenset(_group(organisation) for organisation in access.organisations)


def announce(changes: Sequence[ItemChange]) -> None:
    """Send one message to each group concerned once the transaction has committed."""
    by_group: dict[str, list[ItemChange]] = {_EVERYTHING: list(changes)}
    for change in changes:
        by_group.setdefault(_group(change.item.organisation_id), []).append(change)
    messages = {group: _message(each) for group, each in by_group.items()}
    transaction.on_commit(partial(_send, messages))


def _group(organisation_id: UUID) -> str:
    return f"review.organisation.{organisation_id}"


def _message(changes: Sequence[ItemChange]) -> Changed:
    message = Changed(type="changed", seq=max(change.pk for change in changes))
    items = {str(change.item_id) for change in changes}
    if len(items) == 1:
        message["item"] = items.pop()
    return message


def _send(messages: dict[str, Changed]) -> None:
    """Send, or soon give up: the change itself is safe, and pages also ask by themselves."""
    try:
        async_to_sync(_send_all)(messages)
    except (RedisError, OSError, TimeoutError) as error:
        logger.warning("review pages were not told of a change: %s", error)


async def _send_all(messages: dict[str, Changed]) -> None:
    layer = get_channel_layer()
    async with asyncio.timeout(_PATIENCE_SECONDS):
        for group, message in messages.items():
            await layer.group_send(group, {"type": "review.changed", "message": message})
