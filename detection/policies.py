"""Policy versions: which one is active, and how a new one takes its place."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now

from detection.errors import PolicyAlreadyActive, PolicyIncomplete
from detection.fusion import Levels, Rules
from detection.models import ContentType, Policy, ScoreKind, Threshold
from kilinda.audit import log as audit
from kilinda.partners.models import User

SCORED: dict[str, tuple[ScoreKind, ...]] = {
    ContentType.TEXT: (ScoreKind.TEXT,),
    ContentType.AUDIO: (ScoreKind.AUDIO, ScoreKind.TEXT),
    ContentType.IMAGE: (ScoreKind.VISUAL, ScoreKind.TEXT),
    ContentType.VIDEO: (ScoreKind.VISUAL, ScoreKind.AUDIO, ScoreKind.TEXT),
}
"""The scores each content type can have; an active policy has a threshold for every one. Media have
a text score where a machine found text in them."""


def active() -> tuple[Policy, Rules]:
    """Return the active version, as a row and as the rules fusion takes."""
    policy = Policy.objects.prefetch_related("thresholds").get(state=Policy.State.ACTIVE)
    return policy, rules_of(policy)


def rules_of(policy: Policy) -> Rules:
    """Return a version's rules as plain values."""
    return Rules(
        version=policy.version,
        review_when_not_judged=policy.review_when_not_judged,
        review_when_unmeasured=policy.review_when_unmeasured,
        levels={
            (threshold.content_type, threshold.score): Levels(
                medium=float(threshold.medium_from),
                high=float(threshold.high_from),
                critical=float(threshold.critical_from),
            )
            for threshold in policy.thresholds.all()
        },
    )


@transaction.atomic
def draft_from(*, policy: Policy, actor: User) -> Policy:
    """Copy a version into a new draft; return the draft."""
    highest = Policy.objects.aggregate(highest=Max("version"))["highest"] or 0
    draft = Policy.objects.create(
        version=highest + 1,
        note=f"Copy of version {policy.version}",
        review_from=policy.review_from,
        review_when_not_judged=policy.review_when_not_judged,
        review_when_unmeasured=policy.review_when_unmeasured,
        audit_rate_percent=policy.audit_rate_percent,
        created_by=actor,
    )
    Threshold.objects.bulk_create(
        Threshold(
            policy=draft,
            content_type=threshold.content_type,
            score=threshold.score,
            medium_from=threshold.medium_from,
            high_from=threshold.high_from,
            critical_from=threshold.critical_from,
        )
        for threshold in policy.thresholds.all()
    )
    _audit(actor, "policy.drafted", draft, {"copied_from": policy.version})
    return draft


@transaction.atomic
def activate(*, policy: Policy, actor: User) -> Policy:
    """Make a draft, or a retired version again, the active one.

    Raises PolicyAlreadyActive or PolicyIncomplete.
    """
    before = Policy.objects.select_for_update().get(state=Policy.State.ACTIVE)
    chosen = Policy.objects.select_for_update().get(pk=policy.pk)
    if chosen.state == Policy.State.ACTIVE:
        raise PolicyAlreadyActive(f"Version {chosen.version} is active already.")
    _check_complete(chosen)
    Policy.objects.filter(pk=before.pk).update(state=Policy.State.RETIRED)
    Policy.objects.filter(pk=chosen.pk).update(state=Policy.State.ACTIVE, activated_at=Now())
    _audit(actor, "policy.activated", chosen, {"before": before.version})
    chosen.refresh_from_db()
    return chosen


def _check_complete(policy: Policy) -> None:
    present = set(rules_of(policy).levels)
    wanted = {(content, kind.value) for content, kinds in SCORED.items() for kind in kinds}
    if missing := wanted - present:
        listed = ", ".join(sorted(f"{content}/{kind}" for content, kind in missing))
        raise PolicyIncomplete(f"Version {policy.version} lacks thresholds for {listed}.")


def _audit(actor: User, action: str, policy: Policy, detail: dict[str, int]) -> None:
    audit.record([audit.Act(f"user:{actor.pk}", action, "policy", str(policy.version), detail)])
