"""The live connection, on the real Redis channel layer."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import import_module

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings as django_settings
from django.db import connections
from django.test import Client

from kilinda.asgi import application
from kilinda.partners.models import Member, User
from review import claims, consumers
from review.models import ItemChange, ReviewItem
from review.routing import open_items
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

HERE = (b"origin", b"http://localhost")


def connection(user: User | None, *, origin: tuple[bytes, bytes] = HERE) -> WebsocketCommunicator:
    headers = [origin, (b"host", b"localhost")]
    if user is not None:
        client = Client()
        client.force_login(user)
        cookie = client.cookies[django_settings.SESSION_COOKIE_NAME].value
        headers.append((b"cookie", f"{django_settings.SESSION_COOKIE_NAME}={cookie}".encode()))
    return WebsocketCommunicator(application, "/ws/review/", headers=headers)


async def connected(user: User) -> WebsocketCommunicator:
    """Connect and take the first message, which says where the queue stands."""
    socket = await sync_to_async(connection)(user)
    assert (await socket.connect())[0]
    assert (await socket.receive_json_from())["type"] == "changed"
    return socket


async def closing_code(socket: WebsocketCommunicator) -> int:
    sent = await socket.receive_output(timeout=5)
    while sent["type"] != "websocket.close":
        sent = await socket.receive_output(timeout=5)
    return sent["code"]


made = sync_to_async


@pytest.fixture(autouse=True)
async def no_session_left_open() -> AsyncIterator[None]:
    """Close what the thread beside the event loop opened; it would keep the database in use."""
    yield
    await sync_to_async(connections.close_all)()


async def test_a_connection_begins_with_the_number_of_the_last_change() -> None:
    amina = await made(factories.reviewer)()
    item = await made(factories.ItemFactory)()
    await made(claims.claim)(item_id=item.pk, reviewer=amina)

    socket = await made(connection)(amina)
    await socket.connect()

    last = await ItemChange.objects.alatest("id")
    assert await socket.receive_json_from() == {"type": "changed", "seq": last.pk}
    await socket.disconnect()


async def test_everyone_who_may_see_an_item_hears_of_its_claim_and_nobody_else() -> None:
    item = await made(factories.ItemFactory)()
    amina = await made(factories.reviewer)()
    own = await made(lambda: factories.reviewer(organisation=item.organisation))()
    stranger = await made(
        lambda: factories.reviewer(organisation=factories.OrganisationFactory())
    )()
    sockets = [await connected(user) for user in (amina, own, stranger)]

    await made(claims.claim)(item_id=item.pk, reviewer=amina)

    change = await ItemChange.objects.aget()
    expected = {"type": "changed", "seq": change.pk, "item": str(item.pk)}
    for socket in sockets[:2]:
        assert await socket.receive_json_from(timeout=5) == expected
    assert await sockets[2].receive_nothing(timeout=0.3)
    for socket in sockets:
        await socket.disconnect()


async def test_a_batch_of_new_items_is_one_message() -> None:
    amina = await made(factories.reviewer)()
    results = await made(lambda: [factories.ResultFactory() for _ in range(5)])()
    socket = await connected(amina)

    await made(open_items)(results=[factories.completed(each) for each in results])

    assert await ReviewItem.objects.acount() == 5
    message = await socket.receive_json_from(timeout=5)
    assert message == {"type": "changed", "seq": (await ItemChange.objects.alatest("id")).pk}
    assert await socket.receive_nothing(timeout=0.3)
    await socket.disconnect()


async def test_without_a_session_the_connection_is_closed_with_4401() -> None:
    socket = connection(None)
    await socket.connect()

    assert await closing_code(socket) == 4401


async def test_without_a_reviewing_role_the_connection_is_closed_with_4403() -> None:
    member = await made(factories.MemberFactory)(role="partner")
    socket = await made(connection)(member.user)
    await socket.connect()

    assert await closing_code(socket) == 4403


@pytest.mark.parametrize("origin", [(b"origin", b"https://evil.example"), (b"x-other", b"1")])
async def test_a_foreign_or_missing_origin_is_refused(origin: tuple[bytes, bytes]) -> None:
    amina = await made(factories.reviewer)()
    socket = await made(connection)(amina, origin=origin)

    assert (await socket.connect())[0] is False


async def _take_role(user: User) -> None:
    await Member.objects.filter(user=user).adelete()


async def _deactivate(user: User) -> None:
    await User.objects.filter(pk=user.pk).aupdate(is_active=False)


async def _log_out(user: User) -> None:
    sessions = import_module(django_settings.SESSION_ENGINE).SessionStore
    await sessions.get_model_class().objects.all().adelete()


@pytest.mark.parametrize(
    ("lose", "code"), [(_take_role, 4403), (_deactivate, 4401), (_log_out, 4401)]
)
async def test_a_lost_right_closes_the_open_connection(
    monkeypatch: pytest.MonkeyPatch, lose: Callable[[User], Awaitable[None]], code: int
) -> None:
    monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0.05)
    amina = await made(factories.reviewer)()
    socket = await connected(amina)

    await lose(amina)

    assert await closing_code(socket) == code


def test_rights_are_checked_again_at_least_once_a_minute() -> None:
    assert consumers.RECHECK_SECONDS <= 60


async def test_an_oversized_frame_closes_the_connection() -> None:
    socket = await connected(await made(factories.reviewer)())

    await socket.send_to(text_data="x" * 2_000)

    assert await closing_code(socket) == 1009


async def test_an_endless_talker_is_cut_off() -> None:
    socket = await connected(await made(factories.reviewer)())

    for _ in range(consumers.MOST_FRAMES + 1):
        await socket.send_to(bytes_data=b"?")

    assert await closing_code(socket) == 1008


async def test_small_nonsense_is_ignored() -> None:
    socket = await connected(await made(factories.reviewer)())

    await socket.send_to(text_data=json.dumps({"type": "subscribe", "group": "everything"}))
    await socket.send_to(text_data="{not json")

    assert await socket.receive_nothing(timeout=0.2)
    await socket.disconnect()


async def test_a_claim_succeeds_while_the_broker_is_gone(
    settings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> object:
        class Layer:
            async def group_send(self, *_: object) -> None:
                await asyncio.sleep(60)

        return Layer()

    monkeypatch.setattr("review.broadcast.get_channel_layer", gone)
    monkeypatch.setattr("review.broadcast._PATIENCE_SECONDS", 0.05)
    amina = await made(factories.reviewer)()
    item = await made(factories.ItemFactory)()

    claimed = await made(claims.claim)(item_id=item.pk, reviewer=amina)

    assert claimed.status == ReviewItem.Status.CLAIMED
