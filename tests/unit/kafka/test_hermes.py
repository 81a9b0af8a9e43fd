"""Records of ours on their way to a topic of Hermes messages: each event is reported once, whatever its messages meet."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

import pytest

from bridge.codecs.hermes.losses import Lost
from bridge.codecs.native import encode, new_event
from bridge.codecs.record import Record
from bridge.errors import BridgeError, Rejected, Retryable
from bridge.events import PhotometryDatum, ReducedDatumsShared, ShareBody, Target, TargetListShared, TargetShared, TomIdentity
from bridge.kafka.connection import Connection
from bridge.kafka.hermes import WirePublisher

NOW = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)
TOM = TomIdentity(name="My TOM", url="https://my-tom.org/")
SN = Target(name="SN 2024abc", type="SIDEREAL", ra=1.0, dec=2.0)
UNITS = ("AB", "", "mJy")


class Broker:
    """What `Publisher` would hand records to; reports come when a test says so."""

    def __init__(self, room: int = 100) -> None:
        self.room = room
        self.sent: list[tuple[Record, Callable[[BridgeError | None], None]]] = []

    def send(self, _topic: str, record: Record, report: Callable[[BridgeError | None], None]) -> bool:
        if len(self.sent) >= self.room:
            return False
        self.sent.append((record, report))
        return True

    def serve(self, seconds: float) -> None:
        self.room += seconds > 0

    def abandon(self) -> None:
        for _record, report in self.sent:
            report(Retryable("given up"))

    def publish(self, topic: str, records: Iterable[Record], *, on_delivered: Callable[[int], None]) -> int:
        for number, record in enumerate(records, 1):
            self.send(topic, record, lambda _error: None)
            on_delivered(number)
        return len(self.sent)


class Wire:
    def __init__(self, broker: Broker, *, most_bytes: int | None = None) -> None:
        self.asked: list[str] = []
        self.most_bytes = most_bytes
        self.ends: list[BridgeError | None] = []
        self.told: list[tuple[str, Sequence[Lost]]] = []
        connection = Connection("s", "k.org:9092", "alice-1", {"sasl.username": "alice-1"})
        self.publisher = WirePublisher(
            broker,  # type: ignore[arg-type]
            connection,
            authors="A. Author",
            told=lambda *said: self.told.append(said),
            limit=self._limit,
        )

    def _limit(self, topic: str) -> int | None:
        self.asked.append(topic)
        return self.most_bytes

    def send(self, record: Record) -> bool:
        return self.publisher.send("hermes.test", record, self.ends.append)


def record(body: ShareBody) -> Record:
    return encode(new_event(body, now=NOW))


def three_messages() -> Record:
    datums = tuple(PhotometryDatum(timestamp=NOW, brightness=1.0, bandpass="r", telescope="x", unit=unit) for unit in UNITS)
    return record(ReducedDatumsShared(tom=TOM, target=SN.identity(), datums=datums))


def test_an_event_is_reported_when_the_last_of_its_messages_is_confirmed() -> None:
    broker = Broker()
    wire = Wire(broker)

    assert wire.send(three_messages())
    assert len(broker.sent) == 3
    for _record, report in broker.sent[:2]:
        report(None)
    assert wire.ends == []
    broker.sent[2][1](None)
    assert wire.ends == [None]


@pytest.mark.parametrize("failing", range(3))
def test_a_failure_of_one_message_is_one_of_the_event_and_said_once(failing: int) -> None:
    broker = Broker()
    wire, error = Wire(broker), Retryable("away")
    wire.send(three_messages())
    for number, (_record, report) in enumerate(broker.sent):
        report(error if number >= failing else None)

    assert wire.ends == [error]


def test_without_room_nothing_of_an_event_is_handed_over() -> None:
    full = Broker(room=0)

    assert not Wire(full).send(three_messages())
    assert full.sent == []


def test_with_room_for_one_message_the_others_follow_when_there_is_more_and_nobody_waits() -> None:
    """A broker may be away for good, and never make room."""
    broker = Broker(room=1)
    wire = Wire(broker)

    assert wire.send(three_messages())
    assert len(broker.sent) == 1
    assert not wire.send(three_messages()), "an event does not come between the parts of another"
    wire.publisher.serve(0)
    assert len(broker.sent) == 1
    for _ in range(2):
        wire.publisher.serve(1.0)
    assert len(broker.sent) == 3
    for _record, report in broker.sent:
        report(None)
    assert wire.ends == [None]
    assert wire.send(record(TargetListShared(tom=TOM, name="Nearby")))


def test_parts_that_were_not_handed_over_are_given_up_with_the_event() -> None:
    broker = Broker(room=1)
    wire = Wire(broker)
    wire.send(three_messages())
    wire.publisher.abandon()

    assert [str(error) for error in wire.ends] == ["given up"]
    broker.room = 100
    wire.publisher.serve(0)
    assert len(broker.sent) == 1


def test_a_part_that_cannot_be_handed_over_is_a_failure_of_the_event(monkeypatch: pytest.MonkeyPatch) -> None:
    broker, error = Broker(room=1), Retryable("the client is broken")
    wire = Wire(broker)
    wire.send(three_messages())

    def fail(*_arguments: object) -> bool:
        raise error

    monkeypatch.setattr(broker, "send", fail)
    wire.publisher.serve(0)
    assert wire.ends == [error]


def test_messages_are_as_large_as_the_topic_says_and_it_is_asked_once() -> None:
    datums = [PhotometryDatum(timestamp=NOW, brightness=18.0, bandpass="r", telescope="x" * 500, unit="AB mag")] * 40
    events = [record(ReducedDatumsShared(tom=TOM, target=SN.identity(), datums=tuple(datums))) for _ in range(2)]
    broker = Broker()
    wire = Wire(broker, most_bytes=10_000)
    for event in events:
        assert wire.send(event)

    assert wire.asked == ["hermes.test"]
    assert len(broker.sent) > 4
    assert max(found.size for found, _report in broker.sent) < 10_000


@pytest.mark.parametrize("told", [None, 100_000_000])
def test_where_a_topic_takes_more_or_nobody_knows_the_default_holds(told: int | None) -> None:
    datums = [PhotometryDatum(timestamp=NOW, brightness=18.0, bandpass="r", telescope="é" * 2_000, unit="AB mag")] * 150
    event = record(ReducedDatumsShared(tom=TOM, target=SN.identity(), datums=tuple(datums)))  # 0.6 MB, and in ASCII 1.8
    broker = Broker()
    Wire(broker, most_bytes=told).send(event)

    assert len(broker.sent) == 2
    assert max(found.size for found, _report in broker.sent) < 1_000_000


def test_a_target_list_is_reported_as_done_by_serve() -> None:
    broker = Broker()
    wire = Wire(broker)
    wire.send(record(TargetListShared(tom=TOM, name="Nearby")))

    assert wire.ends == []
    wire.publisher.serve(1.0)
    assert (wire.ends, broker.sent) == ([None], [])


def test_an_event_of_which_hermes_carries_nothing_is_not_handed_over() -> None:
    with pytest.raises(Rejected, match="no_position"):
        Wire(Broker()).send(record(TargetShared(tom=TOM, target=Target(name="A", type="SIDEREAL"))))


def test_publishing_counts_events_and_not_messages_and_tells_what_is_left_out() -> None:
    broker, delivered = Broker(), list[int]()
    wire = Wire(broker)
    nowhere = record(TargetShared(tom=TOM, target=Target(name="A", type="SIDEREAL")))
    count = wire.publisher.publish(
        "hermes.test", [record(TargetShared(tom=TOM, target=SN)), three_messages(), nowhere], on_delivered=delivered.append
    )

    assert count == 2
    assert delivered[-1] == 3
    assert len(broker.sent) == 4
    assert [subject for subject, _lost in wire.told] == ["SN 2024abc", "A"]
    assert {dict(found.headers)["_sender"] for found, _report in broker.sent} == {b"alice-1"}
