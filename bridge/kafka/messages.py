"""Messages of the client as plain values."""

import gc
from typing import Any

from confluent_kafka import Message

from bridge.codecs.record import ConsumedRecord, Headers, Record
from bridge.ledger import Partition

__all__ = ["consumed_record", "place_of"]

UNREADABLE = (("tom_bridge_unreadable_headers", b"a header's name is not UTF-8"),)


def place_of(message: Message) -> Partition:
    """Return the partition that a message is from."""
    return message.topic() or "", message.partition() or 0


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
    # The client can't read a name that is not UTF-8, nor any header beside it. A garbage collection in the midst of its call
    # would swallow its error, and leave a list in which one touch of the name ends the process.
    collects = gc.isenabled()
    gc.disable()
    try:
        headers: Any = message.headers() or ()
    except (SystemError, UnicodeDecodeError):
        return UNREADABLE
    finally:
        if collects:
            gc.enable()
    for _name, value in headers:
        if type(value) is not bytes:  # there may be none
            return tuple([(name, _bytes(value) or b"") for name, value in headers])
    return tuple(headers)
