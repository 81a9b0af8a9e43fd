"""A record with a Hermes message -> share events: each target, and each target's rows as reduced datums."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import ValidationError

from bridge.codecs import native
from bridge.codecs.contents import Reading
from bridge.codecs.hermes.fields import Complaints, Fields, Refusal, complaint
from bridge.codecs.hermes.message import BridgeNotes, HermesMessage, HermesSource
from bridge.codecs.hermes.rows import READERS, Said
from bridge.codecs.hermes.targets import TargetTable, extras
from bridge.codecs.hermes.vocabulary import TABLES
from bridge.events import ReducedDatum, ReducedDatumsShared, ShareBody, Target, TargetShared

__all__ = ["read_message"]

MOST_FOR_ALL = 10_000
"""Characters of what is said of the message as a whole, if it has several targets: each of them gets it."""

Rows = Mapping[str, list[tuple[str, Mapping[str, Any]]]]
"""Table -> its rows, each with the name by which it is reported."""


def read_message(
    message: HermesMessage, *, topic_address: str, name_from: Literal["submitter", "topic"], time: datetime
) -> Reading:
    """Read a Hermes message.

    Parameters
    ----------
    message
        From `bridge.codecs.hermes.message.parse_message`.
    topic_address
        The topic as hop writes it, such as ``kafka://kafka.scimma.org/tomtoolkit.test``.
    name_from
        Whether the source is called after the submitter, if there is one, or after the topic.
    time
        When the record was written, with its zone; the events' time.

    Raises
    ------
    native.Ignored
        If there is nothing in it that a TOM could store.
    """
    name = message.submitter if name_from == "submitter" else ""
    source = HermesSource.of(name, topic=topic_address, message=message.uuid)
    complaints = Complaints()
    bodies = list(_bodies(message, source, complaints))
    refused = complaints.items()
    if not bodies and not refused:
        raise native.Ignored("a Hermes message without targets or data", reason="nothing_to_share")
    events = tuple(native.new_event(body, now=time, event_id=message.uuid) for body in bodies)
    notes = message.data.tom_bridge
    return Reading(events=events, refused=refused, hops=_hops(notes), destinations=notes.destinations if notes else None)


def _bodies(message: HermesMessage, source: HermesSource, complaints: Complaints) -> Iterator[ShareBody]:
    said = Said(notes=message.data.tom_bridge, from_tom_toolkit=message.data.from_tom_toolkit)
    rows = {table: list(_rows(table, getattr(message.data, table), complaints)) for table in TABLES}
    targets = TargetTable(rows["targets"], said, complaints)
    of_all = _of_all(message, len(targets.shared), complaints)
    datums = _datums(rows, said, targets, complaints)
    common = {
        "tom": source,
        "hops": _hops(said.notes),
        "destinations": said.notes.destinations if said.notes else None,
        "title": message.title,
        "submitter": message.submitter,
        "authors": message.authors,
        "message": message.message_text,
    }
    for name in dict.fromkeys((*targets.shared, *datums)):
        if name in targets.shared:
            shared = targets.shared[name]
            yield TargetShared(**common, target=_with(of_all, shared.target), target_lists=shared.lists)
        if name in datums:
            yield ReducedDatumsShared(**common, target=targets.identity(name), datums=tuple(datums[name]))


def _rows(table: str, found: Any, complaints: Complaints) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if found is not None and not isinstance(found, list):
        complaints.add(table, "bad_table", f"{table} is no list of rows")
        return
    for number, row in enumerate(found or ()):
        item = f"{table}[{number}]"
        if isinstance(row, dict):
            yield item, row
        else:
            complaints.add(item, "bad_row", "a row is an object with keys")


def _datums(rows: Rows, said: Said, targets: TargetTable, complaints: Complaints) -> dict[str, list[ReducedDatum]]:
    """Return the datums of each target, by its name."""
    found: dict[str, list[ReducedDatum]] = {}
    for table, read in READERS.items():
        for item, row in rows[table]:
            fields, name = Fields(row), ""
            try:
                name = targets.name_of(fields)
                datum = read(fields, said)
            except Refusal as why:
                complaints.add(item, why.reason, why.detail, name)
            except ValidationError as error:
                complaints.add(item, "bad_row", complaint(error), name)
            else:
                found.setdefault(name, []).append(datum)
    return found


def _hops(notes: BridgeNotes | None) -> tuple[str, ...]:
    """Return the TOMs that a message of our own has been through, its source TOM last."""
    if notes is None:
        return ()
    return (*notes.hops, notes.tom.url) if notes.tom else notes.hops


def _of_all(message: HermesMessage, targets: int, complaints: Complaints) -> dict[str, str]:
    """Return what is said of the message as a whole, as extras of its targets."""
    found = extras(Fields(message.data.others).rest)
    for key in [key for key, text in found.items() if targets > 1 and len(text) > MOST_FOR_ALL]:
        complaints.add(
            "data", "too_large", f"a key of {len(found.pop(key)):,} characters, too many for each of {targets:,} targets"
        )
    return found


def _with(of_all: Mapping[str, str], target: Target) -> Target:
    """Return a target with more extras; what its own row says under the same key comes first."""
    more = {(f"message_{key}" if key in target.extras else key): text for key, text in of_all.items()}
    return target.model_copy(update={"extras": {**more, **target.extras}}) if more else target
