"""``manage.py bridge_relay``: seal and publish what this TOM has to tell."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from bridge.emitter.configuration import read_configuration
from bridge.emitter.relay import Relay
from bridge.errors import BridgeError
from bridge.stopping import Stop, stop_on_signals

__all__ = ["Command"]


class Command(BaseCommand):
    """Publishes the outbox, until it is told to stop."""

    help = (
        "Seal what this TOM has to tell into share events and publish them, in order. Run it as a service; of several, "
        "one works and the others stand by."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="publish all that there is now, and exit")
        parser.add_argument(
            "--patience",
            type=float,
            default=30.0,
            metavar="SECONDS",
            help="with --once: exit with an error when nothing has got through for so long (default: 30)",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            configuration = read_configuration()
            relay = Relay(configuration)
            if options["once"]:
                count = relay.run_once(patience_seconds=options["patience"])
                self.stdout.write(f"published {count:,} event{'' if count == 1 else 's'}")
                return
            stop = Stop()
            stop_on_signals(stop)
            streams = ", ".join(configuration.streams) or "no streams in DATA_SHARING"
            self.stderr.write(f"bridge_relay: {streams}; Ctrl-C to stop")
            relay.run(stop)
        except BridgeError as error:
            raise CommandError(str(error)) from error
