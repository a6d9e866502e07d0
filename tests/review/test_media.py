"""Originals by byte range, and previews made once in the sandbox."""

import io

import pytest
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import reverse
from PIL import Image

from kilinda.partners.models import User
from review.models import ReviewItem
from tests import factories


@pytest.fixture
def client(amina: User) -> Client:
    client = Client()
    client.force_login(amina)
    return client


def original(client: Client, item: ReviewItem, **headers: str) -> object:
    return client.get(reverse("review:media", args=[item.pk]), headers=headers)


def body(answer: object) -> bytes:
    return b"".join(answer.streaming_content)


@pytest.fixture
def sound(amina: User) -> tuple[ReviewItem, bytes]:
    item = factories.ItemFactory(audio=True)
    with default_storage.open(item.job.submission.media.storage_name) as file:
        return item, file.read()


def test_the_whole_original_comes_as_it_was_submitted(
    client: Client, sound: tuple[ReviewItem, bytes]
) -> None:
    item, content = sound

    answer = original(client, item)

    assert (answer.status_code, answer["Content-Type"]) == (200, "audio/wav")
    assert body(answer) == content
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"].startswith("sandbox")


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-99", 0, 100),
        ("bytes=100-", 100, None),
        ("bytes=-50", -50, None),
        ("bytes=0-99999999", 0, None),  # more than there is: up to the end
    ],
)
def test_a_range_is_answered_with_that_part(
    client: Client,
    sound: tuple[ReviewItem, bytes],
    asked: str,
    start: int,
    end: int | None,
) -> None:
    item, content = sound

    answer = original(client, item, Range=asked)

    part = body(answer)
    assert part == content[start:end]
    assert answer["Content-Length"] == str(len(part))
    if len(part) < len(content):
        assert answer.status_code == 206
        first = content.index(part) if start >= 0 else len(content) + start
        assert answer["Content-Range"] == f"bytes {first}-{first + len(part) - 1}/{len(content)}"


@pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=5-4", "bytes=-0"])
def test_a_range_outside_the_file_is_refused(
    client: Client, sound: tuple[ReviewItem, bytes], asked: str
) -> None:
    assert original(client, sound[0], Range=asked).status_code == 416


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "lines=1-2", "bytes=", "bytes=a-b", "x" * 9000])
def test_a_range_of_another_kind_gets_the_whole(
    client: Client, sound: tuple[ReviewItem, bytes], asked: str
) -> None:
    answer = original(client, sound[0], Range=asked)

    assert answer.status_code == 200
    assert body(answer) == sound[1]


def test_an_original_picture_is_only_ever_a_download(client: Client) -> None:
    answer = original(client, factories.ItemFactory(image=True))

    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"].startswith("attachment")
    body(answer)


def test_a_picture_is_shown_as_a_jpeg_of_our_own(client: Client) -> None:
    item = factories.ItemFactory(image=True)

    for name in ("picture", "thumbnail"):
        answer = client.get(reverse("review:picture", args=[item.pk, name]))
        assert answer["Content-Type"] == "image/jpeg"
        assert Image.open(io.BytesIO(answer.content)).size == (64, 48)


def test_a_recording_has_an_outline_and_a_duration(
    client: Client, sound: tuple[ReviewItem, bytes]
) -> None:
    found = client.get(reverse("review:manifest", args=[sound[0].pk])).json()

    assert found["duration_seconds"] == pytest.approx(1.0, abs=0.01)
    assert 100 < len(found["peaks"]) <= 600
    assert 0.2 < max(found["peaks"]) < 0.5


def test_a_video_has_frames_with_their_times(client: Client) -> None:
    item = factories.ItemFactory(video=True)

    found = client.get(reverse("review:manifest", args=[item.pk])).json()

    assert found["frames"] == sorted(found["frames"])
    last = len(found["frames"]) - 1
    assert last >= 1
    answer = client.get(reverse("review:picture", args=[item.pk, f"frame-{last}"]))
    assert Image.open(io.BytesIO(answer.content)).size == (96, 64)
    beyond = client.get(reverse("review:picture", args=[item.pk, f"frame-{last + 1}"]))
    assert beyond.status_code == 404


def test_previews_are_decoded_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    item = factories.ItemFactory(image=True)
    first = client.get(reverse("review:picture", args=[item.pk, "picture"])).content

    monkeypatch.setattr("review.previews._make", lambda media: pytest.fail("decoded again"))

    assert client.get(reverse("review:picture", args=[item.pk, "picture"])).content == first


def test_a_damaged_file_is_said_to_be_damaged(client: Client) -> None:
    broken = factories.media(factories.picture_bytes()[:60], "image/png", "image")
    item = factories.ItemFactory(
        result__job__submission__image=True, result__job__submission__media=broken
    )

    found = client.get(reverse("review:manifest", args=[item.pk])).json()

    assert found["failure"] == "The picture ends before all of its pixels are there."
    assert client.get(reverse("review:picture", args=[item.pk, "picture"])).status_code == 404


@pytest.mark.parametrize("name", ["media", "manifest"])
def test_media_of_foreign_items_is_missing(sound: tuple[ReviewItem, bytes], name: str) -> None:
    client = Client()
    client.force_login(factories.reviewer(organisation=factories.OrganisationFactory()))

    assert client.get(reverse(f"review:{name}", args=[sound[0].pk])).status_code == 404
    picture = reverse("review:picture", args=[sound[0].pk, "thumbnail"])
    assert client.get(picture).status_code == 404


def test_a_text_has_no_previews(client: Client, item: ReviewItem) -> None:
    assert client.get(reverse("review:manifest", args=[item.pk])).status_code == 404
