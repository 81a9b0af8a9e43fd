"""``consume``, and what it and ``dead-letters replay`` are built from: a consumer, from its settings to its doors."""

import signal
from collections.abc import Mapping
from contextlib import closing
from typing import Annotated

import structlog
import typer

from bridge.cli.console import ConfigOption, DjangoOption, now, out, read_settings
from bridge.codecs.echo import echo_headers
from bridge.consumer.dead_letters import DeadLetters
from bridge.consumer.destination import Destination
from bridge.consumer.pipeline import Pipeline
from bridge.errors import Misconfigured, Retryable
from bridge.events import ShareEvent
from bridge.kafka.admin import Admin
from bridge.kafka.connection import connect_settings
from bridge.kafka.publisher import Publisher
from bridge.kafka.subscription import Subscription
from bridge.settings import Settings
from bridge.telemetry import set_up_logging
from bridge.tom.session import TomSession

__all__ = ["DestinationArgument", "Parts", "consume"]

DestinationArgument = Annotated[str, typer.Argument(help="Name of the consumer: the destination's key in DATA_SHARING.")]


class Parts:
    """The parts of one consumer, as its settings say.

    Parameters
    ----------
    settings
        All settings.
    name
        The consumer's name.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        self.name = name
        self.settings = settings.consumer(name)
        self.connection = connect_settings(self.settings.stream, settings.stream(self.settings.stream))
        self.group = self.settings.group_id or f"tom-bridge.{name}"
        self.letters_to = self.settings.dead_letter_topic(name)
        self.letters_connection = connect_settings(self.letters_to.stream, settings.stream(self.letters_to.stream))
        self._marks: Mapping[str, str] = {}
        self.session = TomSession(name, settings.tom(name), marks=lambda: self._marks)

    def mark(self, event: ShareEvent | None) -> None:
        """Mark the session's requests with an event from now on, or with none."""
        self._marks = echo_headers(event) if event else {}

    def dead_letters(self) -> DeadLetters:
        """Return the dead-letter topic, for writing.

        Raises
        ------
        Misconfigured
            If there is no such topic.
        """
        if self.letters_to.topic not in Admin(self.letters_connection).topics():
            raise Misconfigured(
                f"the dead-letter topic {self.letters_to} does not exist; create it: tom-bridge topics create {self.letters_to}"
            )
        publisher = Publisher(self.letters_connection)
        return DeadLetters(publisher=publisher, topic=self.letters_to.topic, destination=self.name)


def consume(
    destination: DestinationArgument,
    drain: Annotated[bool, typer.Option("--drain", help="Run up to the topics' present end, then exit.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be written; write nothing, commit nothing.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
    config: ConfigOption = None,
    django_settings: DjangoOption = None,
) -> None:
    """Run a consumer: write what is shared on its topics into its destination TOM."""
    set_up_logging(verbose=verbose)
    parts = Parts(read_settings(config, django_settings), destination)
    log = structlog.get_logger()
    try:
        parts.session.connect()
    except Retryable as error:
        if drain:
            raise
        log.warning("destination is away; its events wait", why=error.detail)
    letters = parts.dead_letters()
    if "*" in parts.settings.accept_sources:
        log.warning('accept_sources = ["*"]: events that claim to come from any TOM are acted on', consumer=destination)
    records = Subscription(
        parts.connection,
        topics=parts.settings.topics,
        group=f"{parts.group}.dry-run" if dry_run else parts.group,
        start=parts.settings.start,
        commits=not dry_run,
    )
    pipeline = Pipeline(
        name=destination,
        url=parts.session.url,
        settings=parts.settings,
        records=records,
        destination=Destination.build(parts.session, parts.settings, dry_run=dry_run),
        dead_letters=None if dry_run else letters,
        now=now,
        log=log,
        on_event=parts.mark,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: pipeline.stop.set())
    with closing(parts.session), closing(records):
        ends = pipeline.run(drain=drain)
    summary = ", ".join(f"{count} {end}" for end, count in sorted(ends.items())) or "no events"
    out.print(f"{destination}: {summary}", highlight=False)
