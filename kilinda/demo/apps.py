from django.apps import AppConfig


class DemoConfig(AppConfig):
    name = "kilinda.demo"
    verbose_name = "Demonstration"
