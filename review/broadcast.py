"""Tell open pages that something changed. The only module that touches the channel layer.

A message carries no content, only `{"type": "changed", "seq": N, "item": id}`; the page fetches
what it may see. So a lost message costs freshness until the next one, never correctness.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from functools import partial
from typing import NotRequired, TypedDict
from uuid import UUID

from channels.layers import get_channel_layer
from django.db import transaction
from redis.exceptions import RedisError

from review.access import Access
from review.models import ItemChange

logger = logging.getLogger(__name__)

_EVERYTHING = "review.everything"
_PATIENCE_SECONDS = 1.0
"""How long one message may take before it is given up."""


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
    _announcer.take(messages)


class Announcer:
    """Sends from a daemon thread of its own, so that no request or worker waits for the broker.

    Messages to one group that come while it sends merge into one: only the newest number counts.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, Changed] = {}
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    def take(self, messages: dict[str, Changed]) -> None:
        """Note what is to be sent, and return at once."""
        with self._wake:
            for group, message in messages.items():
                self._waiting[group] = _merged(self._waiting.get(group), message)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="announce", daemon=True)
                self._thread.start()
            self._wake.notify()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            while True:
                with self._wake:
                    while not self._waiting:
                        self._wake.wait()
                    messages, self._waiting = self._waiting, {}
                try:
                    runner.run(_send_all(messages))
                except (RedisError, OSError, TimeoutError) as error:
                    # The change itself is safe, and pages also ask by themselves.
                    logger.warning("review pages were not told of a change: %s", error)


def _merged(before: Changed | None, message: Changed) -> Changed:
    """Return one message for both; it names an item only if both are about that one."""
    if before is None:
        return message
    merged = Changed(type="changed", seq=max(before["seq"], message["seq"]))
    item = message.get("item")
    if item is not None and before.get("item") == item:
        merged["item"] = item
    return merged


async def _send_all(messages: dict[str, Changed]) -> None:
    layer = get_channel_layer()
    async with asyncio.timeout(_PATIENCE_SECONDS):
        for group, message in messages.items():
            await layer.group_send(group, {"type": "review.changed", "message": message})


_announcer = Announcer()
