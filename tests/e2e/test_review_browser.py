"""Two reviewers in two real browsers on one live server: what one does, the other sees."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TypeVar

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect, sync_playwright

from inference_worker.drawing.values import Plot
from kilinda.partners.models import User
from review import history, tasks
from review.models import Decision, ItemChange, ReviewItem, Verdict
from review.routing import open_items
from tests import factories
from tests.review.explained import draw, word_evidence

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
START_SECONDS = 60

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH"),
]


T = TypeVar("T")


def apart(work: Callable[[], T]) -> T:
    """Use the database in another thread: in this one Playwright keeps an event loop running."""

    def use() -> T:
        try:
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(use).result()


@pytest.fixture
def server(tmp_path: object) -> Iterator[str]:
    """Run daphne on the test database; yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "daphne", "-p", str(port), "kilinda.asgi:application"],
        env=os.environ | {"DATABASE_URL": _test_database_url()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until(lambda: _answers(port), process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()  # asked politely, daphne may wait for open connections past any limit
        process.wait()


def _test_database_url() -> str:
    database = connection.settings_dict
    credentials = f"{database['USER']}:{database['PASSWORD']}"
    return f"postgresql://{credentials}@{database['HOST']}:{database['PORT']}/{database['NAME']}"


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _wait_until(holds: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not holds():
        assert process.poll() is None, "the server ended"
        assert time.monotonic() < deadline, "the server did not start in time"
        time.sleep(0.05)


@pytest.fixture
def browser() -> Iterator[Browser]:
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


def desk(browser: Browser, server: str, user: User) -> Page:
    """Return the queue page in a browser of its own, signed in and connected."""
    client = Client()
    apart(lambda: client.force_login(user))
    name = django_settings.SESSION_COOKIE_NAME
    context = browser.new_context()
    context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": server}])
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"a script failed: {error}"))
    page.goto(f"{server}/review/")
    expect(page.locator("#connection")).to_have_text("Live")
    return page


def pass_time(field: str) -> None:
    """Let the time in `field` of every item lie behind us, and tidy as the schedule does."""
    ReviewItem.objects.update(**{field: timezone.now() - timedelta(seconds=1)})
    tasks.tidy()


def test_two_reviewers_see_each_others_work_without_reloading(
    browser: Browser, server: str
) -> None:
    amina, brian = apart(lambda: [factories.reviewer(username=name) for name in ("amina", "brian")])
    hers, his = desk(browser, server, amina), desk(browser, server, brian)
    expect(hers.get_by_text("All caught up")).to_be_visible()

    # A new item appears on both desks by itself.
    text = "They are vermin, all of them."
    result = apart(lambda: factories.ResultFactory(job__submission__text=text))
    apart(lambda: open_items(results=[factories.completed(result)]))
    for page in (hers, his):
        expect(page.get_by_text("They are vermin")).to_be_visible()

    # Amina claims it with a key; Brian sees who has it, in the list and on its page.
    hers.keyboard.press("c")
    expect(hers.locator("#decision")).to_be_visible()
    expect(his.locator(".badge.busy")).to_have_text("amina")
    his.locator(".cover").click()
    expect(his.locator("#taken")).to_contain_text("amina")

    # She decides by keyboard: verdict, note, submit.
    hers.keyboard.press("1")
    hers.keyboard.press("n")
    hers.keyboard.type("Calls people vermin.")
    hers.keyboard.press("Control+Enter")
    expect(hers.locator("#undo")).to_be_visible()
    expect(his.locator(".verdict-made")).to_contain_text("Abusive")

    # She thinks again: undo, and her draft is still there.
    hers.keyboard.press("u")
    expect(hers.locator("#note")).to_have_value("Calls people vermin.")
    expect(his.locator("#taken")).to_contain_text("amina")
    hers.keyboard.press("6")
    hers.keyboard.press("Control+Enter")
    expect(his.locator(".verdict-made")).to_contain_text("Satire")

    # The time to undo passes: final on both desks, and the partner can read it.
    apart(lambda: pass_time("final_after"))
    for page in (hers, his):
        expect(page.locator("#final")).to_be_visible()
    apart(result.refresh_from_db)
    assert result.verdict == Verdict.SATIRE
    decisions = apart(lambda: list(Decision.objects.order_by("created_at")))
    assert [each.is_withdrawal for each in decisions] == [False, True, False]


def test_a_claim_that_ran_out_is_told_at_once_and_the_draft_is_kept(
    browser: Browser, server: str
) -> None:
    item = apart(factories.ItemFactory)
    page = desk(browser, server, apart(factories.reviewer))
    page.keyboard.press("c")
    page.locator("#note").fill("Half a thought")

    apart(lambda: pass_time("lease_until"))

    expect(page.locator("#lost")).to_be_visible()
    expect(page.locator("#note")).to_have_value("Half a thought")
    page.keyboard.press("c")
    expect(page.locator("#decision #note")).to_have_value("Half a thought")
    apart(item.refresh_from_db)
    assert item.status == ReviewItem.Status.CLAIMED


def test_a_lost_connection_is_shown_and_what_was_missed_is_fetched(
    browser: Browser, server: str
) -> None:
    page = desk(browser, server, apart(factories.reviewer))
    page.context.set_offline(True)
    page.evaluate("window.dispatchEvent(new Event('offline'))")
    expect(page.locator("#connection")).to_contain_text("lost")

    item = apart(factories.ItemFactory)
    opened = ItemChange(item=item, kind=ItemChange.Kind.OPENED)
    apart(lambda: history.record([opened]))
    page.context.set_offline(False)

    expect(page.get_by_text(item.job.submission.text)).to_be_visible(timeout=30_000)
    expect(page.locator("#connection")).to_have_text("Live")


def test_media_is_blurred_until_it_is_revealed(browser: Browser, server: str) -> None:
    item = apart(lambda: factories.ItemFactory(image=True))
    page = desk(browser, server, apart(factories.reviewer))
    page.goto(f"{server}/review/items/{item.pk}/")
    picture = page.locator("#zoom img")

    expect(picture).to_have_css("filter", "blur(18px) grayscale(0.6)")
    page.keyboard.press("r")
    expect(picture).to_have_css("filter", "none")


def explain(item: ReviewItem) -> None:
    words = [{"start": 0, "end": 4, "weight": 0.5}, {"start": 9, "end": 15, "weight": 2.0}]
    item.result.scores.update(evidence=word_evidence(words, end=16))


def text_with_a_segment() -> ReviewItem:
    result = factories.ResultFactory(job__submission__text="They are vermin.", scores=[])
    segments = [{"start": 0, "end": 16, "probability": 0.97}]
    factories.DetectorScoreFactory(result=result, segments=segments)
    return factories.ItemFactory(result=result)


def test_words_are_marked_as_soon_as_they_were_weighed(browser: Browser, server: str) -> None:
    item = apart(text_with_a_segment)
    page = desk(browser, server, apart(factories.reviewer))
    page.keyboard.press("c")
    expect(page.locator("#lease-left")).to_have_text("14:57", timeout=10_000)
    expect(page.locator("#text mark")).to_have_class("level-critical")

    apart(lambda: explain(item))

    expect(page.locator("#text mark")).to_have_text(["They", "vermin"])
    expect(page.locator("#text .strength-3")).to_have_text("vermin")
    expect(page.locator("#words")).to_contain_text("raises the score most")
    expect(page.locator(".weights th[scope=row]").first).to_have_text("vermin")
    assert page.locator("#lease-left").inner_text() <= "14:57"  # the update left the clock alone


def eventually(page: Page, fact: str) -> None:
    """Wait for a fact about the page; wait_for_function would need eval, which the page forbids."""
    deadline = time.monotonic() + 10
    while not page.evaluate(fact):
        assert time.monotonic() < deadline, f"never became true: {fact}"
        page.wait_for_timeout(20)


def recording_with_a_suspicious_part() -> ReviewItem:
    result = factories.ResultFactory(job__submission__audio=True, scores=[])
    factories.DetectorScoreFactory(
        result=result, segments=[{"start": 0.5, "end": 0.8, "probability": 0.97}]
    )
    return factories.ItemFactory(result=result)


def test_a_suspicious_part_of_a_recording_plays_when_pressed(browser: Browser, server: str) -> None:
    item = apart(recording_with_a_suspicious_part)
    page = desk(browser, server, apart(factories.reviewer))
    page.goto(f"{server}/review/items/{item.pk}/")

    expect(page.locator("#wave")).to_be_visible()
    page.keyboard.press("s")

    eventually(page, "document.getElementById('player').currentTime >= 0.8")
    eventually(page, "document.getElementById('player').paused")
    assert page.evaluate("document.getElementById('player').currentTime") < 1


def drawn(item: ReviewItem, *names: str, plot: Plot | None = None) -> None:
    draw(item.result.scores.get(), *names, plot=plot)


def test_evidence_appears_by_itself_and_keeps_to_the_blur(browser: Browser, server: str) -> None:
    item = apart(lambda: factories.ItemFactory(image=True))
    page = desk(browser, server, apart(factories.reviewer))
    page.goto(f"{server}/review/items/{item.pk}/")
    expect(page.locator(".skeleton")).to_be_visible()

    apart(lambda: drawn(item, "picture", "heatmap", "noise"))

    shown = page.locator("figure:visible img")
    expect(shown).to_have_attribute("alt", "The heatmap: 42 percent.")
    expect(shown).to_have_css("filter", "blur(22px) grayscale(0.6)")
    page.keyboard.press("r")
    expect(shown).to_have_css("filter", "none")
    page.keyboard.press("h")
    expect(shown).to_have_attribute("alt", "The noise: 42 percent.")
    expect(shown).to_have_css("filter", "none")
    page.get_by_role("button", name="Picture", exact=True).click()
    expect(shown).to_have_attribute("alt", "The picture: 42 percent.")


def test_a_revealed_page_shows_late_evidence_revealed(browser: Browser, server: str) -> None:
    item = apart(lambda: factories.ItemFactory(image=True))
    page = desk(browser, server, apart(factories.reviewer))
    page.goto(f"{server}/review/items/{item.pk}/")
    page.keyboard.press("r")

    apart(lambda: drawn(item, "heatmap"))

    expect(page.locator("figure img")).to_have_css("filter", "none")


def test_a_click_on_the_spectrogram_seeks(browser: Browser, server: str) -> None:
    item = apart(lambda: factories.ItemFactory(audio=True))  # of one second
    plot = Plot(left=0.1, right=0.9, top=0.2, bottom=0.8, start=0.0, end=1.0)
    apart(lambda: drawn(item, "seconds", plot=plot))
    page = desk(browser, server, apart(factories.reviewer))
    page.goto(f"{server}/review/items/{item.pk}/")
    paper = page.locator(".paper")
    paper.scroll_into_view_if_needed()
    eventually(page, "document.getElementById('player').readyState > 0")
    box = paper.bounding_box()
    assert box is not None

    paper.click(position={"x": 0.7 * box["width"], "y": 20})

    eventually(page, "document.getElementById('player').currentTime >= 0.75")
    expect(page.locator(".paper .cursor")).to_be_visible()


def test_failed_evidence_says_why_and_is_tried_again(browser: Browser, server: str) -> None:
    item = apart(lambda: factories.ItemFactory(image=True))
    failed = {"state": "failed", "failure": "Its version is gone."}
    apart(lambda: item.result.scores.update(evidence=failed))
    page = desk(browser, server, apart(factories.reviewer))
    page.goto(f"{server}/review/items/{item.pk}/")
    expect(page.get_by_text("Its version is gone.")).to_be_visible()

    page.get_by_role("button", name="Try again").click()

    expect(page.locator(".skeleton")).to_be_visible()
