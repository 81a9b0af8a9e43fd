"""Which dead letters are open, and what each says of itself; whatever else is on their topic does no harm."""

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
    outcome: Outcome = WHY, *, name: str = "not-my-tom", replayed: DeadLetter | None = None, attempts: int = 1
) -> Record:
    return dead_letter(consumed(RECORD, 7), outcome, destination=name, now=NOW, replayed=replayed, attempts=attempts)


def read(*records: Record) -> dict[str, DeadLetter]:
    on_topic = [
        ConsumedRecord(record=record, topic="dead", partition=3, offset=offset, timestamp_ms=0)
        for offset, record in enumerate(records)
    ]
    return open_letters(on_topic, destination="not-my-tom")


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

    assert read(letter(), letter(), resolution(first, outcome="written", now=NOW)).keys() == {"3-1"}


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
