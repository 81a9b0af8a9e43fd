"""Django system checks: what an administrator has to mend, said by ``manage.py check`` and at every start."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.core import checks
from django.db import connections
from django.db.models import Min
from django.utils import timezone

from bridge.emitter import capture, sharing
from bridge.emitter.configuration import read_configuration, read_problems
from bridge.emitter.models import Change
from bridge.emitter.ways import login_problems

__all__ = ["check_database", "check_settings", "check_toolkit"]

LONG_UNSEALED = timedelta(hours=1)


def check_settings(**_rest: Any) -> Sequence[checks.CheckMessage]:
    """Say what is wrong with the settings."""
    found = read_problems()
    if found:
        return [checks.Error(problem, id="bridge_emitter.E001") for problem in found]
    streams = read_configuration().streams.values()
    if not streams:
        return [
            checks.Warning(
                "DATA_SHARING has no stream, so nothing is emitted",
                hint="Add an entry with BASE_URL 'kafka://host[:port]/', USER_TOPICS and SOURCE_URL.",
                id="bridge_emitter.W001",
            )
        ]
    logins: list[checks.CheckMessage] = [
        checks.Warning(problem, hint="Whoever runs bridge_relay needs this.", id="bridge_emitter.W008")
        for problem in login_problems()
    ]
    return logins + [
        checks.Warning(
            f"settings.py: [DATA_SHARING.{stream.key}] USER_TOPICS: missing",
            hint="TOM Toolkit's share pages offer only the topics that are listed there.",
            id="bridge_emitter.W007",
        )
        for stream in streams
        if not stream.entry.USER_TOPICS
    ]


def check_toolkit(**_rest: Any) -> Sequence[checks.CheckMessage]:
    """Say whether this version of TOM Toolkit is one that the emitter was tested with."""
    # No errors: those would keep manage.py from migrating, and capture and relay need nothing of this.
    found: list[checks.CheckMessage] = [
        checks.Warning(
            f"TOM Toolkit's sharing is not as expected: {problem}",
            hint="Continuous and manual shares with streams may fail; ask for a version of tom-bridge that knows this one.",
            id="bridge_emitter.W006",
        )
        for problem in sharing.problems()
    ]
    installed = sharing.toolkit_version()
    if not installed.startswith(tuple(f"{series}." for series in sharing.TESTED_VERSIONS)):
        found.append(
            checks.Warning(
                f"bridge.emitter is not tested with TOM Toolkit {installed}",
                hint=f"Tested are {' and '.join(sharing.TESTED_VERSIONS)}.",
                id="bridge_emitter.W002",
            )
        )
    return found


def check_database(*, databases: Sequence[str] | None = None, **_rest: Any) -> Sequence[checks.CheckMessage]:
    """Say whether every table is watched, and whether a relay takes care of what is noted."""
    found: list[checks.CheckMessage] = []
    for alias in databases or ():
        connection = connections[alias]
        if connection.vendor not in capture.SUPPORTED_VENDORS:
            found.append(
                checks.Error(
                    f"bridge.emitter works on {' and '.join(capture.SUPPORTED_VENDORS)}, not on {connection.vendor}",
                    id="bridge_emitter.E002",
                )
            )
            continue
        if Change._meta.db_table not in connection.introspection.table_names():  # noqa: SLF001
            continue  # migrate says so itself
        unwatched = capture.missing(connection)
        if unwatched:
            found.append(
                checks.Warning(
                    f"changes go unnoticed in {', '.join(unwatched)}: a trigger is missing",
                    hint="Run manage.py migrate, which sets the triggers.",
                    id="bridge_emitter.W003",
                )
            )
        found += _unknown_groups(alias)
        oldest = Change.objects.using(alias).filter(problem="").aggregate(at=Min("at"))["at"]
        if oldest is not None and timezone.now() - oldest > LONG_UNSEALED:
            found.append(
                checks.Warning(
                    f"changes wait since {oldest:%Y-%m-%d %H:%M} UTC",
                    hint="Run manage.py bridge_relay as a service.",
                    id="bridge_emitter.W004",
                )
            )
    return found


def _unknown_groups(alias: str) -> Sequence[checks.CheckMessage]:
    if read_problems():
        return []  # said by check_settings
    groups = apps.get_model("auth", "Group")._default_manager.using(alias)  # noqa: SLF001  Django's documented model API
    found = []
    for stream in read_configuration().streams.values():
        named = stream.entry.EMIT_GROUPS
        unknown = sorted(set(named) - set(groups.filter(name__in=named).values_list("name", flat=True)))
        if unknown:
            found.append(
                checks.Warning(
                    f"settings.py: [DATA_SHARING.{stream.key}] EMIT_GROUPS: this TOM has no group {', '.join(unknown)}",
                    hint="Nothing goes out for a group that does not exist; mind its spelling.",
                    id="bridge_emitter.W005",
                )
            )
    return found
