"""The Django app: add ``'bridge.emitter'`` to INSTALLED_APPS."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks
from django.db.models.signals import post_migrate

__all__ = ["EmitterConfig"]


class EmitterConfig(AppConfig):
    """Sets everything up when Django starts: echo marks, streams as destinations, triggers after every migrate."""

    name = "bridge.emitter"
    label = "bridge_emitter"
    verbose_name = "TOM stream bridge"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Not before Django is set up: they need its models, and TOM Toolkit's.
        from bridge.emitter import capture, marks, relay, sharing  # noqa: PLC0415
        from bridge.emitter import checks as ours  # noqa: PLC0415
        from bridge.emitter.configuration import runs_relay_in_web_process  # noqa: PLC0415

        marks.add_middleware()
        sharing.wrap()
        post_migrate.connect(capture.install_after_migrate, sender=self)
        checks.register(ours.check_settings)
        checks.register(ours.check_toolkit)
        checks.register(ours.check_database, checks.Tags.database)
        if runs_relay_in_web_process():
            relay.run_in_web_process()
