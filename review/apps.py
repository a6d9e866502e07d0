from django.apps import AppConfig


class ReviewConfig(AppConfig):
    name = "review"
    verbose_name = "Review"

    def ready(self) -> None:
        """Connect the one wire from detection: finished analyses reach routing."""
        from detection.signals import analysis_completed  # models load after apps
        from review.routing import open_items

        analysis_completed.connect(open_items, dispatch_uid="review.routing")
