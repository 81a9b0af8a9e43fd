"""Handing records over without waiting: each is reported once, confirmed or not, and the order is kept."""

import time
from collections.abc import Callable

from bridge.codecs.record import Record
from bridge.demo.ports import free_port
from bridge.errors import BridgeError, Retryable
from bridge.kafka.connection import Connection, connect_settings
from bridge.kafka.publisher import Publisher
from bridge.settings import StreamEntry
from tests.broker.conftest import Subscribe, numbered, read

Reports = list[tuple[int, BridgeError | None]]


def send_all(publisher: Publisher, topic: str, records: list[Record]) -> Reports:
    """Hand records over; the list fills as reports come in."""
    reports: Reports = []

    def report_of(number: int) -> Callable[[BridgeError | None], None]:
        return lambda error: reports.append((number, error))

    for number, record in enumerate(records):
        assert publisher.send(topic, record, report_of(number))
    return reports


def serve_until(publisher: Publisher, reports: Reports, count: int, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while len(reports) < count and time.monotonic() < end:
        publisher.serve(0.1)


def test_each_record_is_reported_once_and_arrives_in_order(connection: Connection, topic: str, subscribe: Subscribe) -> None:
    publisher = Publisher(connection, delivery_timeout_seconds=0)
    reports = send_all(publisher, topic, numbered(30, key="one target"))
    serve_until(publisher, reports, 30)

    assert sorted(reports) == [(number, None) for number in range(30)]
    assert [int(consumed.record.value or b"") for consumed in read(subscribe(), 30)] == list(range(30))


def test_what_is_given_up_is_reported_as_failed() -> None:
    entry = StreamEntry(BASE_URL=f"kafka://127.0.0.1:{free_port()}/")
    publisher = Publisher(connect_settings("share-stream", entry), delivery_timeout_seconds=0)
    reports = send_all(publisher, "tom.shares", numbered(3))
    publisher.abandon()

    assert sorted(number for number, _error in reports) == [0, 1, 2]
    assert all(isinstance(error, Retryable) for _number, error in reports)


def test_a_broker_that_is_away_is_told_of_while_records_wait() -> None:
    entry = StreamEntry(BASE_URL=f"kafka://127.0.0.1:{free_port()}/")
    publisher = Publisher(connect_settings("share-stream", entry), delivery_timeout_seconds=0)
    reports = send_all(publisher, "tom.shares", numbered(1))
    end = time.monotonic() + 20
    while publisher.trouble("tom.shares") is None and time.monotonic() < end:
        publisher.serve(0.1)

    assert "share-stream" in str(publisher.trouble("tom.shares"))
    assert reports == []
    publisher.abandon()
