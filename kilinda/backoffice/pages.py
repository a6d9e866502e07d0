"""What the back office's pages have in common: evidence is read-only, and acts are audited."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.admin.models import LogEntry
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin, TabularInline
from unfold.paginator import InfinitePaginator

from kilinda.audit import log as audit
from kilinda.partners.models import User


def link(row: Model | None) -> SafeString | str:
    """Return a link to a row's own page."""
    if row is None:
        return "-"
    meta = row._meta
    url = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])
    return format_html(
        '<a class="text-primary-700 dark:text-primary-400" href="{}">{}</a>', url, row
    )


def person(request: HttpRequest) -> User:
    """Return who is asking; the admin site lets only people in."""
    assert isinstance(request.user, User)
    return request.user


def actor(request: HttpRequest) -> str:
    """Return how the audit log names who is asking."""
    return f"user:{person(request).pk}"


class Page(ModelAdmin):
    """A page whose changes go to the audit log, and which can offer its acts on a row's own page.

    `acts` names list actions; on the row's page each is a button that posts to the list, so that an
    act has one implementation and is never a link that another site could make someone follow.
    """

    acts: tuple[str, ...] = ()
    list_per_page = 50
    show_full_result_count = False
    compressed_fields = True
    warn_unsaved_form = True
    list_filter_submit = True
    list_fullwidth = True
    change_form_outer_before_template = "backoffice/acts.html"

    def acts_for(self, request: HttpRequest, row: Any) -> tuple[str, ...]:
        """Return the acts that fit this row."""
        return self.acts

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        row = self.get_object(request, object_id) if object_id else None
        allowed = self.get_actions(request)
        acts = [
            {"name": name, "label": allowed[name][2]}
            for name in (self.acts_for(request, row) if row else ())
            if name in allowed
        ]
        context = {"acts": acts, "acts_url": self._list_url()} | (extra_context or {})
        return super().changeform_view(request, object_id, form_url, context)

    def _list_url(self) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Return the list's actions; removing many rows at a stroke is never one of them."""
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> LogEntry:
        self._audit(request, "admin.added", obj, message)
        entry: LogEntry = super().log_addition(request, obj, message)
        return entry

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> LogEntry:
        self._audit(request, "admin.changed", obj, message)
        entry: LogEntry = super().log_change(request, obj, message)
        return entry

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        for obj in queryset:
            self._audit(request, "admin.deleted", obj, [])
        return super().log_deletions(request, queryset)

    def _audit(self, request: HttpRequest, action: str, row: Model, message: Any) -> None:
        what = message if isinstance(message, list) else [str(message)]
        kind = str(row._meta.model_name)
        audit.record([audit.Act(actor(request), action, kind, str(row.pk), {"changes": what})])


class Evidence(Page):
    """A page that only shows: what happened is never edited. Found by whole ids."""

    found_by: tuple[str, ...] = ("id",)
    paginator = InfinitePaginator
    compressed_fields = True

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Show the page's own links, then every column."""
        columns = [field.name for field in self.opts.fields]
        return [*self.readonly_fields, *columns]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Build no form fields: nothing here is typed into."""
        return self.get_fields(request, obj)

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return self.found_by

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Look a whole id up in the indexes; parts of one would read the whole table."""
        if not search_term:
            return queryset, False
        try:
            wanted = UUID(search_term.strip())
        except ValueError:
            self.message_user(request, "Search for a whole id.", "warning")
            return queryset.none(), False
        matches = [Q((field, wanted)) for field in self.found_by]
        return queryset.filter(Q.create([*matches], connector=Q.OR)), False


class EvidenceInline(TabularInline):
    """Rows shown under the row they belong to, read-only."""

    extra = 0
    can_delete = False
    hide_title = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
