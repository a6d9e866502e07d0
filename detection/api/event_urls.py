"""Chat-platform events, below /v1/events/."""

from uuid import UUID

from django.urls import path, register_converter

from detection.api import serializers, views


class EventId:
    """evt_ and the 32 hex digits of the submission."""

    regex = "evt_[0-9a-f]{32}"

    def to_python(self, value: str) -> UUID:
        """Return the submission's id."""
        return UUID(value.removeprefix("evt_"))

    def to_url(self, value: UUID) -> str:
        """Return the event's id."""
        return serializers.event_id(value)


register_converter(EventId, "event_id")

urlpatterns = [
    path("ingest", views.IngestView.as_view(), name="ingest"),
    path("<event_id:event_id>/status", views.EventStatusView.as_view(), name="event-status"),
]
