"""Versions of models: registered, tried beside the active one, activated, rolled back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display

from detection import comparison, rollout
from detection.errors import DetectionError
from detection.versions import ModelVersion
from kilinda.backoffice.model_moves import MOVES, RegisterForm, ShareForm
from kilinda.backoffice.pages import Page, person

State = ModelVersion.State

_STATE_COLOURS = {
    "Active": "success",
    "Canary": "warning",
    "Shadow": "info",
    "Candidate": "primary",
    "Retired": "default",
}


def _move(name: str) -> Callable[..., Any]:
    """Return the act of the page that asks and then calls the use case of this name."""

    def act(page: ModelVersionPage, request: HttpRequest, queryset: QuerySet[ModelVersion]) -> Any:
        return page.move(request, queryset, name)

    act.__name__ = name
    return admin.action(description=MOVES[name].label, permissions=["move"])(act)


@admin.register(ModelVersion)
class ModelVersionPage(Page):
    """Every version, its state and what workers say of it. Each act asks before it is done."""

    list_display = ("named", "standing", "slot", "against_active", "in_workers", "moved_at")
    list_filter = ("state", "task")
    list_select_related = ("succeeded",)
    search_fields = ("name", "version", "slot", "source")
    actions = tuple(MOVES)
    acts = tuple(MOVES)
    fields = (
        ("named", "standing"),
        ("slot", "succeeded"),
        ("against_active", "in_workers"),
        "figures",
        ("task", "modality"),
        ("detector", "threshold"),
        "source",
        "fingerprint",
        ("registered_by", "registered_at"),
        ("moved_by", "moved_at"),
    )
    readonly_fields = tuple(
        name for row in fields for name in ((row,) if isinstance(row, str) else row)
    )

    start_shadow = _move("start_shadow")
    start_canary = _move("start_canary")
    activate = _move("activate")
    roll_back = _move("roll_back")
    retire = _move("retire")

    # --- What is shown -------------------------------------------------------------------------

    @display(description="Model", ordering="name")
    def named(self, version: ModelVersion) -> str:
        return str(version)

    @display(description="State", label=_STATE_COLOURS, ordering="state")
    def standing(self, version: ModelVersion) -> tuple[str, str] | str:
        shown = version.get_state_display()
        return (shown, f"{shown}, {version.share_percent} %") if version.share_percent else shown

    @display(description="In the workers")
    def in_workers(self, version: ModelVersion) -> str:
        if version.load_error:
            return f"Not loaded. {version.load_error}"
        if version.state not in ModelVersion.IN_USE:
            return "-"
        if version.loaded_at is None or version.loaded_at < version.moved_at:
            return "Not yet loaded since it was moved"
        return f"Loaded {version.loaded_at:%-d %b %Y, %H:%M:%S}"

    @display(description="Against the active version")
    def against_active(self, version: ModelVersion) -> SafeString | str:
        if version.state not in {State.SHADOW, State.CANARY}:
            return "-"
        found = comparison.compare(version)
        if found is None or not found.judged:
            return "Nothing to compare yet"
        url = reverse("admin:detection_modelversion_compare", args=[version.pk])
        return format_html(
            '<a class="text-primary-700 dark:text-primary-400" href="{}">'
            "{} scores, {} points, {}&nbsp;% cross the threshold</a>",
            url,
            f"{found.judged:,}",
            f"{found.mean_difference:+.1f}",
            f"{found.crossing_percent:.1f}",
        )

    @display(description="Measured before it came here")
    def figures(self, version: ModelVersion) -> str:
        sets = (
            f"{name.replace('_', ' ')}: "
            + ", ".join(f"{figure} {round(value, 3):g}" for figure, value in figures.items())
            for name, figures in version.metrics.items()
        )
        return "; ".join(sets) or "Nothing stated"

    @display(description="Digest")
    def fingerprint(self, version: ModelVersion) -> SafeString:
        """Show the hash so that it can wrap on a phone."""
        parts = ((version.digest[at : at + 8],) for at in range(0, 64, 8))
        return format_html_join("", "{}<wbr>", parts)

    # --- Registering ---------------------------------------------------------------------------

    def get_form(self, request: HttpRequest, obj: Any = None, **options: Any) -> Any:
        if obj is not None:
            return super().get_form(request, obj, **options)
        return type("Register", (RegisterForm,), {"actor": person(request)})

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is not None:
            return super().get_fieldsets(request, obj)
        return [(None, {"fields": ("place", "rival")})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.readonly_fields if obj is not None else ()

    def save_form(self, request: HttpRequest, form: RegisterForm, change: bool) -> ModelVersion:
        """Return the row that checking the form wrote."""
        made: ModelVersion = form.instance
        return made

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Say what was registered; it is saved already."""
        names = ", ".join(str(each) for each in form.made)
        messages.info(request, f"Registered as candidates: {names}.")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Nothing is related to a new version."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    # --- Moves ---------------------------------------------------------------------------------

    def acts_for(self, request: HttpRequest, row: ModelVersion) -> tuple[str, ...]:
        return tuple(name for name, move in MOVES.items() if move.fits(row))

    def has_move_permission(self, request: HttpRequest) -> bool:
        """Say whether this person may move versions: whoever may change them by role."""
        return bool(request.user.has_perm("detection.change_modelversion"))

    def move(
        self, request: HttpRequest, queryset: QuerySet[ModelVersion], name: str
    ) -> HttpResponse | None:
        """Ask, naming what changes; when the answer comes back, call the use case."""
        chosen = list(queryset[:2])
        if len(chosen) != 1:
            self.message_user(request, "Choose one version.", messages.ERROR)
            return None
        if "seen" not in request.POST:
            return self._asked(request, chosen[0], name)
        form = ShareForm(request.POST) if name == "start_canary" else None
        if form and not form.is_valid():
            return self._asked(request, chosen[0], name, form)
        self._do(request, chosen[0], name, form.cleaned_data if form else {})
        return None

    def _asked(
        self, request: HttpRequest, version: ModelVersion, name: str, form: Any = None
    ) -> HttpResponse:
        if not MOVES[name].fits(version):
            label = MOVES[name].label.lower()
            self.message_user(
                request, f"{version} is {version.state}: {label} does not apply.", messages.ERROR
            )
            return redirect(self._list_url())
        if name == "start_canary" and form is None:
            form = ShareForm(initial={"share_percent": version.share_percent or 5})
        context = {
            **self.admin_site.each_context(request),
            "title": f"{MOVES[name].label}: {version}",
            "opts": self.opts,
            "version": version,
            "act": name,
            "label": MOVES[name].label,
            "changes": MOVES[name].tells(version),
            "comparison": comparison.compare(version),
            "share_form": form,
            "seen": rollout.generation(),
        }
        return TemplateResponse(request, "backoffice/move.html", context)

    def _do(
        self, request: HttpRequest, version: ModelVersion, name: str, given: dict[str, Any]
    ) -> None:
        seen = str(request.POST["seen"])
        use_case = partial(MOVES[name].use_case, version=version, actor=person(request))
        try:
            moved = use_case(seen=int(seen) if seen.isdecimal() else -1, **given)
        except DetectionError as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            self.message_user(request, f"{moved} is {moved.stands_as} now.")

    # --- Comparing -----------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        compare = path(
            "<int:pk>/compare/",
            self.admin_site.admin_view(self.compare),
            name="detection_modelversion_compare",
        )
        return [compare, *super().get_urls()]

    def compare(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show a version on trial beside the active one."""
        version = get_object_or_404(ModelVersion, pk=pk)
        if not self.has_view_permission(request, version):
            return HttpResponse(status=403)
        context = {
            **self.admin_site.each_context(request),
            "title": f"{version} beside the active version",
            "opts": self.opts,
            "version": version,
            "comparison": comparison.compare(version),
            "newest": comparison.NEWEST,
            "disagreements": comparison.disagreements(version),
        }
        return TemplateResponse(request, "backoffice/compare.html", context)
