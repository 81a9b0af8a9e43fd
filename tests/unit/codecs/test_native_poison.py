"""What is no share event: always Poison or Ignored with a reason, never another exception, never with the payload in it."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.codecs.native import MAX_DEPTH, Ignored, decode, from_structured
from bridge.codecs.record import Headers, Record
from bridge.errors import Poison
from bridge.events import EVENT_TYPES, RESERVED_TYPES
from tests.unit import strategies

SOURCE = "https://tom.example.org/"
TOM = {"name": "Example TOM", "url": SOURCE}
TARGET = {"name": "a", "type": "SIDEREAL"}
DATUM = {"data_type": "photometry", "timestamp": "2024-01-02T00:00:00Z", "brightness": 18.0}
BODY = {"tom": TOM, "target": TARGET, "datums": [DATUM]}
ATTRIBUTES = {
    "ce_specversion": "1.0",
    "ce_id": str(uuid4()),
    "ce_source": SOURCE,
    "ce_type": "tom.reduced_datums.shared.v1",
    "ce_time": "2026-11-23T04:30:00Z",
}


def headers(**changed: str) -> Headers:
    return tuple((name, text.encode()) for name, text in (ATTRIBUTES | changed).items())


def record(value: bytes | Mapping[str, Any] | None, **changed: str) -> Record:
    encoded = json.dumps(value).encode() if isinstance(value, Mapping) else value
    return Record(key=b"k", value=encoded, headers=headers(**changed))


def with_datum(**changed: Any) -> dict[str, Any]:
    return BODY | {"datums": [DATUM | changed]}


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


NOT_DEEP = json.dumps(with_datum(extra={"a": None})).encode().replace(b"null", nested(MAX_DEPTH - 5))

POISON: dict[str, tuple[Record, str]] = {
    "a tombstone": (record(None), "null_value"),
    "bytes that are not UTF-8": (record(b'{"tom": "\xff"}'), "bad_utf8"),
    "an empty value": (record(b""), "bad_json"),
    "JSON that ends early": (record(b'{"tom": '), "bad_json"),
    "two JSON documents": (record(b"{} {}"), "bad_json"),
    "NaN": (record(b'{"tom": NaN}'), "bad_json"),
    "Infinity": (record(b'{"tom": -Infinity}'), "bad_json"),
    "an integer of 5,000 digits": (record(b"9" * 5_000), "bad_json"),
    "70 levels": (record(nested(70)), "too_deep"),
    "70 levels of objects": (record(b'{"a":' * 70 + b"1" + b"}" * 70), "too_deep"),
    "100,000 levels": (record(nested(100_000)), "too_deep"),
    "100,000 levels that never end": (record(b"[" * 100_000), "too_deep"),
    "17 MB": (record(b" " * 17_000_000), "too_large"),
    "no headers": (Record(key=None, value=json.dumps(BODY).encode(), headers=()), "no_headers"),
    "headers of others only": (Record(key=None, value=b"{}", headers=(("_format", b"json"),)), "no_headers"),
    "an array without headers": (Record(key=None, value=b"[1]", headers=()), "no_headers"),
    "a header that is not UTF-8": (
        Record(key=None, value=b"{}", headers=(("ce_specversion", b"1.0"), ("ce_id", b"\xff"))),
        "bad_attributes",
    ),
    "no type": (record(BODY, ce_type=""), "missing_attributes"),
    "a bad uuid": (record(BODY, ce_id="4"), "bad_attributes"),
    "CloudEvents 2": (record(BODY, ce_specversion="2.0"), "cloudevents_version"),
    "an unknown type": (record(BODY, ce_type="org.example.thing"), "unknown_type"),
    "version 2": (record(BODY, ce_type="tom.target.shared.v2"), "newer_version"),
    "another TOM's ce_source": (record(BODY, ce_source="https://evil.example.org/"), "source_mismatch"),
    "an array for a body": (record(b"[1, 2]"), "bad_event"),
    "a text for a body": (record(b'"text"'), "bad_event"),
    "null for a body": (record(b"null"), "bad_event"),
    "an empty body": (record({}), "bad_event"),
    "no tom": (record({"target": TARGET, "datums": [DATUM]}), "bad_event"),
    "no target": (record({"tom": TOM, "datums": [DATUM]}), "bad_event"),
    "no datums": (record({"tom": TOM, "target": TARGET, "datums": []}), "bad_event"),
    "a target type of its own": (record(BODY | {"target": TARGET | {"type": "PLANET"}}), "bad_event"),
    "a datum without a time": (record(BODY | {"datums": [{"data_type": "photometry", "brightness": 1.0}]}), "bad_event"),
    "a datum without a time zone": (record(with_datum(timestamp="2024-01-02T00:00:00")), "bad_event"),
    "an identity of another datum": (record(with_datum(id="0" * 64)), "bad_event"),
    "a brightness too large for a float": (record(json.dumps(BODY).replace("18.0", "1e400").encode()), "bad_json"),
    "half a character in a name": (record(BODY | {"target": TARGET | {"name": "\ud800"}}), "bad_utf8"),
    "a datum that is a text": (record(BODY | {"datums": ["brightness"]}), "bad_event"),
    "a datum that is a number": (record(BODY | {"datums": [1]}), "bad_event"),
    "a datum that is null": (record(BODY | {"datums": [None]}), "bad_event"),
    "a data type that is an array": (record(with_datum(data_type=["photometry"])), "bad_event"),
    "a data type that is an object": (record(with_datum(data_type={"a": 1})), "bad_event"),
    "a time before the calendar in UTC": (record(with_datum(timestamp="0001-01-01T00:00:00+14:00")), "bad_event"),
    "a time after the calendar in UTC": (record(with_datum(timestamp="9999-12-31T23:59:59-14:00")), "bad_event"),
}

UNWRITABLE: dict[str, Record] = {
    "half a character in a raw value": record(with_datum(extra={"a": "\ud800"})),
    "half a character in a raw key": record(with_datum(extra={"\ud800": 1})),
    "half a character in an unknown field": record(with_datum(seeing="\ud800")),
    "an unknown number too large for a float": record(json.dumps(with_datum(seeing=77)).replace("77", "1e400").encode()),
}


@pytest.mark.parametrize("name", POISON)
def test_poison_is_told_with_its_reason(name: str) -> None:
    bad, reason = POISON[name]
    with pytest.raises(Poison) as poison:
        decode(bad)

    assert poison.value.reason == reason
    assert poison.value.detail


@pytest.mark.parametrize("name", UNWRITABLE)
def test_what_could_not_be_written_again_is_poison(name: str) -> None:
    with pytest.raises(Poison):
        decode(UNWRITABLE[name])


def test_nesting_below_the_limit_is_read() -> None:
    assert decode(record(NOT_DEEP)).type == ATTRIBUTES["ce_type"]


@pytest.mark.parametrize("event_type", sorted(RESERVED_TYPES))
def test_types_reserved_for_later_are_ignored_politely(event_type: str) -> None:
    with pytest.raises(Ignored, match="reserved for a later version"):
        decode(record(b"{}", ce_type=event_type))


@pytest.mark.parametrize("event_type", sorted(EVENT_TYPES))
def test_every_type_refuses_the_body_of_nothing(event_type: str) -> None:
    with pytest.raises(Poison) as poison:
        decode(record({"tom": TOM}, ce_type=event_type))

    assert poison.value.reason == "bad_event"


CANARY = "hunter2"
WHERE: list[tuple[str, dict[str, Any]]] = [
    ("tom.name", {"tom": TOM | {"name": CANARY * 40}}),
    ("tom.url", {"tom": TOM | {"url": CANARY}}),
    ("tom.url", {"tom": TOM | {"url": f"https://alice:{CANARY}@tom.example.org/"}}),
    ("tom.url", {"tom": TOM | {"url": f"https://tom.example.org:{CANARY}/"}}),
    ("tom.url", {"tom": TOM | {"url": f"https://{CANARY}\u2100.org/"}}),
    ("target", {"target": CANARY}),
    ("target.type", {"target": TARGET | {"type": CANARY}}),
    ("target.ra", {"target": TARGET | {"ra": CANARY}}),
    ("datums.0.photometry.brightness", {"datums": [DATUM | {"brightness": CANARY}]}),
    ("datums.0.photometry.timestamp", {"datums": [DATUM | {"timestamp": CANARY}]}),
    ("datums.0.photometry.id", {"datums": [DATUM | {"id": CANARY}]}),
    ("datums.0.other.value", {"datums": [DATUM | {"data_type": CANARY}]}),
    ("hops.0", {"hops": [CANARY]}),
    ("title", {"title": [CANARY]}),
]


@pytest.mark.parametrize(("field", "changed"), WHERE)
def test_complaints_name_the_field_and_never_its_value(field: str, changed: dict[str, Any]) -> None:
    with pytest.raises(Poison) as poison:
        decode(record(BODY | changed))

    assert poison.value.detail.startswith(f"{field}: ")
    assert CANARY not in str(poison.value)


def test_a_complaint_stays_short_however_long_the_keys_are() -> None:
    target = TARGET | {"extras": {f"{number}{'k' * 150_000}": 1 for number in range(5)}}
    with pytest.raises(Poison) as poison:
        decode(record({"tom": TOM, "target": target}, ce_type="tom.target.shared.v1"))

    assert len(poison.value.detail) < 2_000


def test_a_complaint_names_at_most_five_fields_and_counts_the_rest() -> None:
    target = TARGET | dict.fromkeys(["ra", "dec", "epoch", "pm_ra", "pm_dec", "parallax", "distance"], "x")
    with pytest.raises(Poison, match=r"target\.ra: .*and 2 more") as poison:
        decode(record({"tom": TOM, "target": target}, ce_type="tom.target.shared.v1"))

    assert poison.value.detail.count(";") == 5


def end_of(bad: Record) -> str:
    """Return what became of a record; anything but an event, Poison and Ignored comes out as it is."""
    try:
        return decode(bad).type
    except (Poison, Ignored) as error:
        return type(error).__name__


any_header = st.tuples(st.sampled_from([*ATTRIBUTES, "_id", "_format", "x"]) | st.text(max_size=5), st.binary(max_size=40))


@given(st.none() | st.binary(max_size=60), st.lists(any_header, max_size=8).map(tuple))
def test_arbitrary_bytes_and_headers_are_poison(value: bytes | None, any_headers: Headers) -> None:
    assert end_of(Record(key=None, value=value, headers=any_headers)) == "Poison"


PRODUCT = {"name": "a.csv", "data_product_type": "", "size": 0, "sha256": "0" * 64, "content": {"url": "x"}}


@given(strategies.documents, st.sampled_from(["tom", "target", "datums", "datum", "product", "content", "timestamp", "body"]))
def test_arbitrary_json_in_any_place_is_an_event_or_poison(document: Any, place: str) -> None:
    places = {
        "datum": {"datums": [document]},
        "timestamp": {"datums": [DATUM | {"timestamp": document}]},
        "content": {"product": PRODUCT | {"content": document}},
    }
    whole = BODY | {"name": "list", "product": PRODUCT} | places.get(place, {place: document})
    value = json.dumps(document if place == "body" else whole).encode()

    for event_type in EVENT_TYPES:
        assert end_of(Record(key=None, value=value, headers=headers(ce_type=event_type))) in {event_type, "Poison"}


@given(st.dictionaries(st.sampled_from(["specversion", "id", "source", "type", "time", "data"]), strategies.documents))
def test_arbitrary_structured_documents_are_poison(document: dict[str, Any]) -> None:
    with pytest.raises(Poison):
        from_structured(document)
