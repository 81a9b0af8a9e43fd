"""Refusals by the TOM: held back until something shows that it does not refuse everything, and counted meanwhile."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.consumer.outcome import refused
from bridge.consumer.refusals import SETTLE_SECONDS, End, Refusals
from bridge.errors import Halt
from bridge.ledger import Ticket
from tests.unit.consumer.doubles import records_of

[RECORD] = records_of("target_sidereal")
BEGAN = 1000.0


def refusal(offset: int, *, partition: int = 0, detail: str = "HTTP 400") -> End:
    ticket = Ticket(("tom.shares", partition), offset, 0, 0.0)
    return End(consumed=RECORD, events=(), ticket=ticket, outcome=refused("refused_by_tom", detail))


def offsets(ends: Iterable[End]) -> list[int]:
    return [end.ticket.offset for end in ends]


def add(refusals: Refusals, *ends: End, at: float = BEGAN) -> None:
    for end in ends:
        refusals.add(end, at=at)


def test_where_nothing_was_refused_nothing_is_given_out() -> None:
    refusals = Refusals(3)

    assert len(refusals) == 0
    assert list(refusals.something_was_written()) == []
    assert list(refusals.settled(now=BEGAN, at_end=True)) == []


def test_a_refusal_is_held_back_until_something_is_written_and_is_then_given_out_once() -> None:
    refusals = Refusals(4)
    add(refusals, refusal(3), refusal(1), refusal(2))

    assert len(refusals) == 3
    assert list(refusals.settled(now=BEGAN, at_end=False)) == []
    assert offsets(refusals.something_was_written()) == [3, 1, 2]
    assert len(refusals) == 0
    assert list(refusals.something_was_written()) == []
    assert list(refusals.settled(now=BEGAN, at_end=True)) == []


def test_as_many_in_a_row_as_there_may_be_halt_with_what_was_refused_last_and_none_is_given_out() -> None:
    refusals = Refusals(3)
    add(refusals, refusal(0), refusal(1))
    with pytest.raises(Halt) as caught:
        refusals.add(refusal(2, detail="the disk is full"), at=BEGAN)

    assert caught.value.reason == "too_many_refusals"
    assert "refused 3 events one after the other" in caught.value.detail
    assert "refused_by_tom: the disk is full" in caught.value.detail
    assert "3 of them are not committed" in caught.value.detail
    assert "max_refusals_in_a_row" in caught.value.detail
    assert len(refusals) == 3, "they stay uncommitted"


def test_where_there_may_be_one_the_first_halts() -> None:
    with pytest.raises(Halt, match="too_many_refusals"):
        Refusals(1).add(refusal(0), at=BEGAN)


def test_what_is_written_begins_the_count_anew() -> None:
    refusals = Refusals(3)
    for round_number in range(4):
        add(refusals, refusal(10 * round_number), refusal(10 * round_number + 1))

        assert offsets(refusals.something_was_written()) == [10 * round_number, 10 * round_number + 1]
    add(refusals, refusal(90), refusal(91))
    with pytest.raises(Halt):
        refusals.add(refusal(92), at=BEGAN)


def test_where_nothing_follows_they_are_believed_when_the_last_one_has_settled() -> None:
    refusals = Refusals(4)
    refusals.add(refusal(0), at=BEGAN)
    refusals.add(refusal(1), at=BEGAN + SETTLE_SECONDS - 1.0)

    assert list(refusals.settled(now=BEGAN + SETTLE_SECONDS, at_end=False)) == []
    assert list(refusals.settled(now=BEGAN + 2 * SETTLE_SECONDS - 1.01, at_end=False)) == []
    assert offsets(refusals.settled(now=BEGAN + 2 * SETTLE_SECONDS - 1.0, at_end=False)) == [0, 1]
    assert len(refusals) == 0


def test_where_nothing_is_going_to_follow_they_are_believed_at_once() -> None:
    refusals = Refusals(4)
    add(refusals, refusal(0), refusal(1))

    assert offsets(refusals.settled(now=BEGAN, at_end=True)) == [0, 1]
    assert list(refusals.settled(now=BEGAN, at_end=True)) == []


def test_what_has_settled_shows_nothing_of_the_tom_and_still_counts() -> None:
    """A TOM that refuses one event each minute stops the consumer, too, with all but the last of them dead letters."""
    refusals = Refusals(3)
    for number in range(2):
        refusals.add(refusal(number), at=BEGAN + 60 * number)

        assert offsets(refusals.settled(now=BEGAN + 60 * number + SETTLE_SECONDS, at_end=False)) == [number]
    with pytest.raises(Halt) as caught:
        refusals.add(refusal(2), at=BEGAN + 120)

    assert "refused 3 events" in caught.value.detail
    assert "1 of them are not committed" in caught.value.detail


def test_those_whose_partition_went_are_dropped_and_the_others_stay_in_order() -> None:
    refusals = Refusals(9)
    ends = [refusal(0), refusal(1, partition=1), refusal(2), refusal(3, partition=1), refusal(4)]
    add(refusals, *ends)
    for end in ends:
        end.ticket.is_forgotten = end.ticket.partition == ("tom.shares", 1)
    refusals.forget()

    assert len(refusals) == 3
    assert offsets(refusals.something_was_written()) == [0, 2, 4]


def test_one_that_comes_again_after_each_rebalance_counts_once() -> None:
    refusals = Refusals(3)
    for _ in range(5):
        end = refusal(0)
        add(refusals, end)
        end.ticket.is_forgotten = True
        refusals.forget()

    assert len(refusals) == 0


def test_when_all_partitions_went_nothing_is_left_to_settle() -> None:
    refusals = Refusals(9)
    ends = [refusal(0), refusal(1)]
    add(refusals, *ends)
    for end in ends:
        end.ticket.is_forgotten = True
    refusals.forget()

    assert len(refusals) == 0
    assert list(refusals.settled(now=BEGAN + SETTLE_SECONDS, at_end=True)) == []


@given(st.lists(st.sampled_from(["refused", "refused", "written", "settled", "pause", "gone"]), max_size=40), st.integers(1, 6))
def test_whatever_happens_each_is_given_out_once_in_order_or_is_held_or_went_with_its_partition(
    happens: list[str], most: int
) -> None:
    refusals, now, in_a_row = Refusals(most), BEGAN, 0
    added: list[End] = []
    given_out: list[End] = []
    for what in happens:
        if what == "refused":
            in_a_row += 1
            added.append(refusal(len(added), partition=len(added) % 2))
            if in_a_row >= most:
                with pytest.raises(Halt):
                    refusals.add(added[-1], at=now)
                break
            refusals.add(added[-1], at=now)
        elif what == "written":
            in_a_row = 0
            given_out += refusals.something_was_written()
        elif what == "settled":
            given_out += refusals.settled(now=now, at_end=False)
        elif what == "pause":
            now += SETTLE_SECONDS / 2
        else:
            before = len(refusals)
            for end in added:
                end.ticket.is_forgotten |= end.ticket.partition[1] == 0
            refusals.forget()
            in_a_row -= before - len(refusals)

    given_before, still_held = list(given_out), len(refusals)
    given_out += refusals.something_was_written()
    assert len(given_out) - len(given_before) == still_held
    assert offsets(given_out) == sorted(set(offsets(given_out)))
    assert all(end in given_out or end.ticket.is_forgotten for end in added)
