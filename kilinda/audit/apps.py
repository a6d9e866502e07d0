from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "kilinda.audit"
    verbose_name = "Audit log"
