"""Reading a record, whichever of the two languages it speaks: our own share events, or Hermes messages."""

from datetime import datetime
from typing import Literal

from bridge.codecs import native
from bridge.codecs.contents import Reading
from bridge.codecs.hermes.message import parse_message
from bridge.codecs.record import Record, header
from bridge.errors import Misconfigured, Poison

__all__ = ["read_record"]


def read_record(record: Record, *, topic_address: str, name_from: Literal["submitter", "topic"], time: datetime) -> Reading:
    """Read a record.

    Parameters
    ----------
    record
        From a topic.
    topic_address
        The topic as hop writes it, such as ``kafka://kafka.scimma.org/tomtoolkit.test``.
    name_from
        What the source of a Hermes message is called after.
    time
        When the record was written; a Hermes message has no time of its own.

    Raises
    ------
    Poison
        If it is neither.
    Ignored
        If it is a test, of a type that is reserved for later, or has nothing in it that a TOM could store.
    Misconfigured
        If it is a Hermes message, and what reads those is not installed.
    """
    if header(record.headers, "_test") is not None:
        raise native.Ignored("hop's header calls it a test message", reason="test_message")
    try:
        return Reading(events=(native.decode(record),))
    except Poison as error:
        if error.reason != "no_headers":
            raise
        not_ours = error
    return _read_message(record, not_ours, topic_address=topic_address, name_from=name_from, time=time)


def _read_message(
    record: Record, not_ours: Poison, *, topic_address: str, name_from: Literal["submitter", "topic"], time: datetime
) -> Reading:
    try:
        message = parse_message(record)
    except Poison as error:
        raise (error if error.reason == "hermes_format" else not_ours) from None
    try:
        from bridge.codecs.hermes.reading import read_message  # noqa: PLC0415  an extra: tom-bridge[hermes]
    except ImportError as error:
        raise Misconfigured(
            f"a Hermes message on {topic_address} needs more than is installed; from a clone: pip install '.[hermes]'"
        ) from error
    return read_message(message, topic_address=topic_address, name_from=name_from, time=time)
