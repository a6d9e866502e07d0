"""The live connection of a review page: it hears that something changed and has no say."""

from __future__ import annotations

import asyncio
import contextlib
import json
from importlib import import_module
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest

from review import broadcast, history
from review.access import Access, access_of

RECHECK_SECONDS = 30.0
"""How long a closed account, a lost role or a logout may go unnoticed on an open connection."""
MOST_FRAME_BYTES = 1_024
MOST_FRAMES = 50
"""Pages send nothing; this many frames between two checks is a client gone wrong."""

NOT_SIGNED_IN, NO_ACCESS, TOO_BIG, TOO_MANY = 4401, 4403, 1009, 1008


class ReviewConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # untyped
    """Joins the groups the reviewer may see and forwards their messages."""

    _watch: asyncio.Task[None] | None = None
    _groups: frozenset[str] = frozenset()
    _frames = 0

    async def connect(self) -> None:
        """Accept first: a page can read why a connection was closed, not why it was refused."""
        await self.accept()
        access = await self._admit()
        if access is None:
            return
        # Joined before the number is read, so that no change falls between the two.
        seq = await database_sync_to_async(history.latest_seq)(access)
        await self._send(broadcast.Changed(type="changed", seq=seq))
        self._watch = asyncio.create_task(self._recheck())

    async def disconnect(self, code: int) -> None:
        """Leave the groups."""
        if self._watch is not None and self._watch is not asyncio.current_task():
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        await self._join(frozenset())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Pages only listen; an oversized or endless talker is cut off."""
        self._frames += 1
        if len(text_data or bytes_data or "") > MOST_FRAME_BYTES:
            await self.close(TOO_BIG)
        elif self._frames > MOST_FRAMES:
            await self.close(TOO_MANY)

    async def review_changed(self, event: dict[str, Any]) -> None:
        """Forward a message of the group."""
        await self._send(event["message"])

    async def _recheck(self) -> None:
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            self._frames = 0
            if await self._admit() is None:
                return

    async def _admit(self) -> Access | None:
        """Join what the session's user may see now, or close and return None."""
        signed_in: bool
        access: Access | None
        signed_in, access = await database_sync_to_async(_current_access)(
            self.scope["session"].session_key
        )
        if access is None:
            await self._join(frozenset())
            await self.close(NO_ACCESS if signed_in else NOT_SIGNED_IN)
            return None
        await self._join(broadcast.groups_of(access))
        return access

    async def _join(self, wanted: frozenset[str]) -> None:
        for group in self._groups - wanted:
            await self.channel_layer.group_discard(group, self.channel_name)
        for group in wanted - self._groups:
            await self.channel_layer.group_add(group, self.channel_name)
        self._groups = wanted

    async def _send(self, message: broadcast.Changed) -> None:
        await self.send(text_data=json.dumps(message))


def _current_access(session_key: str | None) -> tuple[bool, Access | None]:
    """Return whether the session is still signed in, and its access, both read anew."""
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(request)
    return user.is_authenticated, access_of(user)
