import re
from decimal import Decimal

import pytest
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
)

from detection import policies
from detection.models import AnalysisJob, ContentType, Policy
from kilinda.audit import log
from kilinda.audit.models import AuditEntry
from kilinda.partners import events, keys
from kilinda.partners.models import APIKey, Member, Role, User
from review.models import Decision, Verdict
from scans.models import SocialMediaScan
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def superuser() -> User:
    return factories.UserFactory(is_staff=True, is_superuser=True)


@pytest.fixture
def office(superuser) -> Client:
    client = Client()
    client.force_login(superuser)
    return client


@pytest.fixture
def everything(settings, tmp_path, superuser) -> None:
    """At least one row of every model that has a page."""
    settings.MEDIA_ROOT = tmp_path
    for kind in ({}, {"audio": True}, {"image": True}, {"video": True}):
        item = factories.ItemFactory(**kind)
    Decision.objects.create(item=item, reviewer=superuser, verdict=Verdict.SYNTHETIC)
    factories.ResultFactory(percent=None)
    factories.JobFactory(submission__web=True)
    key, _ = factories.api_key(organisation=item.organisation)
    events.append([events.NewEvent(key.organisation_id, "analysis.completed", item.id)])
    log.record([log.Act("system", "test.done", "job", str(item.job_id))])
    SocialMediaScan.objects.create(platform="reddit", post_id="t3_1")
    policies.draft_from(policy=Policy.objects.get(), actor=superuser)
    factories.ModelVersionFactory()
    interval = IntervalSchedule.objects.create(every=5, period=IntervalSchedule.SECONDS)
    PeriodicTask.objects.create(name="sweep", task="detection.tasks.sweep", interval=interval)
    CrontabSchedule.objects.create()
    ClockedSchedule.objects.create(clocked_time="2027-08-10T06:00Z")


def pages() -> list[str]:
    """Name every registered model as app_model."""
    return [f"{model._meta.app_label}_{model._meta.model_name}" for model in admin.site._registry]


def changelist(name: str) -> str:
    return reverse(f"admin:{name}_changelist")


def change(row) -> str:
    meta = row._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])


def act(client: Client, row, action: str) -> str:
    """Press an act's button on a row's page; return what the office said."""
    meta = row._meta
    response = client.post(
        changelist(f"{meta.app_label}_{meta.model_name}"),
        {"action": action, "_selected_action": row.pk},
        follow=True,
    )
    assert response.status_code == 200
    return " ".join(str(message) for message in response.context["messages"])


# --- Every page opens ----------------------------------------------------------------------------


def test_every_page_opens(office, everything):
    assert office.get(reverse("admin:index")).status_code == 200
    for model in admin.site._registry:
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        rows = list(model.objects.all())
        assert rows, f"no row of {name} to open"
        assert office.get(changelist(name)).status_code == 200, name
        for row in rows:
            assert office.get(change(row)).status_code == 200, change(row)
            assert office.get(change(row).replace("change", "history")).status_code == 200
        added = office.get(reverse(f"admin:{name}_add")).status_code
        may_add = admin.site._registry[model].has_add_permission(added_by(office))
        assert added == (200 if may_add else 403), name


def added_by(client: Client):
    """Return a request of the signed-in person, to ask a page about permissions."""
    request = client.get(reverse("admin:index")).wsgi_request
    request.user = User.objects.get(pk=client.session["_auth_user_id"])
    return request


def test_every_page_can_be_searched_with_anything(office, everything):
    for name in pages():
        for term in ("habari", "%00'\"", "019a0000-0000-7000-8000-000000000000", "🙂"):
            assert office.get(changelist(name), {"q": term}).status_code == 200, name


def test_every_page_can_be_filtered(office, everything):
    for model, page in admin.site._registry.items():
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        for entry in page.list_filter:
            field = entry[0] if isinstance(entry, tuple) else entry
            query = {f"{field}_from_0": "2026-01-01"} if isinstance(entry, tuple) else {}
            assert office.get(changelist(name), query).status_code == 200, name


def test_the_sidebar_leads_only_to_pages_that_open(office, everything):
    index = office.get(reverse("admin:index")).content.decode()
    links = set(re.findall(r'href="(/admin/[a-z_]+/[a-z]+/)"', index))
    assert len(links) >= len(pages()) - 1
    for link in links:
        assert office.get(link).status_code == 200


