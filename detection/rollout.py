"""Which version of which model judges: every move of a ModelVersion is made here, and audited.

A move locks the one row of Rollout first, so that two administrators at once are one after the
other; who decided on what is no longer true gets RolloutMoved. See docs/adr/008.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from detection.errors import InvalidMove, ModelRefused, NothingToRollBackTo, RolloutMoved
from detection.versions import ModelVersion, Rollout
from inference_worker.errors import ModelUnusable
from inference_worker.registry import DETECTORS
from inference_worker.shelf import Described, described
from inference_worker.sources import find
from kilinda.audit import log as audit
from kilinda.partners.models import User

State = ModelVersion.State

_FROM: Mapping[State, frozenset[State]] = {
    State.SHADOW: frozenset({State.CANDIDATE, State.CANARY, State.RETIRED}),
    State.CANARY: frozenset({State.CANDIDATE, State.SHADOW, State.CANARY, State.RETIRED}),
    State.ACTIVE: frozenset({State.CANDIDATE, State.SHADOW, State.CANARY, State.RETIRED}),
    State.RETIRED: frozenset({State.CANDIDATE, State.SHADOW, State.CANARY, State.ACTIVE}),
}
"""From which states each state may be reached."""


def generation() -> int:
    """Return the number of moves so far: what a worker compares to see that something changed."""
    return Rollout.objects.values_list("generation", flat=True).first() or 0


def may_become(version: ModelVersion, state: State) -> bool:
    """Say whether a version's state allows this move; a move can still fail for other reasons."""
    return version.state in _FROM[state]


@transaction.atomic
def register(*, source: str, actor: User, slot: str = "") -> list[ModelVersion]:
    """Make candidates of the models at a source that are not known yet; return them.

    `source` is a model folder or a place above several: s3://bucket/prefix, models:/name@alias, or
    a directory of this machine. In `slot` the model competes with others than its own versions.
    Raises ModelRefused.
    """
    try:
        found = [described(each) for each in find(source)]
    except ModelUnusable as error:
        raise ModelRefused(str(error), field="source") from error
    if not found:
        raise ModelRefused(f"There is no kilinda.json at or below {source}.", field="source")
    if slot and len(found) > 1:
        raise ModelRefused(
            f"There are {len(found)} models below {source}: name one of them.", field="source"
        )
    begin()
    made = [enter(model, slot=slot, by=actor) for model in found if not is_known(model)]
    if not made:
        raise ModelRefused("This version is registered already.", field="source")
    return made


def is_known(model: Described) -> bool:
    """Say whether this version is registered. Raises ModelRefused where its files were others."""
    folder = model.folder
    known = ModelVersion.objects.filter(name=folder.name, version=folder.version).first()
    if known and known.digest != model.digest:
        raise ModelRefused(
            f"{folder} is registered with other files: a changed model needs another version.",
            field="source",
        )
    return known is not None


def enter(model: Described, *, slot: str, by: User | None) -> ModelVersion:
    """Write a candidate's row. Call it after `begin`, in the caller's transaction."""
    folder = model.folder
    if folder.detector not in DETECTORS:
        known = ", ".join(sorted(DETECTORS))
        raise ModelRefused(f"{folder} needs the detector {folder.detector!r}; known are: {known}.")
    made = ModelVersion(
        name=folder.name,
        version=folder.version,
        slot=slot or folder.name,
        task=folder.task,
        modality=folder.modality.value,
        detector=folder.detector,
        threshold=folder.threshold,
        metrics=summary(folder.metrics),
        source=model.source.uri,
        digest=model.digest,
        registered_by=by,
        moved_by=by,
    )
    _check_slot(made)
    made.save()
    _audit(by, "model.registered", made, source=made.source, slot=made.slot, digest=made.digest)
    return made


