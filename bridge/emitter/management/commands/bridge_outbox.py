"""``manage.py bridge_outbox``: what waits, since when and why; and purging what was published."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import connection
from django.db.models import Count, Max, Min, Q
from django.utils import timezone

from bridge.emitter.lock import RelayLock
from bridge.emitter.models import Change, OutboxEvent, ShareRequest

__all__ = ["Command"]


class Command(BaseCommand):
    """Shows and tidies the outbox."""

    help = "Show what waits to be published, since when and why."
    requires_system_checks = ()  # they load all of the TOM's pages, and 2.x prints on stdout meanwhile

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="for programs")
        parser.add_argument("--purge", action="store_true", help="remove what was published")
        parser.add_argument(
            "--older-than", type=float, default=0.0, metavar="DAYS", help="with --purge: only what was published before that"
        )
        parser.add_argument(
            "--retry", action="store_true", help="try again what was set aside: refused events, and what could not be sealed"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["purge"]:
            before = timezone.now() - timedelta(days=options["older_than"])
            count, _by_model = OutboxEvent.objects.filter(published_at__lte=before).delete()
            self.stderr.write(f"{count:,} published events removed")
        if options["retry"]:
            count = OutboxEvent.objects.filter(refused=True).update(refused=False)
            count += Change.objects.exclude(problem="").update(problem="")
            count += ShareRequest.objects.exclude(problem="").update(problem="")
            self.stderr.write(f"{count:,} set aside before are tried again")
        state = _state()
        if options["json"]:
            self.stdout.write(json.dumps(state, default=_text))
        else:
            for line in _lines(state):
                self.stdout.write(line)


def _state() -> dict[str, Any]:
    waiting = Q(published_at=None, refused=False)
    rows = OutboxEvent.objects.order_by("destination").values("destination")
    outbox = rows.annotate(
        waiting=Count("id", filter=waiting),
        since=Min("created", filter=waiting),
        set_aside=Count("id", filter=Q(refused=True)),
        published=Count("id", filter=Q(published_at__isnull=False)),
        last_published=Max("published_at"),
    )
    destinations = list(outbox)
    for found in destinations:
        oldest = OutboxEvent.objects.filter(waiting | Q(refused=True), destination=found["destination"])
        found["last_error"] = oldest.exclude(last_error="").values_list("last_error", flat=True).first() or ""
    changes = Change.objects.filter(problem="").aggregate(
        targets=Count("target_pk", distinct=True), changes=Count("id"), since=Min("at")
    )
    problems: list[Change | ShareRequest] = [*Change.objects.exclude(problem="")]
    problems += ShareRequest.objects.exclude(problem="")
    return {
        "relay": RelayLock(connection).is_held_elsewhere(),
        "unsealed": changes | {"requests": ShareRequest.objects.filter(problem="").count()},
        "outbox": destinations,
        "problems": [{"what": str(found), "target": found.target_pk, "why": found.problem} for found in problems],
    }


def _lines(state: dict[str, Any]) -> list[str]:
    unsealed = state["unsealed"]
    lines = [f"relay      {'works' if state['relay'] else 'none works: run manage.py bridge_relay'}"]
    since = f", since {_text(unsealed['since'])}" if unsealed["since"] else ""
    lines.append(
        f"unsealed   {unsealed['changes']:,} changes of {unsealed['targets']:,} targets{since}; "
        f"{unsealed['requests']:,} shares asked for"
    )
    if not state["outbox"]:
        lines.append("outbox     empty")
    for found in state["outbox"]:
        since = f" since {_text(found['since'])}" if found["since"] else ""
        last = f", last {_text(found['last_published'])}" if found["last_published"] else ""
        lines.append(
            f"outbox     {found['destination']}: {found['waiting']:,} wait{since}, {found['set_aside']:,} set aside, "
            f"{found['published']:,} published{last}"
        )
        if found["last_error"]:
            lines.append(f"           {found['last_error']}")
    lines += [f"problem    {found['what']}: {found['why']}" for found in state["problems"][:20]]
    if len(state["problems"]) > 20:
        lines.append(f"           and {len(state['problems']) - 20:,} more")
    return lines


def _text(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S} UTC" if isinstance(value, datetime) else str(value)
