from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from detection import policies
from detection.errors import PolicyAlreadyActive, PolicyIncomplete
from detection.models import Policy
from kilinda.audit.models import AuditEntry
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


def test_the_platform_starts_with_an_active_policy_for_every_score() -> None:
    policy, rules = policies.active()
    assert policy.version == 1
    assert set(rules.levels) == {
        (content, kind.value) for content, kinds in policies.SCORED.items() for kind in kinds
    }


def test_a_draft_is_a_copy_and_changes_nothing_until_it_is_activated() -> None:
    first, rules = policies.active()
    draft = policies.draft_from(policy=first, actor=UserFactory())
    draft.thresholds.update(medium_from=10)
    Policy.objects.filter(pk=draft.pk).update(review_when_unmeasured=False)
    assert draft.version == 2
    assert policies.active()[1] == rules


def test_activating_retires_the_version_before_and_is_audited() -> None:
    actor = UserFactory()
    first, _ = policies.active()
    draft = policies.draft_from(policy=first, actor=actor)
    policies.activate(policy=draft, actor=actor)
    first.refresh_from_db()
    assert (policies.active()[0], first.state) == (draft, Policy.State.RETIRED)
    last = AuditEntry.objects.order_by("-id")[0]
    assert (last.actor, last.action) == (f"user:{actor.pk}", "policy.activated")


def test_a_retired_version_can_come_back() -> None:
    actor = UserFactory()
    first, _ = policies.active()
    policies.activate(policy=policies.draft_from(policy=first, actor=actor), actor=actor)
    policies.activate(policy=first, actor=actor)
    assert policies.active()[0] == first


def test_the_active_version_is_not_activated_again() -> None:
    with pytest.raises(PolicyAlreadyActive):
        policies.activate(policy=policies.active()[0], actor=UserFactory())


def test_a_version_without_all_thresholds_cannot_be_activated() -> None:
    actor = UserFactory()
    draft = policies.draft_from(policy=policies.active()[0], actor=actor)
    draft.thresholds.filter(content_type="audio").delete()
    with pytest.raises(PolicyIncomplete, match="audio/audio"):
        policies.activate(policy=draft, actor=actor)


def test_the_database_refuses_a_second_active_version() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Policy.objects.create(version=9, state=Policy.State.ACTIVE, note="second")


def test_the_database_refuses_levels_that_do_not_rise() -> None:
    threshold = policies.active()[0].thresholds.first()
    assert threshold is not None
    threshold.high_from = threshold.medium_from - 1
    with pytest.raises(IntegrityError), transaction.atomic():
        threshold.save()


def test_a_version_says_whether_unmeasured_scores_ask_for_a_person() -> None:
    first, rules = policies.active()
    assert rules.review_when_unmeasured
    Policy.objects.filter(pk=first.pk).update(review_when_unmeasured=False)
    first.refresh_from_db()
    draft = policies.draft_from(policy=first, actor=UserFactory())
    assert not policies.rules_of(draft).review_when_unmeasured