def summary(metrics: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return the single figures of each measured set; tables stay in kilinda.json."""
    sets = {name: figures for name, figures in metrics.items() if isinstance(figures, dict)}
    return {name: _figures(figures) for name, figures in sets.items() if _figures(figures)}


def _figures(figures: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: value
        for name, value in figures.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _check_slot(made: ModelVersion) -> None:
    """Refuse a slot whose versions claim something else."""
    if made.slot == made.name and not ModelVersion.objects.filter(slot=made.slot).exists():
        return
    other = ModelVersion.objects.filter(slot=made.slot).first()
    if other is None:
        raise ModelRefused(f"There is no slot {made.slot!r}.", field="slot")
    if (other.task, other.modality) != (made.task, made.modality):
        raise ModelRefused(
            f"The slot {made.slot!r} is for {other.task} in {other.modality}; "
            f"{made} is for {made.task} in {made.modality}.",
            field="slot",
        )


# --- Moves ---------------------------------------------------------------------------------------


@transaction.atomic
def start_shadow(*, version: ModelVersion, actor: User, seen: int | None = None) -> ModelVersion:
    """Let a version judge beside the active one, without effect.

    `seen` is the generation the person decided on. Raises RolloutMoved or InvalidMove.
    """
    chosen = _chosen(version, State.SHADOW, seen)
    _check_has_active(chosen)
    return _move(chosen, State.SHADOW, actor, "model.shadow_started")


@transaction.atomic
def start_canary(
    *, version: ModelVersion, share_percent: int, actor: User, seen: int | None = None
) -> ModelVersion:
    """Let a version judge a share of the content instead of the active one, or change its share.

    Raises RolloutMoved or InvalidMove.
    """
    chosen = _chosen(version, State.CANARY, seen)
    if not 1 <= share_percent <= 99:
        raise InvalidMove("A canary's share is 1 to 99 percent.", field="share_percent")
    _check_has_active(chosen)
    other = _in_slot(chosen, State.CANARY)
    if other and other.pk != chosen.pk:
        raise InvalidMove(f"{other} is the canary of this slot: retire it first.")
    return _move(chosen, State.CANARY, actor, "model.canary_started", share_percent=share_percent)


@transaction.atomic
def activate(*, version: ModelVersion, actor: User | None, seen: int | None = None) -> ModelVersion:
    """Make a version the active one of its slot; the one before it is retired.

    `actor` is None when the platform does it. Raises RolloutMoved or InvalidMove.
    """
    chosen = _chosen(version, State.ACTIVE, seen)
    before = _in_slot(chosen, State.ACTIVE)
    if before:
        _set(before, State.RETIRED, actor)
    return _move(chosen, State.ACTIVE, actor, "model.activated", succeeded=before)


@transaction.atomic
def roll_back(*, version: ModelVersion, actor: User, seen: int | None = None) -> ModelVersion:
    """Return to what was active before this active version; return that.

    Raises RolloutMoved, InvalidMove or NothingToRollBackTo.
    """
    chosen = _locked(version, seen)
    if chosen.state != State.ACTIVE:
        raise InvalidMove(f"{chosen} is {chosen.state}; only an active version is rolled back.")
    if chosen.succeeded is None:
        raise NothingToRollBackTo(f"No version was active before {chosen}.")
    _set(chosen, State.RETIRED, actor)
    back = _locked(chosen.succeeded, None)
    return _move(back, State.ACTIVE, actor, "model.rolled_back", before=str(chosen))


@transaction.atomic
def retire(*, version: ModelVersion, actor: User, seen: int | None = None) -> ModelVersion:
    """Take a version out of use. Raises RolloutMoved or InvalidMove."""
    chosen = _chosen(version, State.RETIRED, seen)
    if chosen.state == State.ACTIVE:
        _check_not_last(chosen)
    return _move(chosen, State.RETIRED, actor, "model.retired")


def begin(seen: int | None = None) -> Rollout:
    """Lock the rollout until the transaction ends. Raises RolloutMoved if it is not as seen."""
    Rollout.objects.get_or_create(pk=1)
    rollout = Rollout.objects.select_for_update().get(pk=1)
    if seen is not None and rollout.generation != seen:
        raise RolloutMoved
    return rollout


def _locked(version: ModelVersion, seen: int | None) -> ModelVersion:
    begin(seen)
    return ModelVersion.objects.select_for_update(of=("self",)).get(pk=version.pk)


def _chosen(version: ModelVersion, state: State, seen: int | None) -> ModelVersion:
    chosen = _locked(version, seen)
    if not may_become(chosen, state):
        raise InvalidMove(f"{chosen} is {chosen.state} and cannot become {state.value}.")
    return chosen


def _in_slot(version: ModelVersion, state: State) -> ModelVersion | None:
    return ModelVersion.objects.filter(slot=version.slot, state=state).first()


def _check_has_active(version: ModelVersion) -> None:
    if _in_slot(version, State.ACTIVE) is None:
        raise InvalidMove(
            f"The slot {version.slot!r} has no active version to compare {version} with."
        )


def _check_not_last(version: ModelVersion) -> None:
    """Refuse to leave a kind of content without any model: its workers could not start."""
    others = ModelVersion.objects.filter(state=State.ACTIVE, modality=version.modality)
    if not others.exclude(pk=version.pk).exists():
        raise InvalidMove(
            f"{version} is the only active model for {version.modality}: activate another first."
        )


def _move(
    version: ModelVersion,
    state: State,
    actor: User | None,
    action: str,
    *,
    share_percent: int | None = None,
    **more: Any,
) -> ModelVersion:
    """Write the move, its number and its audit entry; return the version as it is now."""
    was = version.state
    _set(version, state, actor, share_percent=share_percent)
    before = more.pop("succeeded", None)
    if before:
        ModelVersion.objects.filter(pk=version.pk).update(succeeded=before)
        more["before"] = str(before)
    Rollout.objects.update(generation=F("generation") + 1)
    share = {"share_percent": share_percent} if share_percent else {}
    _audit(actor, action, version, slot=version.slot, was=was, **share, **more)
    version.refresh_from_db()
    return version


def _set(
    version: ModelVersion, state: State, actor: User | None, share_percent: int | None = None
) -> None:
    ModelVersion.objects.filter(pk=version.pk).update(
        state=state, share_percent=share_percent, moved_by=actor, moved_at=Now(), load_error=""
    )


def _audit(actor: User | None, action: str, version: ModelVersion, **detail: Any) -> None:
    who = f"user:{actor.pk}" if actor else "system"
    audit.record(
        [audit.Act(who, action, "model", str(version.pk), {"model": str(version), **detail})]
    )
