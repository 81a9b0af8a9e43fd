"""Share event <-> record: nothing is lost on the way, whatever the event holds."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given

from bridge.codecs.native import (
    MAX_RECORD_BYTES,
    decode,
    encode,
    from_structured,
    identified,
    new_event,
    parse_json,
    to_structured,
)
from bridge.codecs.record import Record
from bridge.events import (
    OtherDatum,
    PhotometryDatum,
    ReducedDatum,
    ReducedDatumsShared,
    ShareEvent,
    Target,
    TargetIdentity,
    TargetShared,
    TomIdentity,
    datum_identity,
)
from tests.unit import strategies

TOM = TomIdentity(name="Example TOM", url="https://tom.example.org/")
NOW = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)


def datums_event(*datums: ReducedDatum) -> ShareEvent:
    target = TargetIdentity(name="a", type="SIDEREAL")
    return new_event(ReducedDatumsShared(tom=TOM, target=target, datums=datums), now=NOW, event_id=UUID(int=1, version=4))


@given(strategies.events())
def test_an_event_comes_back_from_its_record_as_it_was(event: ShareEvent) -> None:
    assert decode(encode(event)) == event


@given(strategies.events())
def test_an_event_comes_back_from_a_line_of_a_file_as_it_was(event: ShareEvent) -> None:
    line = to_structured(event)

    assert "\n" not in line
    assert from_structured(parse_json(line.encode())) == event
    assert decode(Record(key=None, value=line.encode(), headers=())) == event


@given(strategies.events())
def test_encoding_twice_gives_the_same_record(event: ShareEvent) -> None:
    assert encode(decode(encode(event))) == encode(event)


def test_a_datum_without_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="anything but null"):
        OtherDatum(data_type="notes", timestamp=NOW, value=None)


def test_nulls_inside_a_raw_value_come_back() -> None:
    inner: dict[str, Any] = {"a": None, "b": [None, {"c": None}]}
    event = datums_event(
        OtherDatum(data_type="notes", timestamp=NOW, value=inner),
        PhotometryDatum(timestamp=NOW, brightness=1.0, extra=inner),
    )

    assert decode(encode(event)) == event


def test_the_key_is_the_targets_at_its_source_tom() -> None:
    body = TargetShared(tom=TOM, target=Target(name="α Cen", type="SIDEREAL", primary_key=4))

    assert encode(new_event(body, now=NOW)).key == b"https://tom.example.org/targets/4/"


def test_numbers_arrive_to_the_last_digit() -> None:
    extra = {"object_id": 3074457345618258603, "big": 10**30, "tiny": 5e-324}
    event = datums_event(PhotometryDatum(timestamp=NOW, brightness=18.250000000000004, extra=extra))
    datum = decode(encode(event)).body.datums[0]  # type: ignore[attr-defined]

    assert repr(datum.brightness) == "18.250000000000004"
    assert repr(datum.extra) == repr(extra)


def test_unknown_fields_are_ignored_by_readers_and_preserved_by_tools() -> None:
    datum = {"data_type": "photometry", "timestamp": "2024-01-02T00:00:00Z", "brightness": 18.0, "seeing": {"fwhm": 1.5}}
    document = {
        "specversion": "1.0",
        "id": str(UUID(int=1, version=4)),
        "source": TOM.url,
        "type": "tom.reduced_datums.shared.v1",
        "time": "2026-11-23T04:30:00Z",
        "data": {
            "tom": {"name": TOM.name, "url": TOM.url, "operator": "α"},
            "target": {"name": "a", "type": "SIDEREAL", "nickname": "b"},
            "datums": [datum],
            "priority": 4,
        },
    }
    passed_on = json.loads(encode(from_structured(document)).value or b"")

    assert passed_on["priority"] == 4
    assert passed_on["tom"]["operator"] == "α"
    assert passed_on["target"]["nickname"] == "b"
    assert passed_on["datums"][0]["seeing"] == {"fwhm": 1.5}


def test_an_event_that_is_too_large_for_hopskotch_is_refused() -> None:
    note = OtherDatum(data_type="notes", timestamp=NOW, value={"text": "x" * MAX_RECORD_BYTES})

    with pytest.raises(ValueError, match="900,000"):
        encode(datums_event(note))


def test_the_limit_counts_bytes_with_key_and_headers() -> None:
    def filled(length: int) -> ShareEvent:
        return datums_event(OtherDatum(data_type="notes", timestamp=NOW, value={"text": "α" * length}))

    room = MAX_RECORD_BYTES - encode(filled(0)).size

    assert encode(filled(room // 2)).size in {MAX_RECORD_BYTES, MAX_RECORD_BYTES - 1}
    with pytest.raises(ValueError, match="large"):
        encode(filled(room // 2 + 1))


@given(strategies.datums)
def test_identified_fills_in_the_identity_and_changes_nothing_else(datum: ReducedDatum) -> None:
    known = identified(TOM.url, datum)

    assert known.id == datum_identity(TOM.url, datum)
    assert known.model_copy(update={"id": None}) == datum


def test_new_events_have_ids_of_their_own() -> None:
    body = TargetShared(tom=TOM, target=Target(name="a", type="SIDEREAL"))
    ids = {new_event(body, now=NOW).id for _ in range(20)}

    assert len(ids) == 20
    assert {identifier.version for identifier in ids} == {4}
