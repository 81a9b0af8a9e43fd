"""Open dead letters are those that `open_letters` finds, counted without keeping records."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bridge.codecs.dead_letter import open_letters, resolution
from bridge.codecs.record import ConsumedRecord, Record
from bridge.consumer.dead_letters import dead_letter
from bridge.consumer.outcome import refused
from bridge.observe.page.letters import MOST_REASONS, OpenLetters
from bridge.observe.page.lines import LONGEST_NAME
from tests.unit.observe.page.seen import NOW, consumed, record, shared

REASONS = ["ambiguous_target", "target_mismatch"]
DESTINATIONS = ["not-my-tom", "another"]


def letter(
    offset: int = 0, *, reason: str = REASONS[0], of: Record | None = None, destination: str = DESTINATIONS[0]
) -> Record:
    about = consumed(of or record(shared()), offset)
    return dead_letter(about, refused(reason, "why"), destination=destination, now=NOW)


def taken(*records: Record, most: int = 50_000) -> OpenLetters:
    found = OpenLetters(most)
    for offset, each in enumerate(records):
        found.add(consumed(each, offset, topic="dead"))
    return found


@st.composite
def topics(draw: st.DrawFn) -> list[ConsumedRecord]:
    """A dead-letter topic of one partition: letters, letters of the same record, replays, ends, and what is none of them."""
    bodies = [record(shared("A")), record(shared("B")), Record(key=None, value=None, headers=())]
    topic: list[ConsumedRecord] = []
    for offset in range(draw(st.integers(0, 14))):
        kind = draw(st.sampled_from(["letter", "letter", "replay", "end", "junk"]))
        destination = draw(st.sampled_from(DESTINATIONS))
        known = list(open_letters(topic, destination=destination).values())
        origin, reason, body = draw(st.integers(0, 2)), draw(st.sampled_from(REASONS)), draw(st.sampled_from(bodies))
        found = letter(origin, reason=reason, of=body, destination=destination)
        if known and kind == "end":
            found = resolution(draw(st.sampled_from(known)), outcome="written", now=NOW)
        if known and kind == "replay":
            replayed = draw(st.sampled_from(known))
            about = ConsumedRecord(record=replayed.record, topic="dead", partition=0, offset=99, timestamp_ms=0)
            found = dead_letter(about, refused(reason, "again"), destination=destination, now=NOW, replayed=replayed)
        if kind == "junk":
            found = Record(key=b"x", value=b"y", headers=(("dead_letter_resolves", b"\xff"), ("other", b"z")))
        topic.append(consumed(found, offset, topic="dead"))
    return topic


@given(topics())
def test_the_same_letters_are_open_as_for_the_command_line(topic: list[ConsumedRecord]) -> None:
    found = OpenLetters()
    for each in topic:
        found.add(each)
    expected = Counter(
        (destination, open_letter.reason)
        for destination in DESTINATIONS
        for open_letter in open_letters(topic, destination=destination).values()
    )

    assert found.counts() == expected
    ids = {name for destination in DESTINATIONS for name in open_letters(topic, destination=destination)}
    assert {line["id"] for line in found.newest()} <= ids


def test_the_newest_come_first_with_what_they_are_about() -> None:
    found = taken(letter(1), letter(2, reason=REASONS[1])).newest()

    assert [line["id"] for line in found] == ["0-1", "0-0"]
    assert (found[0]["reason"], found[0]["origin"]) == (REASONS[1], "tom.shares[0]@2")
    assert found[0]["about"] == {"name": "SN 2013dx", "linked": True}


def test_a_name_that_is_cut_leads_nowhere() -> None:
    [found] = taken(letter(of=record(shared("x" * 600)))).newest()

    assert found["about"] == {"name": "x" * LONGEST_NAME + "…", "linked": False}


def test_an_end_that_is_read_before_its_letter_counts_all_the_same() -> None:
    first = letter()
    [opened] = open_letters([consumed(first, 5, topic="dead", partition=1)], destination=DESTINATIONS[0]).values()
    found = OpenLetters()
    found.add(consumed(resolution(opened, outcome="written", now=NOW), 0, topic="dead", partition=0))
    found.add(consumed(first, 5, topic="dead", partition=1))

    assert found.counts() == Counter()


def test_memory_is_bounded_and_what_was_forgotten_is_counted() -> None:
    found = taken(*(letter(number) for number in range(30)), most=10)

    assert (found.counts().total(), found.forgotten) == (10, 20)
    assert len(found._ended) <= 10
    assert len(found._by_record) == 10


def test_reasons_without_end_are_summed_up() -> None:
    found = taken(*(replace_reason(letter(number), f"reason {number}") for number in range(200)))

    assert len(found.counts()) == MOST_REASONS
    assert found.counts().total() == 200


def replace_reason(found: Record, reason: str) -> Record:
    headers = tuple((name, reason.encode() if name == "dead_letter_reason" else value) for name, value in found.headers)
    return replace(found, headers=headers)
