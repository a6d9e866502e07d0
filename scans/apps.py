from django.apps import AppConfig


class ScansConfig(AppConfig):
    name = "scans"
    verbose_name = "Social scans"

    def ready(self) -> None:
        """Connect the one wire from detection: finished analyses reach flagging."""
        from detection.signals import analysis_completed
        from scans.flagging import flag_scans

        analysis_completed.connect(flag_scans, dispatch_uid="scans.flagging")
