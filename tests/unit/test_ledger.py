"""The ledger never lets an offset be committed before every record in front of it is finished."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.ledger import Ledger, Partition, Ticket

PLACES: list[Partition] = [("tom.shares", 0), ("tom.shares", 1), ("others", 0)]
MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(0, 2), st.integers(0, 3)),  # place, gap before the offset
        st.tuples(st.just("pass over"), st.integers(0, 2), st.integers(0, 3)),
        st.tuples(st.just("finish"), st.integers(0, 999), st.just(0)),  # which of the unfinished tickets
        st.tuples(st.just("forget"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("commit"), st.just(0), st.just(0)),
    ),
    max_size=120,
)


class Follower:
    """A ledger, and beside it, in the simplest way, what it has to say."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.taken: dict[Partition, list[Ticket]] = {}
        self.stale: list[Ticket] = []
        self.next_offset = dict.fromkeys(PLACES, 0)
        self.committed: dict[Partition, int] = {}

    def make(self, move: tuple[str, int, int]) -> None:
        what, number, gap = move
        if what == "take":
            self.take(PLACES[number], gap)
        elif what == "pass over":
            self.pass_over(PLACES[number], gap)
        elif what == "finish":
            self.finish(number)
        elif what == "forget":
            self.forget(PLACES[number])
        else:
            offsets = self.ledger.committable()
            self.ledger.committed(offsets)
            self.committed |= offsets
            assert self.ledger.committable() == {}

    def take(self, place: Partition, gap: int) -> None:
        offset = self.next_offset[place] + gap
        self.next_offset[place] = offset + 1
        ticket = self.ledger.take(place, offset, size_bytes=offset + 7, taken_at=float(offset))
        self.taken.setdefault(place, []).append(ticket)

    def pass_over(self, place: Partition, gap: int) -> None:
        """What is passed over is as what is taken and finished at once."""
        offset = self.next_offset[place] + gap
        self.next_offset[place] = offset + 1
        self.ledger.pass_over(place, offset)
        self.taken.setdefault(place, []).append(Ticket(place, offset, 0, 0.0, is_finished=True))

    def finish(self, number: int) -> None:
        open_ = [ticket for tickets in self.taken.values() for ticket in tickets if not ticket.is_finished]
        waiting = open_ + self.stale
        if waiting:
            ticket = waiting[number % len(waiting)]
            before = self.ledger.committable()
            assert self.ledger.finish(ticket) is (ticket in open_)
            if ticket in self.stale:
                self.stale.remove(ticket)
                assert self.ledger.committable() == before

    def forget(self, place: Partition) -> None:
        tickets = self.taken.pop(place, [])
        self.stale += [ticket for ticket in tickets if not ticket.is_finished]
        self.ledger.forget(place)
        self.committed.pop(place, None)
        self.next_offset[place] = max(0, self.next_offset[place] - 2)  # the broker gives again what was not committed

    def check(self) -> None:
        open_ = [ticket for tickets in self.taken.values() for ticket in tickets if not ticket.is_finished]
        assert self.ledger.unfinished == len(open_)
        assert self.ledger.unfinished_bytes == sum(ticket.size_bytes for ticket in open_)
        firsts, expected, kept = {}, {}, 0
        for place, tickets in self.taken.items():
            first = next((index for index, ticket in enumerate(tickets) if not ticket.is_finished), len(tickets))
            kept += len(tickets) - first
            if first < len(tickets):
                firsts[place] = tickets[first]
            if first > 0 and tickets[first - 1].offset + 1 != self.committed.get(place):
                expected[place] = tickets[first - 1].offset + 1
        assert self.ledger.kept == kept
        assert self.ledger.committable() == expected
        assert {ticket.partition: ticket for ticket in self.ledger.first_unfinished()} == firsts


@given(MOVES)
def test_what_may_be_committed_is_exactly_what_lies_before_the_first_unfinished(moves: list[tuple[str, int, int]]) -> None:
    follower = Follower()
    for move in moves:
        follower.make(move)
        follower.check()


@given(MOVES)
def test_once_all_is_finished_everything_may_be_committed_and_nothing_is_left(moves: list[tuple[str, int, int]]) -> None:
    follower = Follower()
    for move in moves:
        follower.make(move)
    while any(not ticket.is_finished for tickets in follower.taken.values() for ticket in tickets):
        follower.finish(1)
    ledger = follower.ledger

    assert follower.committed | ledger.committable() == {
        place: tickets[-1].offset + 1 for place, tickets in follower.taken.items()
    }
    assert (ledger.unfinished, ledger.unfinished_bytes, ledger.first_unfinished()) == (0, 0, [])


def test_a_ticket_of_before_a_partition_went_changes_nothing_after_it_came_back() -> None:
    ledger = Ledger()
    old = ledger.take(PLACES[0], 5, size_bytes=100)
    ledger.forget(PLACES[0])
    again = ledger.take(PLACES[0], 5, size_bytes=100)

    assert ledger.finish(old) is False
    assert ledger.committable() == {}
    assert (ledger.unfinished, ledger.unfinished_bytes) == (1, 100)
    assert ledger.finish(again) is True
    assert ledger.committable() == {PLACES[0]: 6}


def test_a_commit_for_a_partition_that_went_is_forgotten_too() -> None:
    ledger = Ledger()
    ledger.finish(ledger.take(PLACES[0], 0))
    offsets = ledger.committable()
    ledger.forget(PLACES[0])
    ledger.committed(offsets)
    ledger.finish(ledger.take(PLACES[0], 0))

    assert ledger.committable() == {PLACES[0]: 1}


@pytest.mark.parametrize("offset", [0, 3, 4])
@pytest.mark.parametrize("finished", [False, True])
def test_an_offset_that_was_passed_already_is_an_error(offset: int, finished: bool) -> None:
    ledger = Ledger()
    ticket = ledger.take(PLACES[0], 4)
    if finished:
        ledger.finish(ticket)
    for take in (ledger.take, ledger.pass_over):
        with pytest.raises(ValueError, match=f"offset {offset} was taken after 4"):
            take(PLACES[0], offset)
    assert ledger.unfinished == (0 if finished else 1)


@pytest.mark.parametrize("forgotten", [False, True])
def test_finishing_twice_is_an_error(forgotten: bool) -> None:
    ledger = Ledger()
    ticket = ledger.take(PLACES[0], 4, size_bytes=9)
    ledger.finish(ticket)
    if forgotten:
        ledger.forget(PLACES[0])
    with pytest.raises(ValueError, match="finished twice"):
        ledger.finish(ticket)
    assert (ledger.unfinished, ledger.unfinished_bytes) == (0, 0)


def test_forgetting_what_was_never_taken_is_no_error() -> None:
    Ledger().forget(PLACES[0])
