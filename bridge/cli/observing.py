"""``tail``: what is shared on a topic, as it comes."""

import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from enum import StrEnum
from typing import Annotated

import typer

from bridge.cli.console import ConfigOption, DjangoOption, counted, err, out, read_settings, warn
from bridge.errors import BridgeError
from bridge.kafka.connection import connect_settings
from bridge.kafka.following import Following
from bridge.observe import rows, tables
from bridge.observe.filters import Where
from bridge.observe.sightings import Sighting, Unreadable, sightings
from bridge.settings import StreamEntry, StreamTopic
from bridge.telemetry import set_up_logging

__all__ = ["FromOption", "WhereOption", "tail"]


class Format(StrEnum):
    """How events are printed."""

    TABLE = "table"
    JSONL = "jsonl"
    CSV = "csv"


PlaceArgument = Annotated[str, typer.Argument(metavar="STREAM:TOPIC", help="The topic.")]
FromOption = Annotated[
    str, typer.Option("--from", metavar="earliest|latest|TIME", help="Where to begin; a time without a zone is UTC.")
]
WhereOption = Annotated[
    str,
    typer.Option("--where", metavar="EXPR", help="""Only what matches, such as 'target = "SN 2024abc" and brightness < 18'."""),
]
FormatOption = Annotated[
    Format,
    typer.Option(
        "--format",
        metavar="table|jsonl|csv",
        help="A table to look at; events as CloudEvents, one JSON object a line; or one CSV row a datum.",
    ),
]
DrainOption = Annotated[bool, typer.Option("--drain", help="Stop at the present end of the topic.")]


def tail(
    place: PlaceArgument,
    start: FromOption = "latest",
    where: WhereOption = "",
    format: FormatOption = Format.TABLE,  # noqa: A002  the option's name
    drain: DrainOption = False,
    config: ConfigOption = None,
    django_settings: DjangoOption = None,
) -> None:
    """Show what is shared on a topic as it comes, share events and Hermes messages alike. It disturbs nobody."""
    set_up_logging()
    wanted = Where.parse(where) if where else None
    stream, topic = read_settings(config, django_settings).stream_topic(place, only_user_topics=False)
    printer, address = _Printer(format), stream.address(topic.topic)
    with _ended_by_its_reader(), closing(_follow(topic, stream, start)) as following:
        watch = _Watch(following)

        def idle() -> None:
            printer.flush()
            watch.look()

        printer.begin()
        for consumed in following.records(drain=drain, idle=idle):
            for seen in sightings(consumed, topic_address=address):
                printer.show(seen, wanted)
        idle()


def _follow(topic: StreamTopic, stream: StreamEntry, start: str) -> Following:
    return Following(connect_settings(topic.stream, stream), topics=[topic.topic], start=start)


class _Printer:
    """Prints what is seen. What nobody can read is a line of the table; in formats for programs it is a warning."""

    def __init__(self, form: Format) -> None:
        self._form = form
        if isinstance(sys.stdout, io.TextIOWrapper):
            if sys.stdout.isatty():
                sys.stdout.reconfigure(errors="backslashreplace")
            else:
                sys.stdout.reconfigure(encoding="utf-8")

    def begin(self) -> None:
        """Print what stands above everything else."""
        if self._form is Format.TABLE:
            self._write(f"{tables.heading(self._width)}\n")
        elif self._form is Format.CSV:
            self._write(rows.csv_heading())
        self.flush()

    def show(self, seen: Sighting | Unreadable, wanted: Where | None) -> None:
        """Print an event, or what of it is wanted."""
        if isinstance(seen, Unreadable):
            if wanted is not None:
                return  # it matches nothing
            if self._form is Format.TABLE:
                self._write(f"{tables.line(seen, self._width)}\n")
            else:
                warn(f"{seen.consumed.place}: {seen.reason}: {seen.detail}")
            return
        event = seen.event if wanted is None else wanted.select(seen.event)
        if event is None:
            return
        if self._form is Format.JSONL:
            self._write(f"{rows.json_line(event)}\n")
        elif self._form is Format.CSV:
            for row in rows.rows_of(event):
                self._write(rows.csv_line(row))
        else:
            self._write(f"{tables.line(replace(seen, event=event), self._width)}\n")

    def flush(self) -> None:
        """Write out what is buffered."""
        sys.stdout.flush()
        if _reader_is_gone():
            raise BrokenPipeError

    @property
    def _width(self) -> int | None:
        return out.width if sys.stdout.isatty() else None

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)


class _Watch:
    """Says, once each, when the broker is away and back, and what was missed."""

    def __init__(self, following: Following) -> None:
        self._following = following
        self._away = False
        self._passed_over = 0

    def look(self) -> None:
        """Say what has changed."""
        trouble: BridgeError | None = self._following.trouble
        if trouble is not None and not self._away:
            warn(f"{trouble}; waiting for the broker")
        elif trouble is None and self._away:
            err.print("the broker is back")
        self._away = trouble is not None
        missed = self._following.passed_over - self._passed_over
        if missed:
            self._passed_over += missed
            warn(f"the topic has dropped {counted(missed, 'record')} before they could be read")


@contextmanager
def _ended_by_its_reader() -> Iterator[None]:
    """End quietly at Ctrl-C, and when who reads the output has seen enough (``tail ... | head``)."""
    try:
        yield
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # Else Python itself flushes once more when it ends, and complains.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _reader_is_gone() -> bool:
    """Return whether nobody reads our output any more; a pipe tells that only who asks or writes."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
    except (AttributeError, OSError):  # Windows; an output that is no file
        return False
    return any(event & select.POLLERR for _file, event in poll.poll(0))
