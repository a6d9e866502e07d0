"""What can be done with a version of a model, in words for the person who is about to do it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django import forms
from django.conf import settings
from unfold.widgets import UnfoldAdminTextInputWidget

from detection import comparison, rollout
from detection.errors import DetectionError
from detection.versions import ModelVersion
from inference_worker.sources import directories, is_directory
from kilinda.partners.models import User

State = ModelVersion.State


class RegisterForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's takes a type in stubs only
    """Where a new version comes from. Checking it is registering it, so errors name the field."""

    actor: User
    place = forms.CharField(
        label="Source",
        max_length=1000,
        help_text="s3://bucket/prefix, models:/name@alias, or a folder below KILINDA_MODELS.",
        widget=UnfoldAdminTextInputWidget,
    )
    rival = forms.CharField(
        label="Competes with",
        required=False,
        max_length=100,
        help_text="The slot of a model it may take the place of. Left empty: its own name.",
        widget=UnfoldAdminTextInputWidget,
    )

    class Meta:
        model = ModelVersion
        fields = ()

    def clean_place(self) -> str:
        place = str(self.cleaned_data["place"]).strip()
        roots = directories(settings.KILINDA_MODELS)
        is_below = any(Path(place).resolve().is_relative_to(root.resolve()) for root in roots)
        if is_directory(place) and "://" not in place and not is_below:
            raise forms.ValidationError("A folder must lie below a directory of KILINDA_MODELS.")
        return place

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if self.errors:
            return given
        try:
            self.made = rollout.register(
                source=given["place"], slot=given["rival"].strip(), actor=self.actor
            )
        except DetectionError as error:
            self.add_error("rival" if error.field == "slot" else "place", str(error))
        else:
            self.instance = self.made[0]
        return given

    def _post_clean(self) -> None:
        """Nothing: the row is written and was checked by the use case."""


@dataclass(frozen=True, slots=True)
class Move:
    """One act of the page."""

    label: str
    tells: Callable[[ModelVersion], list[str]]
    """What changes, a sentence each."""
    use_case: Callable[..., ModelVersion]
    fits: Callable[[ModelVersion], bool]
    """Whether it is offered for a version in its state."""


def _active(version: ModelVersion) -> str:
    other = comparison.active_beside(version)
    return str(other) if other else ""


def _tell_shadow(version: ModelVersion) -> list[str]:
    return [
        f"{version} judges everything that {_active(version) or 'the active version'} judges.",
        "Its scores are kept for comparison. They change no result, finding, risk level or review.",
        "Each verdict waits for it too, so judging takes longer.",
    ]


def _tell_canary(version: ModelVersion) -> list[str]:
    active = _active(version) or "the active version"
    return [
        f"{version} judges the share of the content given below, drawn by the job, for real.",
        f"{active} judges the rest. On the share it goes on as a shadow, to compare the two.",
    ]


def _tell_activate(version: ModelVersion) -> list[str]:
    active = _active(version)
    told = [f"{version} judges everything of its kind from the next claim of each worker on."]
    if active:
        told.append(f"{active} is retired. Rolling back returns to it.")
    return [*told, "Workers are not restarted. Results from before keep their scores."]


def _tell_roll_back(version: ModelVersion) -> list[str]:
    return [
        f"{version} is retired.",
        f"{version.succeeded or 'Nothing'} becomes active again, as before.",
        "Workers are not restarted. Results from before keep their scores.",
    ]


def _tell_retire(version: ModelVersion) -> list[str]:
    return [f"{version} judges nothing any more. Its files are kept, and it can be used again."]


def _may(state: State) -> Callable[[ModelVersion], bool]:
    return lambda version: rollout.may_become(version, state)


MOVES: Mapping[str, Move] = {
    "start_shadow": Move("Start shadow", _tell_shadow, rollout.start_shadow, _may(State.SHADOW)),
    "start_canary": Move("Start canary", _tell_canary, rollout.start_canary, _may(State.CANARY)),
    "activate": Move("Activate", _tell_activate, rollout.activate, _may(State.ACTIVE)),
    "roll_back": Move(
        "Roll back",
        _tell_roll_back,
        rollout.roll_back,
        lambda version: version.state == State.ACTIVE and version.succeeded_id is not None,
    ),
    "retire": Move("Retire", _tell_retire, rollout.retire, _may(State.RETIRED)),
}


class ShareForm(forms.Form):
    """Of the content, what a canary judges."""

    share_percent = forms.IntegerField(
        label="Share of the content, percent", min_value=1, max_value=99, initial=5
    )
