from django.apps import AppConfig


class DetectionConfig(AppConfig):
    name = "detection"
    verbose_name = "Detection"

    def ready(self) -> None:
        """Register the system checks, and what goes when a score goes."""
        from detection import checks, evidence_files  # noqa: F401 - importing registers checks

        evidence_files.connect()
