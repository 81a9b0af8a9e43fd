"""Messages of the client as plain values."""

from operator import methodcaller
from typing import Any

from confluent_kafka import KafkaError, Message

from bridge.codecs.record import ConsumedRecord, Headers, Record
from bridge.ledger import Partition

__all__ = ["consumed_record", "is_end", "place_of"]

UNREADABLE = (("tom_bridge_unreadable_headers", b"a header's name is not UTF-8"),)

_CHECKED_HEADERS = methodcaller("headers")
"""The client can't read a name that is not UTF-8, nor any header beside it: it leaves an error and a list with a hole, both.
Python calls a method that it has called often without a look at that (PEP 659), and a touch of the hole ends the process; a
call from ``operator`` is always checked."""


def place_of(message: Message) -> Partition:
    """Return the partition that a message is from."""
    return message.topic() or "", message.partition() or 0


def is_end(error: KafkaError) -> bool:
    """Whether an error in a record's place says no more than that the client has come to a partition's end."""
    return error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001


def consumed_record(message: Message) -> ConsumedRecord:
    """Return a message of the client as a plain value."""
    return ConsumedRecord(
        record=Record(key=_bytes(message.key()), value=_bytes(message.value()), headers=_headers(message)),
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        timestamp_ms=message.timestamp()[1],
    )


def _bytes(value: Any) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _headers(message: Message) -> Headers:
    try:
        headers: Any = _CHECKED_HEADERS(message) or ()
    except (SystemError, UnicodeDecodeError):
        return UNREADABLE
    for _name, value in headers:
        if type(value) is not bytes:  # there may be none
            return tuple([(name, _bytes(value) or b"") for name, value in headers])
    return tuple(headers)
