"""Our own events: record <-> share event, and CloudEvents structured JSON for files."""

import json
import math
import re
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
    shown,
)
from bridge.codecs.record import Record, header
from bridge.errors import Poison
from bridge.events import (
    EVENT_TYPES,
    RESERVED_TYPES,
    ReducedDatum,
    ShareBody,
    ShareEvent,
    datum_identity,
    normalise_url,
    utc_text,
)

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
MAX_PARTS = 1_000_000
"""Nor is one of more objects, arrays, texts and numbers: 16 MB of ``{}`` would take half a gigabyte. Of ours none can
have as many, since each takes a byte."""


class Ignored(Exception):
    """A record that is passed over: of a type that is reserved for later, or a test.

    Parameters
    ----------
    detail
        A sentence.
    reason
        A stable code.
    """

    def __init__(self, detail: str, *, reason: str = "reserved_type") -> None:
        super().__init__(detail)
        self.reason = reason


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
    try:
        document, why = parse_json(record.value), "the value is no structured CloudEvent"
    except Poison as error:
        if error.reason not in {"bad_utf8", "bad_json"}:
            raise
        document, why = None, error.detail
    if isinstance(document, Mapping) and "specversion" in document:
        return from_structured(document)
    label = header(record.headers, "_format")
    hop = f"; hop's header calls it {shown(label.decode(errors='replace'))}" if label else ""
    raise Poison("no_headers", f"not a share event: it has no ce_ headers, and {why}{hop}")


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
    """Parse JSON strictly: UTF-8, no NaN or Infinity, no key twice in one object, not deeper than `MAX_DEPTH`.

    Time and memory are bounded, whatever the text is.

    Raises
    ------
    Poison
        Saying what is wrong with it.
    """
    if len(text) > MAX_READ_BYTES:
        raise Poison("too_large", f"a value of {len(text):,} bytes; at most {MAX_READ_BYTES:,} are read")
    if not text:
        raise Poison("bad_json", "the value is empty")
    if text.count(b"[") + text.count(b"{") + text.count(b",") > MAX_PARTS:  # each part is behind one of these
        raise Poison("too_large", f"a value of more than {MAX_PARTS:,} parts, such as numbers or objects")
    try:
        document = json.loads(
            text.decode(), parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_with_distinct_keys
        )
        if b"\\u" in text:  # half a character, as in "\\ud800", can be read but never written again
            json.dumps(document, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise Poison("bad_utf8", f"the value is not UTF-8: byte {error.start} cannot be decoded") from error
    except UnicodeEncodeError as error:
        raise Poison("bad_utf8", "the value has half a character in it (a lone surrogate)") from error
    except RecursionError as error:
        raise Poison("too_deep", f"JSON nested deeper than {MAX_DEPTH} levels") from error
    except json.JSONDecodeError as error:
        raise Poison("bad_json", f"the value is not JSON: {error}") from error
    except ValueError as error:  # Python's limit; its words are for programmers
        raise Poison("bad_json", "the value has an integer of more than 4,300 digits") from error
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
        raise Poison("source_mismatch", _mismatch(attributes.source, body.tom.url))
    return ShareEvent(id=attributes.id, time=attributes.time, body=body)


def _unknown_type(event_type: str) -> Exception:
    if event_type in RESERVED_TYPES:
        return Ignored(f"{event_type} is reserved for a later version")
    stem, _, version = event_type.rpartition(".v")
    if f"{stem}.v1" in EVENT_TYPES.keys() | RESERVED_TYPES and re.fullmatch("[2-9]|[1-9][0-9]+", version):
        return Poison("newer_version", f"{shown(event_type)} is a later major version than this bridge reads (v1): update it")
    return Poison("unknown_type", f"{shown(event_type)} is not a type of share event")


def _mismatch(source: str, url: str) -> str:
    """Say how ``ce_source`` differs from the body's URL, without a password that may be in it."""
    try:
        normal = normalise_url(source)
    except ValueError as error:
        return f"the CloudEvents attribute source is not the body's tom.url, {shown(url)}: {error}"
    if normal == url:
        return f"the CloudEvents attribute source is not spelt as the body's tom.url, {shown(url)}"
    return f"the CloudEvents attribute source is {shown(normal)}, the body's tom.url {shown(url)}"


def _complaints(error: ValidationError, most: int = 5) -> Iterator[str]:
    """Name each field and what is wrong with it, without the value: payloads don't belong in messages."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    inner = {problem["loc"][:length] for problem in found for length in range(len(problem["loc"]))}
    problems = [problem for problem in found if problem["loc"] not in inner]  # an empty list, because its first is wrong
    for problem in problems[:most]:
        place = repr(".".join(map(str, problem["loc"]))[:100])[1:-1] or "body"  # keys are the sender's: printable, short
        what = _PLAIN_WORDS.get(problem["type"]) or problem["msg"].removeprefix("Value error, ")
        yield f"{place}: {what[:200]}"
    if len(problems) > most:
        yield f"and {len(problems) - most} more"


_PLAIN_WORDS = {
    "model_type": "an object is expected",
    "model_attributes_type": "an object is expected",
    "dict_type": "an object is expected",
    "tuple_type": "an array is expected",
    "list_type": "an array is expected",
    "too_short": "at least one is needed",
}
"""What pydantic says in terms of Python."""


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise Poison("bad_json", "the value has a number that is too large")
    return number


def _refuse_constant(name: str) -> None:
    raise Poison("bad_json", f"the value has {name} in it, which is not a JSON number")


def _with_distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):  # one of the two would be lost, and which one depends on the reader
        raise Poison("bad_json", "an object in the value has the same key twice")
    return found


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
