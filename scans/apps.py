from django.apps import AppConfig


class ScansConfig(AppConfig):
    name = "scans"
    verbose_name = "Social scans"

    def ready(self) -> None:
        """Connect the one wire from detection: finished analyses reach flagging."""
        from detection.signals import analysis_completed  # noqa: PLC0415 - apps load first
        from scans.flagging import flag_scans  # noqa: PLC0415

        analysis_completed.connect(flag_scans, dispatch_uid="scans.flagging")
