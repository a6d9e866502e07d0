from django.apps import AppConfig


class ReviewConfig(AppConfig):
    name = "review"
    verbose_name = "Review"

    def ready(self) -> None:
        """Connect the one wire from detection: finished analyses reach routing."""
        from detection.signals import analysis_completed  # noqa: PLC0415 - apps load first
        from review.routing import open_items  # noqa: PLC0415

        analysis_completed.connect(open_items, dispatch_uid="review.routing")
