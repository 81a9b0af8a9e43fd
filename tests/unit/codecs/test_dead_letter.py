"""Which dead letters are open, and what each says of itself; whatever else is on their topic does no harm."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.codecs.dead_letter import PREFIX, DeadLetter, open_letters, resolution
from bridge.codecs.record import ConsumedRecord, Record
from bridge.consumer.dead_letters import dead_letter
from bridge.consumer.outcome import Outcome, refused
from bridge.tom.written import Failure
from tests.unit.consumer.doubles import NOW, consumed

RECORD = Record(key=b"k", value=b"{}", headers=(("ce_id", b"1"), ("ce_id", b"2")))
WHY = refused("ambiguous_target", "two: α", ({"id": 4, "name": "α Cen"},))


def letter(
    outcome: Outcome = WHY,
    *,
    of: Record = RECORD,
    offset: int = 7,
    name: str = "not-my-tom",
    replayed: DeadLetter | None = None,
    attempts: int = 1,
) -> Record:
    return dead_letter(consumed(of, offset), outcome, destination=name, now=NOW, replayed=replayed, attempts=attempts)


def on_topic(*records: Record, partition: int = 3) -> list[ConsumedRecord]:
    return [
        ConsumedRecord(record=record, topic="dead", partition=partition, offset=offset, timestamp_ms=0)
        for offset, record in enumerate(records)
    ]


def read(*records: Record) -> dict[str, DeadLetter]:
    return open_letters(on_topic(*records), destination="not-my-tom")


def test_a_letter_says_all_that_is_known_and_has_its_record_as_it_came() -> None:
    found = read(letter(attempts=2))["3-0"]

    assert (found.reason, found.detail, found.origin) == ("ambiguous_target", "two: α", "tom.shares[0]@7")
    assert (found.attempts, found.replays, found.time) == (2, 0, "2026-11-23T04:30:00.000000Z")
    assert found.candidates == ({"id": 4, "name": "α Cen"},)
    assert found.record == RECORD
    assert found.datums is None


def test_refused_datums_are_known_by_their_numbers_unless_something_else_was_refused_too() -> None:
    datums = [Failure(f"datum {number}", "tom_error", "failed", number) for number in (2, 250)]
    product = Failure("product", "product_not_processed", "no")

    partly = read(letter(Outcome(end="partial", reason="tom_error", failures=tuple(datums))))["3-0"]
    mixed = read(letter(Outcome(end="partial", reason="tom_error", failures=(*datums, product))))["3-0"]

    assert partly.datums == {2, 250}
    assert partly.items[1] == ("datum 250", "tom_error", "failed")
    assert mixed.datums is None


def test_a_letter_that_has_come_to_its_end_is_not_open_any_more() -> None:
    first = read(letter())["3-0"]

    assert read(letter(), letter(offset=8), resolution(first, outcome="written", now=NOW)).keys() == {"3-1"}


def test_a_letter_that_was_refused_again_stands_in_the_place_of_the_old_one() -> None:
    first = read(letter(attempts=2))["3-0"]
    again = read(letter(), letter(refused("target_mismatch", "far"), replayed=first))

    assert again.keys() == {"3-1"}
    assert (again["3-1"].reason, again["3-1"].origin) == ("target_mismatch", first.origin)
    assert (again["3-1"].replays, again["3-1"].attempts) == (1, 3)
    assert again["3-1"].record == RECORD


def test_letters_of_other_consumers_are_theirs() -> None:
    assert read(letter(name="another"), letter()).keys() == {"3-1"}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    f"{PREFIX}{name}"
                    for name in ("reason", "destination", "items", "datums", "candidates", "attempts", "resolves")
                ]
            ),
            st.sampled_from([b"not-my-tom", b"{", b"[[1]]", b'["x"]', b"-1", b"\xff"]) | st.binary(max_size=8),
        )
    )
)
def test_records_that_nobody_of_us_wrote_do_no_harm(headers: list[tuple[str, bytes]]) -> None:
    found = read(Record(key=None, value=None, headers=tuple(headers)), letter())

    assert "3-1" in found or ("dead_letter_resolves", b"3-1") in headers


@pytest.mark.parametrize("name", ["items", "datums", "candidates"])
@pytest.mark.parametrize("text", [b"[" * 100_000, b"9" * 5_000, b"[NaN, 1e400]", b'{"a": 1}', b"[[[[1], 2, 3]]]"])
def test_a_header_of_ours_that_nobody_can_read_is_as_good_as_none(name: str, text: bytes) -> None:
    about = (("dead_letter_reason", b"r"), ("dead_letter_destination", b"not-my-tom"), (f"dead_letter_{name}", text))
    found = read(Record(key=None, value=None, headers=about))["3-0"]

    assert (found.reason, found.candidates, found.items) == ("r", (), ())


# --- a letter and its record

any_text = st.text(max_size=8)
any_headers = st.lists(
    st.tuples(any_text | st.sampled_from(["ce_id", "_id", "DEAD_LETTER_x", "dead_letter"]), st.binary(max_size=8))
)
any_records = st.builds(
    Record,
    key=st.none() | st.binary(max_size=20),
    value=st.none() | st.binary(max_size=40),
    headers=any_headers.map(lambda found: tuple(h for h in found if not h[0].startswith(PREFIX))),
)


@given(any_records, st.integers(0, 2**63 - 1))
def test_a_letter_gives_its_record_back_to_the_last_byte(record: Record, offset: int) -> None:
    [found] = read(letter(of=record, offset=offset)).values()

    assert (found.record.key, found.record.value, found.record.headers) == (record.key, record.value, record.headers)
    assert found.origin == f"tom.shares[0]@{offset}"
    assert found.left_out_bytes == 0


@given(any_records)
def test_so_does_a_letter_that_was_refused_again_and_again(record: Record) -> None:
    topic = [letter(of=record)]
    for _ in range(3):
        [found] = read(*topic).values()
        topic.append(letter(of=found.record, offset=0, replayed=found))

    [found] = read(*topic).values()
    assert (found.record, found.origin, found.replays) == (record, "tom.shares[0]@7", 3)


@given(any_records, st.lists(st.tuples(any_text.map(lambda text: PREFIX + text), st.binary(max_size=8)), min_size=1))
def test_headers_that_pass_for_ours_do_not_come_along(record: Record, false: list[tuple[str, bytes]]) -> None:
    """A record that came with them would else say why it is a dead letter, or that another one has come to its end."""
    made = letter(of=replace(record, headers=(*false, *record.headers, *false)))

    assert made == letter(of=record)
    assert read(letter(offset=0), made).keys() == {"3-0", "3-1"}


def test_half_a_character_that_a_tom_answered_with_does_not_stop_the_letter() -> None:
    made = letter(refused("refused_by_tom", "name: \ud800", ({"id": 4, "name": "\ud800"},)))
    [found] = read(made).values()

    assert found.detail == "name: \\ud800"
    assert found.candidates == ({"id": 4, "name": "\ud800"},)


# --- the same record again: its letter was published, and the consumer killed before it committed


def test_of_letters_about_one_record_the_latest_is_open() -> None:
    topic = [letter(), letter(offset=8), letter(refused("unmatched", "no longer there"), attempts=2)]

    assert {name: found.reason for name, found in read(*topic).items()} == {"3-1": "ambiguous_target", "3-2": "unmatched"}


def test_when_that_one_has_come_to_its_end_the_earlier_ones_have_as_well() -> None:
    topic = [letter(), letter(), letter()]
    [last] = read(*topic).values()

    assert last.id == "3-2"
    assert read(*topic, resolution(last, outcome="written", now=NOW)) == {}


def test_one_that_comes_after_the_end_of_the_earlier_one_is_open() -> None:
    [first] = read(letter()).values()

    assert read(letter(), resolution(first, outcome="written", now=NOW), letter()).keys() == {"3-2"}


def test_it_takes_the_place_of_one_that_was_refused_again_too() -> None:
    [first] = read(letter()).values()

    assert read(letter(), letter(replayed=first), letter()).keys() == {"3-2"}


def test_one_that_was_refused_again_takes_the_place_of_no_other_than_its_own() -> None:
    [first] = read(letter()).values()

    assert read(letter(), letter(), letter(replayed=first)).keys() == {"3-1", "3-2"}


@pytest.mark.parametrize(
    "other",
    [
        replace(RECORD, value=b"[]"),
        replace(RECORD, value=None),
        replace(RECORD, key=b"l"),
        replace(RECORD, key=None),
        replace(RECORD, headers=(("ce_id", b"1"), ("ce_id", b"3"))),
    ],
)
def test_another_record_of_the_same_origin_hides_none(other: Record) -> None:
    """The topic was deleted and made anew."""
    assert read(letter(), letter(of=other)).keys() == {"3-0", "3-1"}
    assert read(letter(), letter(of=other), letter()).keys() == {"3-1", "3-2"}


def test_what_was_left_out_is_told_apart_by_its_hash() -> None:
    def without(digest: bytes) -> Record:
        about = (("dead_letter_left_out_bytes", b"2000"), ("dead_letter_left_out_sha256", digest))
        made = letter(of=replace(RECORD, value=None))
        return replace(made, headers=(*made.headers, *about))

    assert read(without(b"a"), without(b"b"), without(b"a")).keys() == {"3-1", "3-2"}


def test_what_was_left_out_is_still_known_after_replays() -> None:
    about = (("dead_letter_left_out_bytes", b"2000"), ("dead_letter_left_out_sha256", b"abc"))
    left_out = letter(of=replace(RECORD, value=None))
    topic = [replace(left_out, headers=(*left_out.headers, *about))]
    for number in range(3):
        [found] = read(*topic).values()
        assert (found.replays, found.left_out_bytes, found.left_out_sha256) == (number, 2000, "abc")
        topic.append(letter(of=found.record, replayed=found))


def test_letters_of_another_consumer_hide_none() -> None:
    assert read(letter(), letter(name="another")).keys() == {"3-0"}


def test_letters_without_an_origin_are_all_open() -> None:
    without = (("dead_letter_reason", b"r"), ("dead_letter_destination", b"not-my-tom"))

    assert read(Record(key=None, value=None, headers=without), Record(key=None, value=None, headers=without)).keys() == {
        "3-0",
        "3-1",
    }


def test_which_of_two_partitions_is_read_first_makes_no_difference() -> None:
    """A record without a key goes to any of them."""
    one, other = on_topic(letter(), partition=0), on_topic(letter(), partition=1)

    assert open_letters(one + other, destination="not-my-tom").keys() == {"1-0"}
    assert open_letters(other + one, destination="not-my-tom").keys() == {"1-0"}


@dataclass
class Model:
    """What should be open, told step by step as an operator would: by the number of the record and of the letter."""

    topic: list[Record]
    open: dict[str, int]

    def add(self, made: Record, number: int) -> None:
        self.open[f"3-{len(self.topic)}"] = number
        self.topic.append(made)

    def of(self, number: int) -> list[str]:
        return [name for name, about in self.open.items() if about == number]


RECORDS = [
    Record(key=b"k", value=b"{}", headers=()),
    Record(key=b"k", value=b"[]", headers=()),
    Record(key=b"k", value=None, headers=()),
    Record(key=None, value=None, headers=(("ce_id", b"1"),)),
]
steps = st.tuples(
    st.sampled_from(["comes", "comes", "replayed, refused", "replayed, ended", "another's", "noise"]), st.integers(0, 11)
)


@given(st.lists(steps, max_size=25))
def test_whatever_happens_exactly_the_right_letters_are_open(happened: list[tuple[str, int]]) -> None:
    model = Model([], {})
    for what, number in happened:
        record, offset = RECORDS[number % 4], number // 4  # of the same place there may be several, after a topic was made anew
        found = read(*model.topic)
        assert found.keys() == model.open.keys()
        chosen = list(found.values())[number % len(found)] if found else None
        if what == "comes":
            for name in model.of(number):
                del model.open[name]
            model.add(letter(of=record, offset=offset), number)
        elif what == "another's":
            model.topic.append(letter(of=record, offset=offset, name="another"))
        elif what == "noise":
            model.topic.append(record)
        elif chosen is not None:
            about = model.open.pop(chosen.id)
            if what == "replayed, refused":
                model.add(letter(of=chosen.record, offset=99, replayed=chosen), about)
            else:
                model.topic.append(resolution(chosen, outcome="written", now=NOW))

    found = read(*model.topic)
    assert found.keys() == model.open.keys()
    assert all(found[name].record == RECORDS[number % 4] for name, number in model.open.items())
