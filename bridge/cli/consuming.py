"""``consume``, and what it and ``dead-letters replay`` are built from: a consumer, from its settings to its doors."""

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Annotated

import structlog
import typer
from structlog.typing import FilteringBoundLogger

from bridge.cli.console import ConfigOption, DjangoOption, now, out, read_settings
from bridge.consumer.dead_letters import DeadLetters, refused_target_keys
from bridge.consumer.destination import Destination
from bridge.consumer.gate import Gate
from bridge.consumer.hands import Hands
from bridge.consumer.intake import Intake
from bridge.consumer.lanes import Lanes
from bridge.consumer.pace import Pace
from bridge.consumer.pipeline import Pipeline
from bridge.consumer.reporting import Reporter
from bridge.consumer.turns import Turns
from bridge.consumer.work import Current
from bridge.consumer.workers import Workers
from bridge.errors import Misconfigured, Retryable
from bridge.health import HttpDoor
from bridge.kafka.admin import Admin
from bridge.kafka.connection import connect_settings
from bridge.kafka.lease import Lease
from bridge.kafka.publisher import Publisher
from bridge.kafka.reading import read_to_end
from bridge.kafka.subscription import Subscription
from bridge.metrics import Metrics
from bridge.settings import Settings
from bridge.stopping import stop_on_signals
from bridge.telemetry import set_up_logging
from bridge.tom.session import TomSession

__all__ = ["DestinationArgument", "Parts", "consume"]

DestinationArgument = Annotated[str, typer.Argument(help="Name of the consumer: the destination's key in DATA_SHARING.")]

LETTER_SECONDS = 10.0
"""How long a dead letter is offered to the broker at a time."""


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
        self._stream = settings.stream(self.settings.stream)
        self.connection = connect_settings(self.settings.stream, self._stream)
        self.group = self.settings.consumer_group(name)
        self.letters_to = self.settings.dead_letter_topic(name)
        self.letters_connection = connect_settings(self.letters_to.stream, settings.stream(self.letters_to.stream))
        self.current = Current()
        self.metrics = Metrics(destination=name)
        self.pace = Pace(
            self.settings.pace,
            most=self.settings.max_parallel,
            on_change=lambda requests: self.metrics.pace(requests=requests),
        )
        self._entry = settings.tom(name)
        self.url = self._entry.BASE_URL
        self._lease: Lease | None = None
        self.turns: Turns | None = None

    @contextmanager
    def destination(self, *, dry_run: bool = False) -> Iterator[tuple[TomSession, Destination]]:
        """Yield the destination, with the right to write to it, for as long as the block lasts.

        Parameters
        ----------
        dry_run
            Whether nothing is to be written.
        """
        with ExitStack() as stack:
            self.metrics.writer(held=False)
            if not dry_run:
                self._lease = stack.enter_context(closing(self._join_lease()))
            self.turns = turns = Turns(
                current=self.current,
                lease=self._lease,
                concurrent=self.settings.concurrent_writes,
                pace=self.pace,
            )
            session = TomSession(
                self.name,
                self._entry,
                marks=self.current.headers,
                guard=turns.request,
                observe=lambda method, status, seconds: self.metrics.request(method=method, status=status, seconds=seconds),
            )
            stack.enter_context(closing(session))
            refused = () if dry_run else self._refused_targets()
            hands = stack.enter_context(closing(Hands(self.pace.most - 1, current=self.current)))
            yield (
                session,
                Destination(session, self.settings, turns=turns, hands=hands, refused_targets=refused, dry_run=dry_run),
            )

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
        publisher = Publisher(self.letters_connection, delivery_timeout_seconds=LETTER_SECONDS)
        return DeadLetters(publisher=publisher, topic=self.letters_to.topic, destination=self.name)

    def note_up(self, up: bool) -> None:
        """Note whether the destination is there; one that was away is learned to know anew."""
        self.metrics.destination_up(up=up)
        if not up:
            self.pace.start_over()

    def watch(self, gate: Gate) -> None:
        """Let events in work stop when the gate shuts."""
        self.metrics.destination_up(up=True)
        if self.turns is not None:
            self.turns.trouble = lambda: gate.trouble

    @property
    def intake(self) -> Intake:
        """What reads the topics' records."""
        return Intake(name=self.name, url=self.url, settings=self.settings, address=self._stream.address)

    def leave_writing_to_others(self) -> None:
        """Let other replicas have the right to write: there is nothing to write for here."""
        if self._lease is not None:
            self._lease.release()

    def _join_lease(self) -> Lease:
        return Lease(
            self.connection,
            topic=self.settings.topics[0],
            group=self.settings.writer_group(self.name),
            log=structlog.get_logger(),
            on_change=lambda held: self.metrics.writer(held=held),
        )

    def _refused_targets(self) -> frozenset[str]:
        """Return the keys of targets that are dead letters, so that their data is held also after a restart."""
        records = read_to_end(self.letters_connection, self.letters_to.topic)
        return refused_target_keys(records, destination=self.name, intake=self.intake)


