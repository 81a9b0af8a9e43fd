"""Records as plain values."""

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
