"""``export`` and ``plot``: a topic's datums as a table in a file, and a target's light curve as a picture."""

import ctypes
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Annotated, Literal

import typer

from bridge import __version__
from bridge.cli.console import ConfigOption, DjangoOption, counted, out, progress, read_settings, warn
from bridge.cli.observing import FromOption, WhereOption
from bridge.codecs.record import ConsumedRecord
from bridge.errors import Misconfigured, Retryable
from bridge.kafka.connection import connect_settings
from bridge.kafka.following import Following
from bridge.kafka.offsets import Offsets
from bridge.ledger import Partition
from bridge.observe.curves import LightCurve
from bridge.observe.distinct import Census, distinct
from bridge.observe.export import Tally, export, format_of, open_writer, whole_file
from bridge.observe.filters import Where
from bridge.observe.lightcurves import TABLES
from bridge.observe.names import TargetNames
from bridge.observe.sightings import Sighting, Unreadable, sightings
from bridge.settings import Settings
from bridge.telemetry import set_up_logging

__all__ = ["export_table", "plot"]

PROGRESS_SECONDS = 0.1
"""How often a progress bar moves; a topic may have a million small records."""
M_MMAP_THRESHOLD = -3
"""The name of that setting in glibc's malloc.h."""
LARGE_BYTES = 131_072
"""What is larger has pages of its own; glibc's default at its start."""


def export_table(
    place: Annotated[str, typer.Argument(metavar="STREAM:TOPIC", help="The topic.")],
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="Where to write; a file that is there is replaced.")],
    format: Annotated[  # noqa: A002  the option's name
        Literal["csv", "ecsv", "parquet"] | None, typer.Option("--format", help="By default as the file is called.")
    ] = None,
    data_type: Annotated[
        Literal["photometry", "spectroscopy", "astrometry", "other"],
        typer.Option("--data-type", help="Which datums; each type has a table of its own."),
    ] = "photometry",
    where: WhereOption = "",
    start: FromOption = "earliest",
    config: ConfigOption = None,
    django_settings: DjangoOption = None,
) -> None:
    """Write a topic's light curves, up to its present end, as a table: one row for each datum, however often it was shared."""
    set_up_logging()
    wanted = Where.parse(where) if where else None
    chosen, table = format_of(to, format), TABLES[data_type]
    meta = {"topic": place, "from": start, "where": where, "software": f"tom-bridge {__version__}"}
    tally, census = Tally(), Census()
    with (
        _topic(read_settings(config, django_settings), place, start) as found,
        whole_file(to) as temporary,
        closing(open_writer(chosen, temporary, table, meta)) as writer,
    ):
        try:
            export(distinct(found, where=wanted, census=census), table=table, writer=writer, tally=tally)
        except BaseException:
            warn(f"{to} was not written; it stopped after {counted(tally.rows, 'datum')}")
            raise
    again = f"; left out what was shared again: {counted(census.repeated, 'datum')}" if census.repeated else ""
    out.print(f"{counted(tally.rows, 'datum')} written to {to}{again}", highlight=False, markup=False)
    for column in table.columns:
        said = tally.units.get(column.unit_in)
        if said and len(said) > 1 and not tally.unit_of(column):
            units = ", ".join(f"{unit or 'none said'} ({count:,})" for unit, count in said.most_common(5))
            warn(f"column {column.name} has no unit, because its rows have several: {units}; see column {column.unit_in}")
    for name, count in tally.left_out.items():
        warn(f"left out {counted(count, 'datum')} of other types; --data-type {name} writes them")
    _warn_of_the_unreadable(census)


def plot(
    target: Annotated[str, typer.Argument(help="Name or alias of the target.")],
    place: Annotated[str, typer.Option("--from-topic", metavar="STREAM:TOPIC", help="The topic.")],
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The picture, .png or .svg; one that is there is replaced.")],
    format: Annotated[  # noqa: A002  the option's name
        Literal["png", "svg"] | None, typer.Option("--format", help="By default as the file is called.")
    ] = None,
    where: WhereOption = "",
    start: FromOption = "earliest",
    config: ConfigOption = None,
    django_settings: DjangoOption = None,
) -> None:
    """Draw the light curve of a target, as far as it was shared on a topic: a colour for each bandpass, limits as arrows."""
    try:
        from bridge.observe.plot import FORMATS, draw  # noqa: PLC0415  an extra: tom-bridge[plot]
    except ImportError as error:
        raise Misconfigured("plot needs more than is installed; from a clone: pip install '.[plot]'") from error
    set_up_logging()
    wanted = Where.parse(where) if where else None
    chosen = format_of(to, format, FORMATS)
    settings, names = read_settings(config, django_settings), TargetNames(target)
    for _reading in range(2):  # the second time what came under a name before an event told it is drawn, too
        known, curve, census = names.all, LightCurve(target), Census()
        with _topic(settings, place, start) as found:
            for row in distinct(found, where=wanted, census=census, target=names):
                curve.add(row)
        if names.all == known:
            break
    _warn_of_the_unreadable(census)
    if not len(curve):
        raise Retryable(f"no photometry of {target} on {place} so far{' that --where selects' if where else ''}")
    with whole_file(to) as temporary:
        draw(curve, temporary, chosen)
    out.print(f"{counted(len(curve) - curve.undrawn, 'datum')} drawn in {to}", highlight=False, markup=False)
    if curve.undrawn:
        warn(f"not drawn: {counted(curve.undrawn, 'datum')} in further units")
    if curve.extreme:
        warn(f"not drawn: {counted(curve.extreme, 'datum')} with numbers that are no brightness")


@contextmanager
def _topic(settings: Settings, place: str, start: str) -> Iterator[Iterable[Sighting | Unreadable]]:
    """Open a topic up to its present end, and give what is seen there, with a progress bar."""
    _keep_memory_flat()
    stream, topic = settings.stream_topic(place, only_user_topics=False)
    connection, address = connect_settings(topic.stream, stream), stream.address(topic.topic)
    with closing(Following(connection, topics=[topic.topic], start=start)) as following:
        with closing(Offsets(connection)) as offsets:
            extents = offsets.extents([topic.topic])
        with progress("reading records", sum(end - begin for begin, end in extents.values())) as advance:
            records = _told(following.records(drain=True), advance, {where: begin for where, (begin, _end) in extents.items()})
            yield (seen for consumed in records for seen in sightings(consumed, topic_address=address))
        if following.passed_over:
            warn(f"the topic has dropped {counted(following.passed_over, 'record')} before they could be read")


def _keep_memory_flat() -> None:
    """Have glibc give large buffers back to the system at once.

    By default it soon stops doing so, and then its heap grows without end: records come in buffers of a megabyte and are gone
    long after what was allocated between them. Other C libraries need no such thing.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)


def _told(
    records: Iterable[ConsumedRecord], advance: Callable[[int], None], begins: dict[Partition, int]
) -> Iterator[ConsumedRecord]:
    """Yield records, and say now and then how many offsets are behind."""
    behind: dict[Partition, int] = {}
    due = 0.0
    for consumed in records:
        yield consumed
        place = (consumed.topic, consumed.partition)
        behind[place] = consumed.next_offset - begins.get(place, 0)
        if time.monotonic() >= due:
            due = time.monotonic() + PROGRESS_SECONDS
            advance(sum(behind.values()))


def _warn_of_the_unreadable(census: Census) -> None:
    for reason, count in census.unreadable.items():
        warn(f"could not be read: {counted(count, 'record')} ({reason}), the first of them {census.examples[reason]}")
