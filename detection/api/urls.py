"""The partner API, below /api/."""

from django.urls import path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from detection.api import openapi, views

__all__ = ["openapi", "urlpatterns"]  # importing openapi is what registers its extension

urlpatterns = [
    path("v1/submissions", views.SubmissionsView.as_view(), name="submissions"),
    path("v1/submissions/batch", views.BatchView.as_view(), name="submission-batch"),
    path("v1/submissions/<uuid:submission_id>", views.SubmissionView.as_view(), name="submission"),
    path("v1/events", views.EventsView.as_view(), name="events"),
    path("v1/me", views.MeView.as_view(), name="me"),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
]
