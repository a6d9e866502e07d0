"""What reviewers send: filters, decisions, escalations."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from detection.models import ContentType, RiskLevel
from review.explanations import MOST_ATTEMPTS
from review.models import Verdict
from review.selectors import Tab

MOST_NOTE_CHARACTERS = 10_000
_ANY = [("", _("Any"))]


class QueueFilters(forms.Form):
    """Which items the queue page shows."""

    tab = forms.ChoiceField(choices=Tab.choices, required=False)
    modality = forms.ChoiceField(
        label=_("Content"),
        required=False,
        choices=_ANY + [choice for choice in ContentType.choices if choice[0] != ContentType.URL],
    )
    risk = forms.ChoiceField(
        label=_("Risk"), required=False, choices=_ANY + list(reversed(RiskLevel.choices))
    )
    language = forms.CharField(
        label=_("Language"),
        required=False,
        max_length=35,
        widget=forms.TextInput(attrs={"placeholder": "sw", "size": 6, "autocomplete": "off"}),
    )
    after = forms.UUIDField(required=False, widget=forms.HiddenInput)


class WaitingForm(forms.Form):
    """A page that asks, for the first time or again, whether a score was explained."""

    attempt = forms.IntegerField(min_value=1, max_value=MOST_ATTEMPTS)


class ClaimForm(forms.Form):
    """Proof of the claim under which something is done."""

    lease_token = forms.UUIDField()


class DecisionForm(ClaimForm):
    """A verdict, and what colleagues should know."""

    verdict = forms.ChoiceField(
        choices=Verdict.choices, error_messages={"required": _("Choose a verdict.")}
    )
    note = forms.CharField(required=False, max_length=MOST_NOTE_CHARACTERS)


class EscalationForm(ClaimForm):
    """Why a senior reviewer should decide."""

    note = forms.CharField(
        max_length=MOST_NOTE_CHARACTERS,
        error_messages={"required": _("Say in the note why a senior reviewer should look.")},
    )
