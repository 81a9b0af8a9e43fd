"""Hermes messages as records, as Hermes itself writes them to a topic (``hermes/views.py``, ``submit_to_hop``)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from bridge.codecs import native
from bridge.codecs.hermes.losses import Lost
from bridge.codecs.hermes.writing import MOST_BYTES, hermes_messages
from bridge.codecs.record import Record

__all__ = ["HermesRecords", "hermes_records", "message_id", "wire_record"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HermesRecords:
    """What becomes of a record of ours.

    Parameters
    ----------
    records
        Records in Hermes' form; none if the event has nothing that Hermes carries.
    subject
        What the event is about, for messages.
    lost
        What is not carried, or not as the TOM has it.
    """

    records: tuple[Record, ...]
    subject: str
    lost: tuple[Lost, ...]


def hermes_records(
    record: Record, *, topic: str, sender: str = "", authors: str = "", most_bytes: int = MOST_BYTES
) -> HermesRecords:
    """Return a record of ours in Hermes' form. The same record always gives the same bytes.

    Parameters
    ----------
    record
        A share event in the native form.
    topic
        Where to.
    sender
        Name of the credential that publishes, if there is one.
    authors
        For events that name none.
    most_bytes
        The topic's ``max.message.bytes``.

    Raises
    ------
    Poison, Ignored
        As `native.decode`.
    Rejected
        As `hermes_messages`.
    """
    event = native.decode(record)
    translation = hermes_messages(event, topic=topic, authors=authors, most_bytes=most_bytes)
    records = (
        wire_record(message, uuid=message_id(event.id, number), sender=sender)
        for number, message in enumerate(translation.messages)
    )
    return HermesRecords(records=tuple(records), subject=event.body.subject, lost=translation.lost)


def message_id(event_id: UUID, number: int) -> UUID:
    """Return the id of an event's message of that number, from 0: the event's own, and then ids made from it."""
    return uuid5(event_id, str(number)) if number else event_id


def wire_record(message: Mapping[str, Any], *, uuid: UUID, sender: str = "") -> Record:
    """Return the record of a message, which has no key.

    Parameters
    ----------
    message
        As Hermes has validated it, or as it would.
    uuid
        Its id.
    sender
        Name of the credential that publishes, if there is one.
    """
    headers = (
        ("topic", str(message["topic"]).encode()),
        ("_id", uuid.bytes),
        ("_format", b"json"),
        ("title", str(message["title"]).encode()),
        *((("_sender", sender.encode()),) if sender else ()),
    )
    return Record(key=None, value=json.dumps(message, allow_nan=False).encode(), headers=headers)
