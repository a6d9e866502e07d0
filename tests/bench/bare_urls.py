"""The least a DRF view can do: two inserts, and one read."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from detection.models import AnalysisJob, Submission
from kilinda.partners.models import Organisation


class Submit(APIView):
    """Insert a submission and its job."""

    organisation: Organisation | None = None

    def post(self, request: Request) -> Response:
        """Answer with the ids."""
        if Submit.organisation is None:
            Submit.organisation = Organisation.objects.get()
        with transaction.atomic():
            submission = Submission.objects.create(
                organisation=Submit.organisation, content_type="text", text=request.data["text"]
            )
            job = AnalysisJob.objects.create(submission=submission, lane="screen")
        return Response({"id": submission.id, "job_id": job.id}, status=202)


class Status(APIView):
    """Read a submission's job."""

    def get(self, request: Request, id: UUID) -> Response:
        """Answer with the state."""
        job = AnalysisJob.objects.get(submission_id=id)
        return Response({"id": id, "job_id": job.id, "status": job.state})


urlpatterns = [
    path("api/v1/submissions", Submit.as_view()),
    path("api/v1/submissions/<uuid:id>", Status.as_view()),
]
