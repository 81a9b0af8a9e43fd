"""Dead letters keep what came, and say why they are there."""

import json
from typing import Any

import pytest
from hypothesis import given

from bridge.codecs.native import decode, encode
from bridge.codecs.record import ConsumedRecord, Record, header
from bridge.consumer.dead_letters import DeadLetters, dead_letter
from bridge.consumer.outcome import Outcome, refused
from bridge.errors import BridgeError, Halt, Misconfigured, Retryable
from bridge.events import ShareEvent
from bridge.tom.written import Failure
from tests.unit import strategies
from tests.unit.consumer.doubles import EVENTS, NOW, consumed

WHY = refused("ambiguous_target", "2 targets there match: α", ({"id": 4, "name": "α Cen", "aliases": []},))
RECORD = encode(EVENTS["target_sidereal"])


def letter(record: Record, outcome: Outcome = WHY, offset: int = 5) -> Record:
    return dead_letter(consumed(record, offset), outcome, destination="not-my-tom", now=NOW)


def texts(record: Record) -> dict[str, str]:
    return {name: value.decode() for name, value in record.headers if name.startswith("dead_letter_")}


def test_the_record_is_kept_as_it_was_and_ours_is_added_behind() -> None:
    made = letter(RECORD)

    assert (made.key, made.value) == (RECORD.key, RECORD.value)
    assert made.headers[: len(RECORD.headers)] == RECORD.headers


def test_the_headers_say_why_where_from_when_and_for_whom() -> None:
    assert texts(letter(RECORD)) == {
        "dead_letter_reason": "ambiguous_target",
        "dead_letter_detail": "2 targets there match: α",
        "dead_letter_destination": "not-my-tom",
        "dead_letter_origin": "tom.shares[0]@5",
        "dead_letter_time": "2026-11-23T04:30:00.000000Z",
        "dead_letter_attempts": "1",
        "dead_letter_candidates": '[{"id": 4, "name": "α Cen", "aliases": []}]',
    }


def test_failed_items_are_named() -> None:
    failures = tuple(Failure(f"datum {number}", "tom_error", "failed") for number in range(300))
    made = letter(RECORD, Outcome(end="partial", reason="tom_error", failures=failures))
    items = json.loads(header(made.headers, "dead_letter_items") or b"")

    assert items[0] == ["datum 0", "tom_error", "failed"]
    assert len(items) == 200


def test_what_is_empty_has_no_header() -> None:
    assert texts(letter(RECORD, refused("bad_json", ""))).keys() == {
        "dead_letter_reason", "dead_letter_destination", "dead_letter_origin", "dead_letter_time", "dead_letter_attempts",
    }  # fmt: skip


def test_a_dead_letter_that_becomes_one_again_does_not_grow() -> None:
    once = letter(RECORD)
    again = letter(once, refused("target_mismatch", "far away"), offset=9)

    assert texts(again)["dead_letter_reason"] == "target_mismatch"
    assert texts(again)["dead_letter_origin"] == "tom.shares[0]@9"
    assert "dead_letter_candidates" not in texts(again)
    assert letter(once) == once
    assert len(again.headers) < len(once.headers)


@given(strategies.events())
def test_a_dead_letter_can_be_read_and_so_replayed(event: ShareEvent) -> None:
    assert decode(letter(encode(event))) == event


@pytest.mark.parametrize(
    "record",
    [
        Record(key=None, value=None, headers=()),
        Record(key=b"\xff", value=b"\xff\xfe", headers=(("a", b"\xff"), ("a", b""))),
    ],
)
def test_bytes_that_nobody_can_read_are_kept_too(record: Record) -> None:
    made = letter(record)

    assert (made.key, made.value) == (record.key, record.value)
    assert made.headers[: len(record.headers)] == record.headers


class Broker:
    """Takes what is smaller than its limit, and fails as it is told."""

    def __init__(self, most_bytes: int = 10**9, error: BridgeError | None = None) -> None:
        self._most_bytes = most_bytes
        self._error = error
        self.kept: list[tuple[str, Record]] = []

    def publish(self, topic: str, records: list[Record]) -> int:
        if self._error is not None:
            raise self._error
        if any(record.size > self._most_bytes for record in records):
            raise Halt("too_large_for_topic", "larger than the topic's max.message.bytes")
        self.kept += [(topic, record) for record in records]
        return len(records)


def add(broker: Any, record: ConsumedRecord) -> None:
    DeadLetters(publisher=broker, topic="dead", destination="not-my-tom").add(record, WHY, now=NOW)


def test_a_dead_letter_goes_to_its_topic() -> None:
    broker = Broker()
    add(broker, consumed(RECORD, 5))

    assert broker.kept == [("dead", letter(RECORD))]


def test_what_is_too_large_is_named_by_place_size_and_hash_instead() -> None:
    broker = Broker(most_bytes=1_000)
    add(broker, consumed(Record(key=b"k", value=b"x" * 2_000, headers=()), 5))
    _topic, kept = broker.kept[0]

    assert (kept.key, kept.value) == (b"k", None)
    assert texts(kept)["dead_letter_origin"] == "tom.shares[0]@5"
    assert texts(kept)["dead_letter_left_out_bytes"] == "2000"
    assert texts(kept)["dead_letter_left_out_sha256"] == "5c0e0ea421571c300b5df6aec0a118b5c3dc02e0683a546341d5efc689df2f58"


def test_a_record_whose_headers_are_too_large_is_named_as_well() -> None:
    broker = Broker(most_bytes=1_000)
    add(broker, consumed(Record(key=b"k", value=b"{}", headers=(("trace", b"x" * 900),)), 5))

    assert texts(broker.kept[0][1])["dead_letter_origin"] == "tom.shares[0]@5"


@pytest.mark.parametrize("value", [None, b"", b"{}"])
@pytest.mark.parametrize("key", [None, b"", b"k", b"k" * 5_000])
def test_whatever_is_too_large_of_a_record_its_letter_is_published(key: bytes | None, value: bytes | None) -> None:
    """A consumer that halts on one record halts on it for ever."""
    broker = Broker(most_bytes=1_000)
    add(broker, consumed(Record(key=key, value=value, headers=(("trace", b"x" * 900),) * 3), 5))
    [(_topic, kept)] = broker.kept

    assert texts(kept)["dead_letter_origin"] == "tom.shares[0]@5"
    assert kept.key == (key if key is None else key[:250])


def test_a_topic_that_takes_not_even_that_stops_the_consumer() -> None:
    with pytest.raises(Halt, match="too_large_for_topic"):
        add(Broker(most_bytes=10), consumed(RECORD))


@pytest.mark.parametrize("error", [Misconfigured("no such topic"), Halt("broker_login", "refused")])
def test_a_broker_that_does_not_take_it_stops_the_consumer(error: BridgeError) -> None:
    with pytest.raises(Halt):
        add(Broker(error=error), consumed(RECORD))


def test_a_broker_that_is_away_may_be_offered_it_again() -> None:
    with pytest.raises(Retryable):
        add(Broker(error=Retryable("away")), consumed(RECORD))
