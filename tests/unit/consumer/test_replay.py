"""Replaying dead letters: each ends, or is a dead letter again, once."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import pytest

from bridge.codecs.dead_letter import DeadLetter, open_letters
from bridge.codecs.echo import echo_headers
from bridge.codecs.native import encode
from bridge.codecs.record import ConsumedRecord, Record, header
from bridge.consumer.dead_letters import DeadLetters, dead_letter
from bridge.consumer.outcome import Outcome, refused
from bridge.consumer.replay import Replay, choose
from bridge.consumer.work import Current
from bridge.errors import Retryable
from bridge.events import ShareEvent
from bridge.settings import ConsumerSettings
from bridge.tom.written import Failure, Written
from tests.unit.consumer.doubles import EVENTS, NOW, consumed, intake

NAME = "not-my-tom"
READER = intake(ConsumerSettings(subscribe=["s:t"], accept_sources=["*"]))
WRITTEN = Outcome.of(Written(target_id=7, written=1))


class Topic:
    """A dead-letter topic in memory."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def publish(self, _topic: str, records: list[Record]) -> int:
        self.records += records
        return len(records)

    def hold(self, record: Record, outcome: Outcome) -> None:
        self.records.append(dead_letter(consumed(record, 4), outcome, destination=NAME, now=NOW))

    def open(self) -> list[DeadLetter]:
        placed = [
            ConsumedRecord(record=record, topic="dead", partition=0, offset=offset, timestamp_ms=0)
            for offset, record in enumerate(self.records)
        ]
        return list(open_letters(placed, destination=NAME).values())


class Tom:
    """A destination that answers as it is told."""

    def __init__(self, *answers: Outcome | Exception) -> None:
        self._answers = list(answers)
        self.current = Current()
        self.marks: list[Mapping[str, str]] = []
        self.written: list[tuple[str, Collection[int] | None]] = []

    def note_refused(self, event: ShareEvent, /) -> None:
        raise AssertionError("nothing is given up in a replay")

    def write(
        self, event: ShareEvent, /, *, only: Collection[int] | None = None, so_far: Callable[[int], Written] | None = None
    ) -> Outcome:
        assert so_far is None
        self.marks.append(self.current.headers())
        self.written.append((event.type, only))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def replay(topic: Topic, tom: Tom) -> list[str]:
    publisher: Any = topic
    replayed = Replay(
        intake=intake(ConsumerSettings(subscribe=["s:t"], accept_sources=["https://tom.example.org/"])),
        destination=tom,
        letters=DeadLetters(publisher=publisher, topic="dead", destination=NAME),
        now=lambda: NOW,
        current=tom.current,
    )
    return [outcome.end for _letter, outcome in replayed.run(topic.open())]


HELD = refused("unmatched", "no target there yet")


def held(*names: str, outcome: Outcome = HELD) -> Topic:
    topic = Topic()
    for name in names:
        topic.hold(encode(EVENTS[name]), outcome)
    return topic


def test_a_letter_that_can_be_written_now_is_and_comes_to_its_end() -> None:
    topic = held("reduced_datums")

    assert replay(topic, Tom(WRITTEN)) == ["written"]
    assert topic.open() == []
    assert header(topic.records[-1].headers, "dead_letter_outcome") == b"written"


def test_a_letter_that_is_refused_again_is_there_once() -> None:
    topic = held("reduced_datums")
    for _ in range(3):
        assert replay(topic, Tom(refused("ambiguous_target", "two"))) == ["refused"]

    [letter] = topic.open()
    assert (letter.reason, letter.replays, letter.origin) == ("ambiguous_target", 3, "tom.shares[0]@4")
    assert letter.record == encode(EVENTS["reduced_datums"])


def test_of_an_event_that_was_written_in_part_only_the_refused_datums_are_sent() -> None:
    failures = tuple(Failure(f"datum {number}", "tom_error", "failed", number) for number in (1, 3))
    topic = held("reduced_datums", outcome=Outcome(end="partial", reason="tom_error", failures=failures))
    tom = Tom(WRITTEN)
    replay(topic, tom)

    assert tom.written == [("tom.reduced_datums.shared.v1", {1, 3})]


def test_a_destination_that_is_away_leaves_every_letter_as_it_is() -> None:
    topic = held("target_sidereal", "reduced_datums")
    with pytest.raises(Retryable):
        replay(topic, Tom(Retryable("away")))

    assert len(topic.open()) == 2
    assert len(topic.records) == 2


def test_letters_are_replayed_in_the_order_in_which_they_came() -> None:
    topic = held("target_sidereal", "reduced_datums")
    tom = Tom(WRITTEN, WRITTEN)
    replay(topic, tom)

    assert [kind for kind, _only in tom.written] == ["tom.target.shared.v1", "tom.reduced_datums.shared.v1"]


def test_a_replay_asks_for_consent_as_a_consumer_does() -> None:
    topic = held("target_sidereal")
    publisher: Any = topic
    other = Replay(
        intake=intake(ConsumerSettings(subscribe=["s:t"], accept_sources=["https://another.example.org/"])),
        destination=Tom(),
        letters=DeadLetters(publisher=publisher, topic="dead", destination=NAME),
        now=lambda: NOW,
        current=Current(),
    )

    assert [outcome.reason for _letter, outcome in other.run(topic.open())] == ["source_not_accepted"]


def test_poison_and_what_was_left_out_stay_dead_letters() -> None:
    topic = Topic()
    topic.hold(Record(key=None, value=b"{", headers=()), refused("bad_json", "no JSON"))
    large = dead_letter(
        consumed(Record(key=b"k", value=None, headers=()), 9), refused("too_large", "x"), destination=NAME, now=NOW
    )
    topic.records.append(Record(key=large.key, value=None, headers=(*large.headers, ("dead_letter_left_out_bytes", b"2000"))))

    assert replay(topic, Tom()) == ["refused", "refused"]
    assert {letter.replays for letter in topic.open()} == {1}


def test_requests_are_marked_with_the_event_while_it_is_written() -> None:
    tom = Tom(WRITTEN)
    replay(held("target_sidereal"), tom)

    assert tom.marks == [echo_headers(EVENTS["target_sidereal"])]
    assert tom.current.headers() == {}


def test_letters_are_chosen_by_reason_target_and_time() -> None:
    topic = held("target_sidereal", "reduced_datums")
    topic.hold(Record(key=None, value=b"{", headers=()), refused("bad_json", "no JSON"))
    letters = topic.open()
    name = EVENTS["target_sidereal"].body.target.name  # type: ignore[union-attr]

    assert [letter.id for letter in choose(letters, intake=READER, reasons=["bad_json"])] == ["0-2"]
    assert "0-0" in [letter.id for letter in choose(letters, intake=READER, target=name.lower().replace(" ", ""))]
    assert "0-2" not in [letter.id for letter in choose(letters, intake=READER, target=name)]
    assert choose(letters, intake=READER, since="2026-11-24T00:00:00.000000Z") == []
    assert len(choose(letters, intake=READER, since="2026-11-23T00:00:00.000000Z", until="2026-11-24T00:00:00.000000Z")) == 3
    assert choose(letters, intake=READER, until="2026-11-23T04:30:00.000000Z") == []
