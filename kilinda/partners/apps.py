from django.apps import AppConfig


class PartnersConfig(AppConfig):
    name = "kilinda.partners"
    verbose_name = "Partners"