def test_the_first_page_counts_what_waits_and_what_broke(office, everything):
    factories.JobFactory(
        state=AnalysisJob.State.FAILED, failure_code="undecodable", finished_at=Now()
    )
    cards = office.get(reverse("admin:index")).context["cards"]
    assert [(card["title"], card["value"]) for card in cards] == [
        ("Jobs queued", 1),
        ("Jobs failed or dead", 1),
        ("Review items open", 4),
        ("Policy in force", "Version 1"),
    ]
    listed = office.get(cards[1]["link"]).context["cl"].result_list
    assert [job.state for job in listed] == [AnalysisJob.State.FAILED]


# --- Who may enter -------------------------------------------------------------------------------


def person(role: Role, *, operator: bool = True, staff: bool = True) -> Client:
    place = factories.operator() if operator else factories.OrganisationFactory()
    user = factories.UserFactory(is_staff=staff)
    Member.objects.create(user=user, organisation=place, role=role)
    client = Client()
    client.force_login(user)
    return client


def test_an_administrator_of_the_operator_sees_every_page(everything):
    client = person(Role.ADMINISTRATOR)
    for name in pages():
        assert client.get(changelist(name)).status_code == 200, name


@pytest.mark.parametrize(
    ("role", "operator"),
    [
        (Role.REVIEWER, True),
        (Role.SENIOR_REVIEWER, True),
        (Role.PARTNER, True),
        (Role.ADMINISTRATOR, False),  # of a partner: its own house only
    ],
)
def test_nobody_else_sees_any_page(everything, role, operator):
    client = person(role, operator=operator)
    for name in pages():
        assert client.get(changelist(name)).status_code == 403, name


def test_an_administrator_who_is_not_staff_is_sent_to_the_login(everything):
    assert person(Role.ADMINISTRATOR, staff=False).get("/admin/").status_code == 302


def test_an_administrator_cannot_become_or_change_a_superuser(superuser):
    client = person(Role.ADMINISTRATOR)
    own = User.objects.get(pk=client.session["_auth_user_id"])
    form = {"username": own.username, "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    inline = {"memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}
    assert client.post(change(own), form | inline).status_code == 302
    own.refresh_from_db()
    assert not own.is_superuser
    assert client.post(change(superuser), form | inline).status_code == 403
    password = reverse("admin:auth_user_password_change", args=[superuser.pk])
    assert client.get(password).status_code == 403


# --- Evidence ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "audit_auditentry",
        "detection_submission",
        "detection_media",
        "detection_analysisjob",
        "detection_analysisresult",
        "review_reviewitem",
        "review_decision",
        "partners_event",
        "scans_socialmediascan",
    ],
)
def test_evidence_cannot_be_added_changed_or_deleted(office, everything, name):
    model = next(
        model
        for model in admin.site._registry
        if f"{model._meta.app_label}_{model._meta.model_name}" == name
    )
    row = model.objects.first()
    assert office.post(reverse(f"admin:{name}_add"), {}).status_code == 403
    assert office.post(change(row), {"_save": "1"}).status_code == 403
    assert office.post(reverse(f"admin:{name}_delete", args=[row.pk])).status_code == 403
    assert "delete_selected" not in office.get(changelist(name)).content.decode()


def test_a_job_is_found_by_its_submission(office, everything):
    job = AnalysisJob.objects.first()
    page = office.get(changelist("detection_analysisjob"), {"q": str(job.submission_id)})
    assert [row.pk for row in page.context["cl"].result_list] == [job.pk]


# --- Acts ----------------------------------------------------------------------------------------


def test_a_dead_job_is_queued_again_and_audited(office, superuser):
    job = factories.JobFactory(
        state=AnalysisJob.State.DEAD, failure_code="crashed", crash_count=4, finished_at=Now()
    )
    assert "Run again" in office.get(change(job)).content.decode()
    assert act(office, job, "run_again") == "1 job queued again."
    job.refresh_from_db()
    assert (job.state, job.crash_count) == (AnalysisJob.State.QUEUED, 0)
    entry = AuditEntry.objects.get(action="job.revived")
    assert (entry.actor, entry.target_id) == (f"user:{superuser.pk}", str(job.pk))


def test_a_job_that_is_done_is_left_alone(office):
    job = factories.ResultFactory().job
    assert "Run again" not in office.get(change(job)).content.decode()
    assert act(office, job, "run_again") == "0 jobs queued again."
    job.refresh_from_db()
    assert job.state == AnalysisJob.State.DONE