def consume(
    destination: DestinationArgument,
    drain: Annotated[bool, typer.Option("--drain", help="Run up to the topics' present end, then exit.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be written; write nothing, commit nothing.")
    ] = False,
    http: Annotated[str, typer.Option("--http", metavar="HOST:PORT", help="Serve /metrics, /healthz and /readyz there.")] = "",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
    config: ConfigOption = None,
    django_settings: DjangoOption = None,
) -> None:
    """Run a consumer: write what is shared on its topics into its destination TOM."""
    set_up_logging(verbose=verbose)
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))  # nothing is begun yet
    parts = Parts(read_settings(config, django_settings), destination)
    log = structlog.get_logger()
    letters = parts.dead_letters()
    if "*" in parts.settings.accept_sources:
        log.warning('accept_sources = ["*"]: events that claim to come from any TOM are acted on', consumer=destination)
    with ExitStack() as stack:
        session, writes = stack.enter_context(parts.destination(dry_run=dry_run))
        gate = Gate(
            probe=session.probe,
            most=parts.settings.max_parallel,
            log=log,
            on_change=parts.note_up,
        )
        parts.watch(gate)
        try:
            session.connect()
        except Retryable as error:
            if drain:
                raise
            gate.shut(error)
        records = stack.enter_context(
            closing(
                Subscription(
                    parts.connection,
                    topics=parts.settings.topics,
                    group=f"{parts.group}.dry-run" if dry_run else parts.group,
                    start=parts.settings.start,
                    commits=not dry_run,
                )
            )
        )
        pipeline = _pipeline(parts, gate, writes, records, None if dry_run else letters, log, each=verbose)
        stop_on_signals(pipeline.stop)
        if door := _http_door(http, parts, pipeline):
            log.info("metrics and health", url=stack.enter_context(door).url)
        ends = pipeline.run(drain=drain)
    summary = ", ".join(f"{count} {end}" for end, count in sorted(ends.items())) or "no events"
    out.print(f"{destination}: {summary}", highlight=False)


def _http_door(address: str, parts: Parts, pipeline: Pipeline) -> HttpDoor | None:
    if not address:
        return None
    return HttpDoor(address=address, metrics=parts.metrics.text, alive=pipeline.alive, ready=pipeline.ready)


def _pipeline(
    parts: Parts,
    gate: Gate,
    writes: Destination,
    records: Subscription,
    letters: DeadLetters | None,
    log: FilteringBoundLogger,
    *,
    each: bool,
) -> Pipeline:
    metrics, lanes = parts.metrics, Lanes()
    workers = Workers(
        lanes=lanes,
        gate=gate,
        destination=writes,
        current=parts.current,
        number=parts.settings.max_parallel,
        retry_seconds=parts.settings.retry_seconds,
        log=log,
        on_retry=lambda why: metrics.retried(why=why),
    )
    return Pipeline(
        intake=parts.intake,
        settings=parts.settings,
        records=records,
        dead_letters=letters,
        lanes=lanes,
        gate=gate,
        workers=workers,
        reporter=Reporter(destination=parts.name, log=log, metrics=metrics, each=each),
        metrics=metrics,
        log=log,
        now=now,
        on_idle=parts.leave_writing_to_others,
    )
