"""Our own events: record <-> share event, and CloudEvents structured JSON for files."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from pydantic import ValidationError

from bridge.codecs.headers import (
    SPEC_VERSION,
    Attributes,
    encode_headers,
    header_texts,
    read_attributes,
    schema_name,
)
from bridge.codecs.record import Record
from bridge.errors import Poison
from bridge.events import EVENT_TYPES, RESERVED_TYPES, ReducedDatum, ShareBody, ShareEvent, datum_identity, utc_text

__all__ = [
    "MAX_DEPTH",
    "MAX_RECORD_BYTES",
    "Ignored",
    "decode",
    "encode",
    "from_structured",
    "identified",
    "new_event",
    "to_structured",
]

MAX_RECORD_BYTES = 900_000
"""An event with key and headers stays below this, because HOPSKOTCH takes records of 1,000,000 bytes."""
MAX_DEPTH = 64
"""JSON nested deeper than this is refused."""
MAX_READ_BYTES = 16_000_000
"""A value larger than this is not parsed at all; Kafka's own default limit is 1 MB."""


class Ignored(Exception):
    """A record of a type that is reserved for later, or meant for others."""


def new_event(body: ShareBody, *, now: datetime, event_id: UUID | None = None) -> ShareEvent:
    """Wrap a body as an event that is made now."""
    return ShareEvent(id=event_id or uuid4(), time=now, body=body)


def identified(source_url: str, datum: ReducedDatum) -> ReducedDatum:
    """Return a datum with its identity filled in."""
    return datum.model_copy(update={"id": datum_identity(source_url, datum)})


def encode(event: ShareEvent) -> Record:
    """Return the record of an event.

    Raises
    ------
    ValueError
        If it is larger than `MAX_RECORD_BYTES`; split batches first (`bridge.codecs.batches`).
    """
    record = Record(
        key=event.body.partition_key.encode(),
        value=event.body.model_dump_json(exclude_none=True).encode(),
        headers=encode_headers(event),
    )
    if record.size > MAX_RECORD_BYTES:
        raise ValueError(f"the event is {record.size:,} bytes large; a record may have {MAX_RECORD_BYTES:,}")
    return record


def decode(record: Record) -> ShareEvent:
    """Read a record.

    Raises
    ------
    Poison
        If it is not a share event that this version can read.
    Ignored
        If its type is reserved for a later version.
    """
    if record.value is None:
        raise Poison("null_value", "the record has no value (a tombstone); share events always have one")
    texts = header_texts(record.headers)
    if texts is not None:
        return _read(read_attributes(texts), lambda: parse_json(record.value or b""))
    document = parse_json(record.value)
    if isinstance(document, Mapping) and "specversion" in document:
        return from_structured(document)
    raise Poison("no_headers", "neither ce_ headers nor a structured CloudEvent: not a share event")


def to_structured(event: ShareEvent) -> str:
    """Return an event as CloudEvents structured JSON, on one line."""
    document = {
        "specversion": SPEC_VERSION,
        "id": str(event.id),
        "source": event.source,
        "type": event.type,
        "time": utc_text(event.time),
        "subject": event.body.subject,
        "datacontenttype": "application/json",
        "dataschema": schema_name(event.type),
        "data": event.body.model_dump(mode="json", exclude_none=True),
    }
    return json.dumps(document, ensure_ascii=False, allow_nan=False)


def from_structured(document: Mapping[str, Any]) -> ShareEvent:
    """Read a CloudEvents structured JSON object that has been parsed.

    Raises
    ------
    Poison, Ignored
        As `decode`.
    """
    texts = {key: value for key, value in document.items() if isinstance(value, str)}
    return _read(read_attributes(texts), lambda: document.get("data"))


def parse_json(text: bytes) -> Any:
    """Parse JSON strictly: UTF-8, no NaN or Infinity, not deeper than `MAX_DEPTH`.

    Raises
    ------
    Poison
        Saying what is wrong with it.
    """
    if len(text) > MAX_READ_BYTES:
        raise Poison("too_large", f"a value of {len(text):,} bytes; at most {MAX_READ_BYTES:,} are read")
    try:
        document = json.loads(text.decode(), parse_constant=_refuse_constant, parse_float=_finite)
        if b"\\u" in text:  # half a character, as in "\\ud800", can be read but never written again
            json.dumps(document, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise Poison("bad_utf8", f"the value is not UTF-8: byte {error.start} cannot be decoded") from error
    except UnicodeEncodeError as error:
        raise Poison("bad_utf8", "the value has half a character in it (a lone surrogate)") from error
    except RecursionError as error:
        raise Poison("too_deep", f"JSON nested deeper than {MAX_DEPTH} levels") from error
    except ValueError as error:
        raise Poison("bad_json", f"the value is not JSON: {error}") from error
    if not _shallower_than(document, MAX_DEPTH):
        raise Poison("too_deep", f"JSON nested deeper than {MAX_DEPTH} levels")
    return document


def _read(attributes: Attributes, value: Callable[[], Any]) -> ShareEvent:
    model = EVENT_TYPES.get(attributes.type)
    if model is None:
        raise _unknown_type(attributes.type)
    try:
        body = model.model_validate(value())
    except ValidationError as error:
        raise Poison("bad_event", "; ".join(_complaints(error))) from error
    if body.tom.url != attributes.source:
        raise Poison("source_mismatch", f"ce_source says {attributes.source!r}, the body's tom.url {body.tom.url!r}")
    return ShareEvent(id=attributes.id, time=attributes.time, body=body)


def _unknown_type(event_type: str) -> Exception:
    if event_type in RESERVED_TYPES:
        return Ignored(f"{event_type} is reserved for a later version")
    stem, _, version = event_type.rpartition(".v")
    if f"{stem}.v1" in EVENT_TYPES and version.isdigit():
        return Poison("newer_version", f"{event_type} is a later major version than this bridge reads (v1): update it")
    return Poison("unknown_type", f"{event_type!r} is not a type of share event")


def _complaints(error: ValidationError, most: int = 5) -> Iterator[str]:
    """Name each field and what is wrong with it, without the value: payloads don't belong in messages."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    for problem in problems[:most]:
        yield f"{'.'.join(map(str, problem['loc']))[:100] or 'body'}: {problem['msg'][:200]}"
    if len(problems) > most:
        yield f"and {len(problems) - most} more"


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _shallower_than(document: Any, depth: int) -> bool:
    level = [document]
    for _ in range(depth):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
        if not level:
            return True
    return False
