from django.apps import AppConfig


class BackofficeConfig(AppConfig):
    name = "kilinda.backoffice"
    verbose_name = "Back office"
