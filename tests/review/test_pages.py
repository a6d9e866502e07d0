"""The reviewers' pages: who gets in, what they show, what each button leaves behind."""

import re
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from kilinda.partners.models import Role, User
from review import claims, decisions, selectors
from review.models import Decision, ReviewItem, Verdict
from tests import factories

Status = ReviewItem.Status
HTMX = {"headers": {"HX-Request": "true"}}


def signed_in(user: User, **options: object) -> Client:
    client = Client(**options)
    client.force_login(user)
    return client


def at(name: str, item: ReviewItem, *more: str) -> str:
    return reverse(f"review:{name}", args=[item.pk, *more])


EVERY_READ = ["item", "panel", "media"]
EVERY_WRITE = ["claim", "renew", "release", "decide", "undo", "escalate"]


# --- Who gets in ---


@pytest.mark.parametrize("name", EVERY_READ + EVERY_WRITE)
def test_a_foreign_item_is_as_missing_as_one_that_never_was(item: ReviewItem, name: str) -> None:
    client = signed_in(factories.reviewer(organisation=factories.OrganisationFactory()))
    call = client.post if name in EVERY_WRITE else client.get

    foreign = call(at(name, item))
    missing = call(reverse(f"review:{name}", args=[uuid4()]))

    assert foreign.status_code == missing.status_code == 404


@pytest.mark.parametrize("name", EVERY_READ + EVERY_WRITE)
def test_a_partner_member_is_refused_everywhere(item: ReviewItem, name: str) -> None:
    member = factories.MemberFactory(organisation=item.organisation, role=Role.PARTNER)
    client = signed_in(member.user)
    call = client.post if name in EVERY_WRITE else client.get

    assert call(at(name, item)).status_code == 403
    assert client.get(reverse("review:queue")).status_code == 403


def test_strangers_are_asked_to_sign_in(item: ReviewItem) -> None:
    answer = Client().get(at("item", item))

    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("login"))


@pytest.mark.parametrize("name", EVERY_WRITE)
def test_nothing_is_changed_by_a_get_or_without_a_csrf_token(
    claimed: ReviewItem, amina: User, name: str
) -> None:
    assert signed_in(amina).get(at(name, claimed)).status_code == 405
    strict = signed_in(amina, enforce_csrf_checks=True)
    assert strict.post(at(name, claimed)).status_code == 403


def test_pages_load_nothing_from_elsewhere_and_run_nothing_inline(
    item: ReviewItem, amina: User
) -> None:
    answer = signed_in(amina).get(at("item", item))

    policy = answer["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "<script>" not in answer.text
    assert "style=" not in answer.text


# --- The queue ---


def test_the_queue_shows_what_waits_and_who_holds_it(
    claimed: ReviewItem, amina: User, brian: User
) -> None:
    other = factories.ItemFactory()

    shown = signed_in(brian).get(reverse("review:queue")).text

    assert claimed.job.submission.text in shown
    assert other.job.submission.text in shown
    assert "amina" in shown


def test_an_empty_queue_says_so(amina: User) -> None:
    assert "All caught up" in signed_in(amina).get(reverse("review:queue")).text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("modality=image", {"image"}),
        ("modality=text", {"text"}),
        ("risk=high", {"text", "image"}),
        ("risk=critical", set()),
        ("language=EN", {"text", "image"}),
        ("language=sw", set()),
        ("modality=image&risk=high&language=en", {"image"}),
    ],
)
def test_filters_keep_what_matches_all_of_them(amina: User, query: str, expected: set[str]) -> None:
    factories.ItemFactory()
    factories.ItemFactory(image=True)

    page = signed_in(amina).get(f"{reverse('review:queue')}?{query}").context["page"]

    assert {item.result.content_type for item in page.items} == expected


@pytest.mark.parametrize("query", ["tab=all", "modality=smell", "after=1", "risk=%00"])
def test_made_up_filters_are_a_bad_request(amina: User, query: str) -> None:
    answer = signed_in(amina, raise_request_exception=False).get(
        f"{reverse('review:queue')}?{query}"
    )

    assert answer.status_code == 400


def test_pages_follow_each_other_without_gap_or_repetition(
    amina: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "PAGE_SIZE", 3)
    organisation = factories.OrganisationFactory()
    for number in range(8):
        factories.ItemFactory(
            result__job__submission__organisation=organisation,
            priority=number % 2,
            severity=50 + number % 3,
        )
    client = signed_in(amina)
    seen, query = [], ""
    while query is not None:
        context = client.get(f"{reverse('review:queue')}?{query}").context
        seen += [item.pk for item in context["page"].items]
        query = context["next_query"] or None

    waiting = ReviewItem.objects.order_by("priority", "-severity", "submitted_at", "id")
    assert seen == [item.pk for item in waiting]


