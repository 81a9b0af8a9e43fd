"""Share event -> Hermes messages, which Hermes' own rules accept, each small enough for its topic.

What Hermes has no field for goes into ``data.tom_bridge``, since Hermes passes unknown keys of ``data`` on unchanged: where the
event comes from, which TOMs it has been through, the TOM's own words for units, and the rest of the target.
`bridge.codecs.hermes.reading` reads it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.codecs.hermes.datum_block import Row, row_of
from bridge.codecs.hermes.losses import Losses, Lost
from bridge.codecs.hermes.target_block import TargetBlock, hermes_text, target_block
from bridge.codecs.hermes.vocabulary import ROWS
from bridge.errors import Rejected
from bridge.events import DataProductShared, ReducedDatumsShared, ShareBody, ShareEvent, TargetListShared, TargetShared

__all__ = ["MOST_BYTES", "Translation", "halves", "hermes_messages"]

MOST_BYTES = 1_000_012
"""``max.message.bytes`` of a topic of HOPSKOTCH, where its owner has not asked for more."""
NOTES_VERSION = 1
HEADER_BYTES = 700
"""Room for the record's frame and headers, ``_sender`` among them; topic and title are counted beside it."""
ADDED_BYTES: Mapping[str, int] = {"targets": 200, "photometry": 80, "spectroscopy": 160, "astrometry": 100}
"""What Hermes adds to each row: its defaults, said or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """What becomes of a share event.

    Parameters
    ----------
    messages
        Ready for ``submit_message`` or for a record; none if the event has nothing that Hermes carries.
    lost
        What is not carried, or not as the TOM has it.
    """

    messages: tuple[dict[str, Any], ...]
    lost: tuple[Lost, ...]


def hermes_messages(
    event: ShareEvent, *, topic: str, submitter: str = "", authors: str = "", most_bytes: int = MOST_BYTES
) -> Translation:
    """Return the Hermes messages of a share event.

    Parameters
    ----------
    event
        Any. A target list is none to Hermes: each member's event names it. Of a data product, its datums go.
    topic
        Where to; each message names it.
    submitter, authors
        For events that name none. Without any, the source TOM is the submitter, since Hermes needs one.
    most_bytes
        The topic's ``max.message.bytes``.

    Raises
    ------
    Rejected
        If Hermes would take nothing of it: ``no_position`` (of the target), ``nothing_for_hermes`` (of the datums),
        ``too_large_for_hermes`` (the target alone).
    """
    body, losses = event.body, Losses()
    if isinstance(body, TargetListShared) or not isinstance(body, TargetShared | ReducedDatumsShared | DataProductShared):
        return Translation(messages=(), lost=())
    if isinstance(body, DataProductShared):
        losses.add("product", f"the file {body.product.name!r} is not sent; a message has no room for it")
    if body.destinations is not None:
        losses.add("destinations", "only the bridge heeds them; every other reader acts on the message")
    datums = body.datums_of()
    if not datums and not isinstance(body, TargetShared):
        return Translation(messages=(), lost=tuple(losses))
    lists = body.target_lists if isinstance(body, TargetShared) else ()
    target = target_block(body.target, lists=lists, losses=losses)
    frame = _Frame(event, target, topic=topic, submitter=submitter, authors=authors)
    if frame.room(most_bytes) < 0 and frame.drop_notes():
        losses.add("target", "what Hermes has no field for does not fit into a message of its topic, and is not sent at all")
    if frame.room(most_bytes) < 0:
        raise Rejected("too_large_for_hermes", f"{body.subject!r}: the target alone does not fit into a message")
    found = (row_of(datum, number, target_name=target.row["name"], losses=losses) for number, datum in enumerate(datums))
    chunks = list(_chunks((row for row in found if row is not None), frame.room(most_bytes), losses))
    if datums and not chunks:
        raise Rejected("nothing_for_hermes", f"{body.subject!r}: none of the datums can go: {'; '.join(map(str, losses))}")
    messages = [frame.message(rows) for rows in chunks or [[]]]
    if len(messages) > 1:
        for number, message in enumerate(messages, 1):
            message["data"]["tom_bridge"]["part"] = {"number": number, "of": len(messages)}
    return Translation(messages=tuple(messages), lost=tuple(losses))


def halves(message: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """Return two messages with half of a message's rows each, or none if it has not as many rows as that."""
    data = message["data"]
    rows = [(table, row) for table in ROWS for row in data.get(table, ())]
    middle = len(rows) // 2
    found = []
    for some in (rows[:middle], rows[middle:]) if middle else ():
        tables = {table: [row for there, row in some if there == table] for table in ROWS}
        rest = {key: value for key, value in data.items() if key not in ROWS}
        found.append({**message, "data": {**rest, **{table: these for table, these in tables.items() if these}}})
    return tuple(found)


