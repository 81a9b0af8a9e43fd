"""The headers of a record: CloudEvents in binary content mode, and hop's."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hop.io import Deserializer
from hop.models import JSONBlob
from hypothesis import given

from bridge import schemas
from bridge.codecs.headers import encode_headers, header_texts, read_attributes
from bridge.codecs.native import decode, encode, new_event
from bridge.codecs.record import Record
from bridge.errors import Poison
from bridge.events import ShareEvent, Target, TargetShared, TomIdentity
from tests.unit import strategies

EVENT = new_event(
    TargetShared(
        tom=TomIdentity(name="Example TOM", url="https://tom.example.org/"), target=Target(name="α Cen", type="SIDEREAL")
    ),
    now=datetime(2026, 11, 23, 4, 30, tzinfo=UTC),
    event_id=UUID("12345678-1234-4678-9234-567812345678"),
)
TEXTS = {"specversion": "1.0", "id": str(EVENT.id), "source": EVENT.source, "type": EVENT.type, "time": "2026-11-23T04:30:00Z"}


def test_the_headers_are_these() -> None:
    assert encode_headers(EVENT) == (
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", b"12345678-1234-4678-9234-567812345678"),
        ("ce_source", b"https://tom.example.org/"),
        ("ce_type", b"tom.target.shared.v1"),
        ("ce_time", b"2026-11-23T04:30:00.000000Z"),
        ("ce_subject", "α Cen".encode()),
        ("ce_dataschema", b"urn:tom-bridge:schema:tom.target.shared.v1"),
        ("_format", b"json"),
        ("_id", EVENT.id.bytes),
    )


@given(strategies.events())
def test_hops_id_is_the_sixteen_bytes_of_the_cloudevents_id(event: ShareEvent) -> None:
    headers = dict(encode(event).headers)

    assert UUID(bytes=headers["_id"]) == UUID(headers["ce_id"].decode()) == event.id


@given(strategies.events())
def test_attributes_are_read_back(event: ShareEvent) -> None:
    texts = header_texts(encode_headers(event))
    assert texts is not None
    found = read_attributes(texts)

    assert (found.id, found.type, found.source, found.time) == (event.id, event.type, event.source, event.time)


def test_of_two_headers_with_one_name_the_first_counts() -> None:
    headers = (("ce_specversion", b"1.0"), ("ce_id", b"first"), ("ce_id", b"second"))

    assert header_texts(headers) == {"specversion": "1.0", "id": "first"}


def test_without_a_specversion_there_are_no_attributes() -> None:
    assert header_texts((("ce_id", b"x"), ("_format", b"json"))) is None


def test_headers_of_others_may_hold_any_bytes() -> None:
    headers = (*encode_headers(EVENT), ("trace", b"\xff\xfe"))

    assert decode(Record(key=None, value=encode(EVENT).value, headers=headers)) == EVENT


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type"])
def test_a_missing_attribute_is_named(name: str) -> None:
    with pytest.raises(Poison, match=rf"missing: {name}$") as poison:
        read_attributes({key: text for key, text in TEXTS.items() if key != name})

    assert poison.value.reason == "missing_attributes"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"specversion": "2.0"}, "cloudevents_version"),
        ({"specversion": "0.3"}, "cloudevents_version"),
        ({"id": "not-a-uuid"}, "bad_attributes"),
        ({"time": "yesterday"}, "bad_attributes"),
        ({"time": "2026-11-23T04:30:00"}, "bad_attributes"),
    ],
)
def test_malformed_attributes_are_poison(changed: dict[str, str], reason: str) -> None:
    with pytest.raises(Poison) as poison:
        read_attributes(TEXTS | changed)

    assert poison.value.reason == reason


def test_later_versions_of_cloudevents_1_are_read() -> None:
    assert read_attributes(TEXTS | {"specversion": "1.1"}).id == EVENT.id


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_beyond_the_calendar_is_poison(time: str) -> None:
    with pytest.raises(Poison) as poison:
        read_attributes(TEXTS | {"time": time})

    assert poison.value.reason == "bad_attributes"


@dataclass(frozen=True)
class Message:
    """What hop asks of confluent_kafka's message, which only librdkafka can make."""

    record: Record

    def value(self) -> bytes | None:
        return self.record.value

    def headers(self) -> list[tuple[str, bytes]]:
        return list(self.record.headers)


@pytest.mark.parametrize("name", sorted(schemas.example_events()))
def test_hops_own_reader_takes_the_record_for_a_json_blob(name: str) -> None:
    record = encode(schemas.example_events()[name])
    read = Deserializer.deserialize(Message(record))

    assert isinstance(read, JSONBlob)
    assert read.content == json.loads(record.value or b"")
