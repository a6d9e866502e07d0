from django.apps import AppConfig


class DetectionConfig(AppConfig):
    name = "detection"
    verbose_name = "Detection"

    def ready(self) -> None:
        """Register the system checks."""
        from detection import checks  # noqa: F401 - importing registers them
