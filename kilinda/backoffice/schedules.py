"""django-celery-beat's pages, in the back office's dress and with its audit trail."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django_celery_beat import admin as beat
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from kilinda.backoffice.pages import Page

for model in (ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule):
    admin.site.unregister(model)


class TaskSelect(UnfoldAdminSelectWidget, beat.TaskSelectWidget):
    """The registered tasks, as django-celery-beat finds them."""


class PeriodicTaskForm(beat.PeriodicTaskForm):
    """django-celery-beat's form with our widgets."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["task"].widget = UnfoldAdminTextInputWidget()
        self.fields["regtask"].widget = TaskSelect()


@admin.register(PeriodicTask)
class PeriodicTaskPage(beat.PeriodicTaskAdmin, Page):
    """What runs by the clock."""

    form = PeriodicTaskForm
    list_display = ("name", "task", "scheduler", "enabled", "last_run_at")
    list_filter = ("enabled", "task")
    date_hierarchy = None
    change_list_template = "admin/change_list.html"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Switch a task off instead: one from the settings would come back at the next start."""
        return False


@admin.register(IntervalSchedule)
class IntervalPage(Page):
    """Every so many seconds, minutes, hours or days."""

    list_display = ("__str__", "every", "period")


@admin.register(CrontabSchedule)
class CrontabPage(beat.CrontabScheduleAdmin, Page):
    """At these minutes, hours and days."""

    inlines = ()


@admin.register(ClockedSchedule)
class ClockedPage(beat.ClockedScheduleAdmin, Page):
    """Once, at one time."""

    inlines = ()