class _Frame:
    """A message without its rows."""

    def __init__(self, event: ShareEvent, target: TargetBlock, *, topic: str, submitter: str, authors: str) -> None:
        body = event.body
        self._event = event
        self._target = target
        self._notes = target.notes
        self._words = {
            "title": _first(body.title, _title(body, target.row["name"])),
            "topic": topic,
            "submitter": _first(body.submitter, submitter, body.tom.name),
            "authors": _first(body.authors, authors),
            "message_text": _first(body.message),
        }

    def drop_notes(self) -> bool:
        """Leave out all of the target that Hermes has no field for, but its kind; return whether that was anything."""
        kept: dict[str, Any] = {name: self._notes[name] for name in ("type", "scheme") if name in self._notes}
        dropped, self._notes = kept != self._notes, kept
        return dropped

    def room(self, most_bytes: int) -> int:
        """Return how many bytes rows may take."""
        headers = HEADER_BYTES + len(self._words["title"].encode()) + len(self._words["topic"])
        tables = sum(len(table) + 8 for table in ADDED_BYTES)
        part = 60
        return most_bytes - headers - ADDED_BYTES["targets"] - tables - part - _size(self.message([]))

    def message(self, rows: Iterable[Row]) -> dict[str, Any]:
        """Return a message with rows."""
        tables: dict[str, list[dict[str, Any]]] = {}
        units = dict(self._target.units)
        for row in rows:
            tables.setdefault(row.table, []).append(row.fields)
            units |= row.units
        body = self._event.body
        notes: dict[str, Any] = {
            "version": NOTES_VERSION,
            "event": str(self._event.id),
            "tom": {"name": body.tom.name, "url": body.tom.url},
            "hops": list(body.hops),
            "target": self._notes,
            "units": units,
        }
        if body.destinations is not None:
            notes["destinations"] = list(body.destinations)
        return {**self._words, "data": {"targets": [self._target.row], **tables, "tom_bridge": notes}}


def _chunks(rows: Iterable[Row], room: int, losses: Losses) -> Iterator[list[Row]]:
    """Split rows into messages: those of one table that a TOM has in different units go apart, and what does not fit."""
    kinds: list[tuple[dict[str, dict[str, str]], list[Row]]] = []
    for row in rows:
        for units, together in kinds:
            if units.setdefault(row.table, row.units) == row.units:
                together.append(row)
                break
        else:
            kinds.append(({row.table: row.units}, [row]))
    for _units, together in kinds:
        chunk, used = list[Row](), 0
        for row in together:
            size = _size(row.fields) + len(", ") + ADDED_BYTES[row.table] + _size(row.units)
            if size > room:
                losses.add("datum", f"{size:,} bytes do not fit into a message of its topic", row.number)
                continue
            if used + size > room:
                yield chunk
                chunk, used = [], 0
            chunk.append(row)
            used += size
        if chunk:
            yield chunk


def _size(document: object) -> int:
    """Return the bytes of a document as Hermes writes it: JSON, with spaces, in ASCII."""
    return len(json.dumps(document))


def _first(*texts: str) -> str:
    """Return the first text that is something to Hermes, or an empty one."""
    found = (hermes_text(text.replace("\x00", "")) for text in texts)
    return next((text for text in found if text is not None), "")


def _title(body: ShareBody, name: str) -> str:
    what = "" if isinstance(body, TargetShared) else "data of "
    return f"{body.tom.name}: {what}{name}"
