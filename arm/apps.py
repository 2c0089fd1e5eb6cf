"""The core application."""

from django.apps import AppConfig


class ArmConfig(AppConfig):
    name = "arm"
    verbose_name = "People and access"

    def ready(self) -> None:
        from arm import checks  # noqa: F401, PLC0415 - checks register on import, once the apps are loaded
