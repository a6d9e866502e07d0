"""Organisations with their members, people, API keys, and the event logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import pluralize
from unfold.admin import TabularInline
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from kilinda.audit import log as audit
from kilinda.backoffice.pages import Evidence, Page, actor, person
from kilinda.partners import keys
from kilinda.partners.models import APIKey, Event, Member, Organisation, User

# Roles are membership rows; Django's groups would be a second, competing answer.
admin.site.unregister(Group)


if TYPE_CHECKING:
    _UserAdmin = UserAdmin[User]
else:  # Django's class takes a type only in its stubs
    _UserAdmin = UserAdmin


class MemberInline(TabularInline):
    """The people of an organisation, or the organisations of a person."""

    model = Member
    extra = 0
    hide_title = True
    autocomplete_fields = ("user", "organisation")


@admin.register(Organisation)
class OrganisationPage(Page):
    """Partners are switched off, never removed: their submissions and verdicts stay."""

    list_display = ("name", "slug", "activity", "is_operator", "created_at")
    list_filter = ("is_active", "is_operator")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
    readonly_fields = ("last_event_seq", "created_at")
    inlines = (MemberInline,)

    @display(description="State", label={"Active": "success", "Switched off": "danger"})
    def activity(self, organisation: Organisation) -> str:
        return "Active" if organisation.is_active else "Switched off"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(User)
class UserPage(_UserAdmin, Page):
    """People. Only a superuser may make or touch another superuser."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "full_name", "email", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff", "is_machine")
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("Access", {"fields": ("is_active", "is_staff", "is_superuser", "is_machine")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    readonly_fields = ("last_login", "date_joined", "is_machine")
    inlines = (MemberInline,)

    @display(description="Name")
    def full_name(self, user: User) -> str:
        return user.get_full_name() or "-"

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        locked = () if request.user.is_superuser else ("is_superuser",)
        return (*self.readonly_fields, *locked)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is not None and obj.is_superuser and not request.user.is_superuser:
            return False
        return bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(APIKey)
class APIKeyPage(Page):
    """Keys are issued, shown once, and revoked; nothing about one can be edited."""

    list_display = ("prefix", "name", "organisation", "standing", "is_read_only", "created_at")
    list_filter = ("organisation", "is_read_only")
    list_select_related = ("organisation",)
    search_fields = ("prefix", "name", "organisation__name")
    autocomplete_fields = ("organisation",)
    fields = ("organisation", "name", "is_read_only")
    actions = ("revoke",)
    acts = ("revoke",)

    @display(description="State", label={"Live": "success", "Revoked": "danger"})
    def standing(self, key: APIKey) -> str:
        return "Revoked" if key.revoked_at else "Live"

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        shown = ("prefix", "created_by", "created_at", "revoked_at") if obj else ()
        return (*self.fields, *shown)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def acts_for(self, request: HttpRequest, row: APIKey) -> tuple[str, ...]:
        return () if row.revoked_at else self.acts

    def save_model(self, request: HttpRequest, obj: APIKey, form: Any, change: bool) -> None:
        """Issue the key in place of saving the form's row, and show it this once."""
        issued, secret = keys.issue(
            organisation=obj.organisation,
            name=obj.name,
            created_by=person(request),
            is_read_only=obj.is_read_only,
        )
        obj.pk, obj.prefix = issued.pk, issued.prefix
        messages.warning(request, f"The key, shown only now: {secret}")

    @admin.action(description="Revoke", permissions=["add"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[APIKey]) -> None:
        """End the chosen keys now."""
        live = list(queryset.filter(revoked_at=None))
        for key in live:
            keys.revoke(key)
        audit.record(
            audit.Act(actor(request), "key.revoked", "apikey", str(key.pk)) for key in live
        )
        self.message_user(request, f"{len(live)} key{pluralize(live)} revoked.")


@admin.register(Event)
class EventPage(Evidence):
    """What each organisation was told. Found by submission."""

    list_display = ("created_at", "organisation", "seq", "type", "subject_id")
    list_filter = ("organisation", "type")
    list_select_related = ("organisation",)
    ordering = ("-id",)
    found_by = ("subject_id",)
