"""Records as plain values."""

from datetime import UTC, datetime

import pytest

from bridge.codecs.record import ConsumedRecord, Record, header

RECORD = Record(key=b"key", value=b'{"secret": 1}', headers=(("a", b"1"), ("a", b"2"), ("b", b"")))


def test_of_headers_with_one_name_the_first_counts_as_for_hops_readers() -> None:
    assert header(RECORD.headers, "a") == b"1"
    assert header(RECORD.headers, "b") == b""
    assert header(RECORD.headers, "c") is None


def test_the_size_counts_key_value_and_headers() -> None:
    assert RECORD.size == 3 + 13 + (1 + 1) + (1 + 1) + (1 + 0)
    assert Record(key=None, value=None, headers=()).size == 0


def test_a_records_repr_shows_no_payload() -> None:
    consumed = ConsumedRecord(record=RECORD, topic="t", partition=1, offset=4, timestamp_ms=0)

    assert "secret" not in repr(RECORD)
    assert "secret" not in repr(consumed)


def test_a_consumed_record_knows_its_place_and_what_to_commit() -> None:
    consumed = ConsumedRecord(record=RECORD, topic="tom.shares", partition=1, offset=4, timestamp_ms=0)

    assert consumed.next_offset == 5
    assert consumed.place == "tom.shares[1]@4"


@pytest.mark.parametrize(
    ("timestamp_ms", "year"), [(253_402_300_799_000, 9999), (253_402_300_800_000, None), (10**15, None), (2**62, None),
                               (2**63 - 1, None), (0, None), (-1, None), (-(2**63), None), (1, 1970)]
)  # fmt: skip
def test_a_time_that_is_none_is_no_time(timestamp_ms: int, year: int | None) -> None:
    """Whoever publishes writes the timestamp, and a broker takes any number."""
    time = ConsumedRecord(record=RECORD, topic="t", partition=1, offset=4, timestamp_ms=timestamp_ms).time

    assert (None if time is None else time.year) == year


def test_the_time_is_utc() -> None:
    consumed = ConsumedRecord(record=RECORD, topic="t", partition=1, offset=4, timestamp_ms=1_793_491_200_000)

    assert consumed.time == datetime(2026, 11, 1, tzinfo=UTC)
