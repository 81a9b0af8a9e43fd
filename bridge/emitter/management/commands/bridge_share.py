"""``manage.py bridge_share``: publish what this TOM has already."""

from __future__ import annotations

import sys
import time
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from bridge.emitter.configuration import read_configuration
from bridge.emitter.models import OutboxEvent, ShareRequest
from bridge.emitter.permissions import targets_for_user
from bridge.emitter.relay import Relay
from bridge.emitter.requesting import Words, request_shares
from bridge.emitter.tables import targets
from bridge.errors import BridgeError, Retryable

__all__ = ["Command"]


class Command(BaseCommand):
    """Shares targets, lists, or everything by hand."""

    help = (
        "Publish what is here already: targets by name or primary key, the members of lists, or everything, with all "
        "their data. Running it is the consent of whoever runs it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--to", required=True, metavar="STREAM:TOPIC", help="where to, for instance share:tom.shares")
        parser.add_argument("--target", action="append", default=[], metavar="NAME", help="a name, an alias or #<primary key>")
        parser.add_argument("--list", action="append", default=[], metavar="NAME", help="all members of a target list")
        parser.add_argument("--everything", action="store_true", help="every target of this TOM")
        parser.add_argument("--no-data", action="store_true", help="targets only, without datums and data products")
        parser.add_argument("--user", default="", metavar="USERNAME", help="who shares: only what this user may see goes out")
        parser.add_argument("--no-wait", action="store_true", help="leave it to the relay, and exit at once")
        parser.add_argument(
            "--patience",
            type=float,
            default=30.0,
            metavar="SECONDS",
            help="exit with an error when nothing has got through for so long (default: 30)",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            configuration = read_configuration()
            stream = configuration.stream_of(options["to"])
            if stream is None:
                raise CommandError(f"--to {options['to']}: no stream and topic in this TOM's DATA_SHARING")
            user = _user(options["user"])
            words = Words(submitter=options["user"] or f"the administrator of {stream.tom.name}")
            requests: list[ShareRequest] = []
            for pks, lists in self._chosen(options, user):
                requests += request_shares(
                    options["to"],
                    pks,
                    words=words,
                    user=user,
                    lists=lists,
                    tell_target=True,
                    everything=not options["no_data"],
                )
            targets_count = len({request.target_pk for request in requests})
            self.stderr.write(f"{targets_count:,} targets are noted for {options['to']}")
            if not options["no_wait"]:
                count = self._publish(requests, Relay(configuration), options)
                self.stdout.write(f"published {count:,} events of {targets_count:,} targets to {options['to']}")
        except BridgeError as error:
            raise CommandError(str(error)) from error

    def _chosen(self, options: dict[str, Any], user: Any) -> list[tuple[list[int], list[str]]]:
        """Return primary keys of targets, and the lists that they are shared as members of."""
        rows = targets()._default_manager  # noqa: SLF001
        chosen: list[tuple[list[int], list[str]]] = []
        if options["everything"]:
            chosen.append((list(rows.order_by("pk").values_list("pk", flat=True)), []))
        for name in options["list"]:
            lists = apps.get_model("tom_targets", "TargetList")._default_manager.filter(name=name)  # noqa: SLF001
            if not lists:
                raise CommandError(f"--list {name}: no such target list")
            chosen.append((sorted({pk for found in lists for pk in found.targets.values_list("pk", flat=True)}), [name]))
        if user is not None:  # who is named by --target is refused, not left out
            everybody = {pk for pks, _lists in chosen for pk in pks}
            visible = targets_for_user(everybody, user)
            chosen = [([pk for pk in pks if pk in visible], lists) for pks, lists in chosen]
            if hidden := len(everybody - visible):
                self.stderr.write(f"{hidden:,} targets that {user.get_username()} may not see are left out")
        for name in options["target"]:
            found = rows.filter(pk=int(name[1:])) if name[:1] == "#" and name[1:].isdigit() else _named(name)
            pks = sorted({row.pk for row in found})
            if len(pks) != 1:
                which = "no target of that name" if not pks else f"several targets: {', '.join(f'#{pk}' for pk in pks)}"
                raise CommandError(f"--target {name}: {which}")
            chosen.append((pks, []))
        chosen = [(pks, lists) for pks, lists in chosen if pks]
        if not chosen:
            raise CommandError("nothing to share: name it with --target, --list or --everything")
        return chosen

    def _publish(self, requests: list[ShareRequest], relay: Relay, options: dict[str, Any]) -> int:
        """Publish, or watch the relay that works do it; return how many events went out meanwhile."""
        pks = [request.pk for request in requests]
        before = OutboxEvent.objects.filter(destination=options["to"]).order_by("-pk").values_list("pk", flat=True).first() or 0
        events = OutboxEvent.objects.filter(destination=options["to"], pk__gt=before)
        bar = _Bar(len({request.target_pk for request in requests}))

        def left() -> tuple[int, int]:
            waiting = set[int]()
            for number in range(0, len(pks), 1_000):
                asked = ShareRequest.objects.filter(pk__in=pks[number : number + 1_000], problem="")
                waiting.update(asked.values_list("target_pk", flat=True))
            return len(waiting), events.filter(published_at=None, refused=False).count()

        def show() -> None:
            unsealed, unpublished = left()
            bar.show(bar.total - unsealed, f"{unpublished:,} events to go")

        try:
            relay.run_once(patience_seconds=options["patience"], on_progress=show)
        except Retryable as error:
            if "another relay" not in str(error):
                raise
            _watch(left, show, options["patience"])
        finally:
            bar.end()
        unshared = ShareRequest.objects.filter(pk__in=pks).exclude(problem="")
        for request in unshared:
            self.stderr.write(f"target {request.target_pk} is not shared: {request.problem}")
        if unshared or events.filter(refused=True).exists():
            raise CommandError("not everything went out; see manage.py bridge_outbox")
        return events.exclude(published_at=None).count()


class _Bar:
    """A progress bar, where somebody watches."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._width = 0
        self._shows = sys.stderr.isatty()

    def show(self, done: int, more: str) -> None:
        """Draw the bar anew."""
        if self._shows:
            filled = 30 * done // max(self.total, 1)
            line = f"[{'#' * filled}{'.' * (30 - filled)}] {done:,} of {self.total:,} targets, {more}"
            sys.stderr.write("\r" + line.ljust(self._width))
            sys.stderr.flush()
            self._width = len(line)

    def end(self) -> None:
        """Remove the bar."""
        if self._shows:
            sys.stderr.write("\r" + " " * self._width + "\r")


def _watch(left: Any, show: Any, patience: float) -> None:
    """Wait until another relay has done it all."""
    now, since = left(), time.monotonic()
    while any(now):
        show()
        time.sleep(0.2)
        before, now = now, left()
        if now != before:
            since = time.monotonic()
        if time.monotonic() - since > patience:
            raise Retryable(f"the relay that works has published nothing for {patience:.0f} s; see manage.py bridge_outbox")


def _user(username: str) -> Any:
    if not username:
        return None
    user = get_user_model()._default_manager.filter(username=username).first()  # noqa: SLF001
    if user is None:
        raise CommandError(f"--user {username}: no such user")
    return user


def _named(name: str) -> Any:
    return targets().matches.match_name(name)