def test_a_policy_is_copied_edited_and_activated(office):
    first = Policy.objects.get()
    act(office, first, "copy_as_draft")
    draft = Policy.objects.get(state=Policy.State.DRAFT)
    response = office.post(change(draft), policy_form(draft, medium_from="40"), follow=True)
    assert response.status_code == 200
    assert draft.thresholds.filter(medium_from=40).count() == draft.thresholds.count()
    assert "review_when_unmeasured" in office.get(change(draft)).text
    draft.refresh_from_db()
    assert not draft.review_when_unmeasured  # the box was not ticked
    assert act(office, draft, "activate") == f"Version {draft.version} is active now."
    first.refresh_from_db()
    assert first.state == Policy.State.RETIRED


def policy_form(policy: Policy, **levels: str) -> dict[str, str]:
    """Return the form of a policy's page with every threshold's levels replaced."""
    rows = list(policy.thresholds.all())
    form = {
        "note": "Sooner",
        "review_from": "medium",
        "audit_rate_percent": "2.00",
        "thresholds-TOTAL_FORMS": str(len(rows)),
        "thresholds-INITIAL_FORMS": str(len(rows)),
    }
    fields = ("id", "policy_id", "content_type", "score", "medium_from", "high_from")
    for number, row in enumerate(rows):
        for field in (*fields, "critical_from"):
            name = field.removesuffix("_id")
            form[f"thresholds-{number}-{name}"] = levels.get(field, str(getattr(row, field)))
    return form


def test_levels_out_of_order_are_explained_beside_the_field(office, superuser):
    draft = policies.draft_from(policy=Policy.objects.get(), actor=superuser)
    response = office.post(change(draft), policy_form(draft, high_from="10"))
    assert "Must be at least" in response.content.decode()
    assert not draft.thresholds.filter(high_from=Decimal(10)).exists()


def test_an_active_policy_cannot_be_edited_or_deleted(office):
    active = Policy.objects.get()
    assert office.post(change(active), policy_form(active)).status_code == 403
    delete = reverse("admin:detection_policy_delete", args=[active.pk])
    assert office.post(delete, {"post": "yes"}).status_code == 403


def test_a_draft_with_a_threshold_missing_is_not_activated(office, superuser):
    draft = policies.draft_from(policy=Policy.objects.get(), actor=superuser)
    draft.thresholds.filter(content_type=ContentType.IMAGE).delete()
    assert "image/visual" in act(office, draft, "activate")
    assert Policy.objects.get(state=Policy.State.ACTIVE) != draft


def test_an_api_key_is_shown_once_and_works(office, superuser):
    organisation = factories.OrganisationFactory()
    form = {"organisation": organisation.pk, "name": "newsroom desk"}
    page = office.post(reverse("admin:partners_apikey_add"), form, follow=True)
    [key] = set(re.findall(r"ks_[\w-]{40,}", page.content.decode()))
    issued = keys.find(key)
    assert (issued.name, issued.created_by) == ("newsroom desk", superuser)
    assert APIKey.objects.count() == 1
    assert key not in office.get(change(issued)).content.decode()
    assert AuditEntry.objects.filter(action="admin.added", target_id=str(issued.pk)).exists()


def test_a_revoked_key_opens_nothing(office):
    row, key = factories.api_key()
    assert act(office, row, "revoke") == "1 key revoked."
    assert keys.find(key) is None
    assert AuditEntry.objects.get(action="key.revoked").target_id == str(row.pk)
    assert "Revoke</button>" not in office.get(change(row)).content.decode()


def test_the_chain_is_checked_from_the_page(office, everything):
    log.seal()
    url = reverse("admin:audit_auditentry_check_chain")
    page = office.get(url, follow=True)
    assert "Every link of the chain holds." in page.content.decode()


def test_changes_made_in_the_office_are_audited(office, superuser):
    organisation = factories.OrganisationFactory()
    form = {
        "name": "Daily",
        "slug": organisation.slug,
        "members-TOTAL_FORMS": 0,
        "members-INITIAL_FORMS": 0,
    }
    office.post(change(organisation), form)
    entry = AuditEntry.objects.get(action="admin.changed")
    assert (entry.actor, entry.target_id) == (f"user:{superuser.pk}", str(organisation.pk))


def test_acts_need_a_csrf_token(superuser):
    client = Client(enforce_csrf_checks=True)
    client.force_login(superuser)
    form = {"action": "activate", "_selected_action": Policy.objects.get().pk}
    assert client.post(changelist("detection_policy"), form).status_code == 403


def test_levels_above_100_percent_are_refused(superuser):
    draft = policies.draft_from(policy=Policy.objects.get(), actor=superuser)
    threshold = draft.thresholds.first()
    threshold.critical_from = Decimal("100.01")
    with pytest.raises(ValidationError):
        threshold.full_clean()