def test_decided_items_page_newest_first(amina: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selectors, "PAGE_SIZE", 2)
    for _ in range(5):
        item = claims.claim(item_id=factories.ItemFactory().pk, reviewer=amina)
        decisions.decide(
            item_id=item.pk, lease_token=item.lease_token, reviewer=amina, verdict=Verdict.SATIRE
        )
    client = signed_in(amina)
    seen, query = [], "tab=decided"
    while query is not None:
        context = client.get(f"{reverse('review:queue')}?{query}").context
        seen += [item.pk for item in context["page"].items]
        query = context["next_query"] or None

    assert seen == list(
        ReviewItem.objects.order_by("-reviewed_at", "-id").values_list("pk", flat=True)
    )


def test_only_senior_reviewers_have_a_tab_of_escalated_items(amina: User, senior: User) -> None:
    assert "tab=escalated" not in signed_in(amina).get(reverse("review:queue")).text
    assert "tab=escalated" in signed_in(senior).get(reverse("review:queue")).text


def test_the_queue_takes_few_queries_however_long_it_is(
    amina: User, django_assert_max_num_queries: object
) -> None:
    client = signed_in(amina)
    for _ in range(15):
        factories.ItemFactory()

    with django_assert_max_num_queries(11):
        client.get(reverse("review:queue"))


def test_claim_next_opens_the_claimed_item_or_says_that_none_is_left(
    item: ReviewItem, amina: User
) -> None:
    client = signed_in(amina)

    first = client.post(reverse("review:claim-next"))
    assert first["Location"] == at("item", item)
    second = client.post(reverse("review:claim-next"), follow=True)
    assert "Nothing is waiting" in second.text


def test_htmx_gets_the_list_alone(item: ReviewItem, amina: User) -> None:
    answer = signed_in(amina).get(reverse("review:queue"), **HTMX)

    assert answer.text.lstrip().startswith("<section")


# --- The item ---


@pytest.mark.parametrize(
    ("kind", "marks"),
    [
        ("text", ["You people are vermin"]),
        ("audio", ["<audio", "wave"]),
        ("image", ["zoom", "blurred", "preview/picture.jpg"]),
        ("video", ["<video", "blurred"]),
    ],
)
def test_each_kind_of_content_has_its_page(amina: User, kind: str, marks: list[str]) -> None:
    item = factories.ItemFactory(**({} if kind == "text" else {kind: True}))

    shown = signed_in(amina).get(at("item", item)).text

    for mark in [*marks, "91.5", "synthetic" if kind != "text" else "abusive-text", "1.0.0"]:
        assert mark in shown


def test_every_page_shows_a_score_with_the_two_decimals_it_is_stored_with(amina: User) -> None:
    item = factories.ItemFactory(result=factories.ResultFactory(percent=Decimal("79.05")))

    for page in (at("item", item), reverse("review:queue")):
        shown = re.findall(r"[0-9.]+ %", signed_in(amina).get(page).text)
        assert "79.05 %" in shown
        assert all(re.fullmatch(r"[0-9]+\.[0-9]{2} %", each) for each in shown), shown


def test_an_abstention_is_shown_with_its_reason(amina: User) -> None:
    item = factories.ItemFactory(
        result=factories.ResultFactory(percent=None), reason=ReviewItem.Reason.NOT_JUDGED
    )

    shown = signed_in(amina).get(at("item", item)).text

    assert "not judged" in shown
    assert "Shorter than the limit of 3 seconds." in shown


def test_hostile_content_is_shown_as_text(amina: User) -> None:
    attack = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    item = factories.ItemFactory(
        result__job__submission__text=attack,
        result__job__submission__metadata={attack: attack},
        result__findings=[{"severity": "high", "message": attack}],
    )

    for page in (at("item", item), reverse("review:queue")):
        shown = signed_in(amina).get(page).text
        assert "<script>alert" not in shown
        assert "<img src=x" not in shown
        assert "&lt;script&gt;alert" in shown


def test_a_very_long_text_is_cut_and_can_be_downloaded(amina: User) -> None:
    text = "neno " * 40_000
    item = factories.ItemFactory(result__job__submission__text=text)
    client = signed_in(amina)

    page = client.get(at("item", item))
    assert "only the beginning is shown" in page.text
    assert len(page.content) < 150_000
    whole = client.get(at("media", item))
    assert whole.text == text
    assert whole["Content-Disposition"].startswith("attachment")


# --- Working on it ---


def send(client: Client, name: str, item: ReviewItem, **given: str) -> object:
    given = {"lease_token": str(item.lease_token)} | given
    return client.post(at(name, item), given, **HTMX)


