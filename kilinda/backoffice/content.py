"""Submissions, media, jobs and results: the evidence, read-only."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import pluralize
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.decorators import display

from detection import queue
from detection.models import AnalysisJob, AnalysisResult, DetectorScore, Media, Submission
from kilinda.backoffice.pages import Evidence, EvidenceInline, actor, link

_STATE_COLOURS = {
    "Queued": "info",
    "Running": "primary",
    "Done": "success",
    "Failed": "warning",
    "Dead": "danger",
}
_RISK_COLOURS = {"Low": "success", "Medium": "info", "High": "warning", "Critical": "danger"}


@admin.register(Submission)
class SubmissionPage(Evidence):
    """What partners handed in, with the way to its job and result."""

    list_display = ("created_at", "organisation", "content_type", "job_state", "beginning")
    list_filter = ("content_type", "organisation", "source", ("created_at", RangeDateTimeFilter))
    list_select_related = ("organisation", "job")
    readonly_fields = ("job_link",)

    @display(description="Job", label=_STATE_COLOURS)
    def job_state(self, submission: Submission) -> str:
        return submission.job.get_state_display()

    @display(description="Content")
    def beginning(self, submission: Submission) -> str:
        shown = submission.text or submission.url or str(submission.media or "")
        return shown if len(shown) <= 60 else f"{shown[:59]}…"

    @display(description="Job")
    def job_link(self, submission: Submission) -> SafeString | str:
        return link(submission.job)


@admin.register(Media)
class MediaPage(Evidence):
    """Stored bytes by hash; the bytes themselves are shown to reviewers only."""

    list_display = ("created_at", "modality", "mime", "size", "sha256")
    list_filter = ("modality", "mime")
    ordering = ("-created_at",)
    search_help_text = "The whole sha256"

    @display(description="Size", ordering="size_bytes")
    def size(self, media: Media) -> str:
        return f"{media.size_bytes / 1000:,.1f} kB"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Media], search_term: str
    ) -> tuple[QuerySet[Media], bool]:
        return (queryset.filter(pk=search_term.strip()) if search_term else queryset), False


@admin.register(AnalysisJob)
class JobPage(Evidence):
    """The queue. Its state is moved by detection.queue alone; a person may ask it to run again."""

    list_display = (
        "created_at",
        "organisation",
        "lane",
        "standing",
        "priority",
        "attempt",
        "crash_count",
        "failure_reason",
    )
    list_filter = ("state", "lane", "priority", ("created_at", RangeDateTimeFilter))
    list_select_related = ("submission__organisation",)
    ordering = ("-id",)
    found_by = ("id", "submission_id")
    readonly_fields = ("result_link",)
    actions = ("run_again",)
    acts = ("run_again",)

    @display(description="State", label=_STATE_COLOURS)
    def standing(self, job: AnalysisJob) -> str:
        return job.get_state_display()

    @display(description="Organisation")
    def organisation(self, job: AnalysisJob) -> str:
        return job.submission.organisation.name

    @display(description="Result")
    def result_link(self, job: AnalysisJob) -> SafeString | str:
        return link(getattr(job, "result", None))

    def acts_for(self, request: HttpRequest, row: AnalysisJob) -> tuple[str, ...]:
        has_failed = row.state in {AnalysisJob.State.FAILED, AnalysisJob.State.DEAD}
        return self.acts if has_failed else ()

    def has_run_again_permission(self, request: HttpRequest) -> bool:
        """Say whether this person may queue jobs again: whoever may change jobs by role."""
        return bool(request.user.has_perm("detection.change_analysisjob"))

    @admin.action(description="Run again", permissions=["run_again"])
    def run_again(self, request: HttpRequest, queryset: QuerySet[AnalysisJob]) -> None:
        """Queue the failed and dead ones of the chosen jobs again."""
        revived = queue.revive(list(queryset.values_list("id", flat=True)), actor(request))
        self.message_user(request, f"{revived} job{pluralize(revived)} queued again.")


class ScoreInline(EvidenceInline):
    """What each detector said."""

    model = DetectorScore
    fields = (
        "kind",
        "detector",
        "version",
        "role",
        "label",
        "probability",
        "raw",
        "abstention_reason",
    )
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[DetectorScore]:
        """Show shadows too: the column says that theirs have no effect."""
        return DetectorScore.everything.all()


@admin.register(AnalysisResult)
class ResultPage(Evidence):
    """What the machines made of a submission, with every detector's score."""

    list_display = (
        "created_at",
        "content_type",
        "risk",
        "overall_confidence",
        "text_score",
        "audio_score",
        "visual_score",
        "organisation",
    )
    list_filter = ("risk_level", "content_type", ("created_at", RangeDateTimeFilter))
    list_select_related = ("job__submission__organisation", "policy")
    found_by = ("id", "job_id", "job__submission_id")
    inlines = (ScoreInline,)
    readonly_fields = ("submission",)

    @display(description="Risk", label=_RISK_COLOURS, ordering="risk_level")
    def risk(self, result: AnalysisResult) -> str:
        return result.get_risk_level_display()

    @display(description="Organisation")
    def organisation(self, result: AnalysisResult) -> str:
        return result.job.submission.organisation.name

    @display(description="Submission")
    def submission(self, result: AnalysisResult) -> SafeString | str:
        return link(result.job.submission)
