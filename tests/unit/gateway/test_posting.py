"""Publishing for many threads: nothing is acknowledged that the broker does not have, and nobody waits for one that is away."""

import threading
import time

import pytest
from structlog.testing import capture_logs

from bridge.codecs.record import Record
from bridge.errors import Away, Halt, Misconfigured, Retryable
from bridge.gateway.posting import Posting
from tests.support.waiting import wait_for
from tests.unit.gateway.doubles import FakeProducer, Gateway

RECORD = Record(key=None, value=b"{}", headers=())


def test_it_returns_when_the_broker_has_the_record(gateway: Gateway) -> None:
    gateway.posting.publish("t", RECORD)

    assert gateway.records == [("t", RECORD)]


def test_a_failure_of_the_broker_holds_nobody_else_up_and_ends_when_it_answers(gateway: Gateway) -> None:
    back = threading.Event()

    def probe() -> None:
        if not back.is_set():
            raise Retryable("still away")

    gateway.probe = probe
    gateway.errors.append(Retryable("timed out"))

    with capture_logs() as logs:
        with pytest.raises(Retryable, match="timed out"):
            gateway.posting.publish("t", RECORD)
        for _each in range(3):
            began = time.monotonic()
            with pytest.raises(Away):
                gateway.posting.publish("t", RECORD)
            assert time.monotonic() - began < 0.5
        assert gateway.records == []
        back.set()
        wait_for(lambda: gateway.posting.trouble is None, "the broker is asked until it answers", seconds=10)

    gateway.posting.publish("t", RECORD)
    assert len(gateway.records) == 1
    assert len(gateway.producers) == 2, "some failures a producer never recovers from"
    assert [line["event"] for line in logs] == ["broker is away", "broker is back"]


@pytest.mark.parametrize("error", [Halt("too_large_for_topic", "x"), Halt("broker_permission", "x"), Misconfigured("no topic")])
def test_what_concerns_one_topic_or_message_stops_no_other(gateway: Gateway, error: Exception) -> None:
    gateway.errors.append(error)  # type: ignore[arg-type]

    with pytest.raises(type(error)):
        gateway.posting.publish("t", RECORD)

    gateway.posting.publish("u", RECORD)
    assert gateway.posting.trouble is None


def test_a_broker_that_says_nothing_is_given_up_in_time() -> None:
    producer = FakeProducer([], [])
    producer.silent = True
    posting = Posting(producer=lambda: producer, probe=lambda: None, wait_seconds=0.2)

    with posting, pytest.raises(Retryable, match="has not said"):
        posting.publish("t", RECORD)

    assert producer.abandoned


def test_where_too_much_waits_already_it_says_so() -> None:
    producer = FakeProducer([], [])
    producer.full = True
    with Posting(producer=lambda: producer, probe=lambda: None) as posting, pytest.raises(Retryable, match="too much waits"):
        posting.publish("t", RECORD)


def test_many_threads_each_hear_of_their_own(gateway: Gateway) -> None:
    threads = [
        threading.Thread(target=gateway.posting.publish, args=(f"t{number}", RECORD), daemon=True) for number in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)

    assert {topic for topic, _record in gateway.records} == {f"t{number}" for number in range(20)}