def test_a_whole_review_by_way_of_the_page(item: ReviewItem, amina: User) -> None:
    client = signed_in(amina)

    assert 'id="decision"' in client.post(at("claim", item), **HTMX).text
    item.refresh_from_db()
    decided = send(client, "decide", item, verdict="abusive", note="Vermin.")
    assert "Undo" in decided.text
    undone = client.post(at("undo", item), **HTMX)
    assert "Vermin." in undone.text
    assert 'value="abusive" data-digit="1" checked' in undone.text
    item.refresh_from_db()
    send(client, "decide", item, verdict="satire", note="")
    item.refresh_from_db()
    assert (item.status, item.expert_decision) == (Status.DECIDED, "satire")


def test_without_scripts_the_same_buttons_work(item: ReviewItem, amina: User) -> None:
    client = signed_in(amina)

    page = client.post(at("claim", item), follow=True)
    assert 'id="decision"' in page.text
    item.refresh_from_db()
    page = client.post(
        at("decide", item), {"lease_token": item.lease_token, "verdict": "satire"}, follow=True
    )
    assert "Satire" in page.text


def test_a_decision_after_the_lease_ended_is_a_conflict_and_keeps_the_draft(
    claimed: ReviewItem, amina: User
) -> None:
    ReviewItem.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    claims.expire()

    answer = send(signed_in(amina), "decide", claimed, verdict="abusive", note="My long draft.")

    assert answer.status_code == 409
    assert "My long draft." in answer.text
    assert "Your claim ran out" in answer.text
    assert not Decision.objects.exists()


def test_the_page_learns_that_its_claim_was_lost_to_somebody_else(
    claimed: ReviewItem, amina: User, brian: User
) -> None:
    ReviewItem.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    claims.expire()
    claims.claim(item_id=claimed.pk, reviewer=brian)

    answer = signed_in(amina).get(at("panel", claimed), {"lease_token": claimed.lease_token})

    assert "Your claim ran out" in answer.text
    assert "brian" in answer.text


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "Choose a verdict."),
        ({"verdict": "nonsense"}, "nonsense"),
        ({"verdict": "satire", "note": "x" * 10_001}, "10000"),
        ({"verdict": "satire", "note": "nul\0"}, "Null characters"),
    ],
)
def test_an_incomplete_decision_is_refused_in_words(
    claimed: ReviewItem, amina: User, given: dict[str, str], says: str
) -> None:
    answer = send(signed_in(amina), "decide", claimed, **given)

    assert answer.status_code == 422
    assert says in answer.text
    assert not Decision.objects.exists()


def test_claiming_what_another_holds_says_who(claimed: ReviewItem, brian: User) -> None:
    answer = signed_in(brian).post(at("claim", claimed), **HTMX)

    assert answer.status_code == 409
    assert "amina" in answer.text


def test_escalation_needs_a_note_and_then_waits_for_a_senior_reviewer(
    claimed: ReviewItem, amina: User, senior: User
) -> None:
    client = signed_in(amina)

    assert send(client, "escalate", claimed, note=" ").status_code == 422
    shown = send(client, "escalate", claimed, note="Sheng I do not know.").text
    assert "Sheng I do not know." in shown
    assert 'id="claim"' not in shown
    assert 'id="claim"' in signed_in(senior).get(at("item", claimed)).text


def test_renewing_keeps_the_claim_and_a_lost_one_is_a_conflict(
    claimed: ReviewItem, amina: User
) -> None:
    client = signed_in(amina)

    assert send(client, "renew", claimed).json()["seconds"] > 800
    assert send(client, "renew", claimed, lease_token=str(uuid4())).status_code == 409
    assert send(client, "renew", claimed, lease_token="x").status_code == 400


def test_giving_back_returns_to_the_queue(claimed: ReviewItem, amina: User) -> None:
    answer = send(signed_in(amina), "release", claimed)

    assert answer["HX-Redirect"] == reverse("review:queue")
    claimed.refresh_from_db()
    assert claimed.status == Status.OPEN


def test_undo_too_late_says_so(claimed: ReviewItem, amina: User) -> None:
    client = signed_in(amina)
    send(client, "decide", claimed, verdict="abusive")
    ReviewItem.objects.update(final_after=timezone.now())

    answer = client.post(at("undo", claimed), **HTMX)

    assert answer.status_code == 409
    assert "has passed" in answer.text


def test_missing_pages_have_a_page(amina: User) -> None:
    answer = signed_in(amina).get("/nothing/here")

    assert answer.status_code == 404
    assert "Nothing here" in answer.text


def test_the_sign_in_page_tells_of_a_wrong_password(amina: User) -> None:
    assert "Sign in" in Client().get(reverse("login")).text
    answer = Client().post(reverse("login"), {"username": "amina", "password": "wrong"})
    assert 'role="alert"' in answer.text
