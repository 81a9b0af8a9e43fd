"""Lanes keep the order of what belongs together, and hold nothing else back."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.consumer.lanes import Lanes
from bridge.consumer.work import Work
from tests.unit.consumer.doubles import Clock, work

KEYS = st.lists(st.frozensets(st.sampled_from("abcde"), min_size=1, max_size=3), min_size=1, max_size=25)
PATIENCE = 20.0


class WouldBlock(Exception):
    """Nothing is ready."""


def single(clock: Callable[[], float]) -> Lanes:
    """Return lanes that say so where they would block."""

    def wait(_timeout: float | None = None) -> bool:
        raise WouldBlock

    lanes = Lanes(clock=clock)
    lanes._changed.wait = wait  # type: ignore[method-assign]
    return lanes


def is_blocked(lanes: Lanes) -> bool:
    try:
        lanes.next()
    except WouldBlock:
        return True
    return False


class Model:
    """Which works may run, in the simplest way."""

    def __init__(self) -> None:
        self.there: list[Work] = []
        self.begun: list[Work] = []
        self.due: dict[Work, float] = {}

    def ready(self, now: float) -> list[Work]:
        return [
            candidate
            for number, candidate in enumerate(self.there)
            if candidate not in self.begun
            and self.due.get(candidate, 0.0) <= now
            and not any(candidate.keys & earlier.keys for earlier in self.there[:number])
        ]


@given(KEYS, st.lists(st.integers(0, 9_999), max_size=150))
@settings(max_examples=200)
def test_what_runs_is_exactly_what_has_no_earlier_unfinished_event_with_one_of_its_keys(
    keys: list[frozenset[str]], choices: list[int]
) -> None:
    clock, model, waiting = Clock(), Model(), [work(*some) for some in keys]
    lanes, order, ended = single(clock), list(waiting), list[Work]()
    chosen = iter(choices)
    while waiting or model.there:
        number = next(chosen, 0)  # once they are used up: add all, begin all, end all
        moves = ["add"] * bool(waiting) + ["next"] * bool(model.ready(clock())) + ["done"] * bool(model.begun)
        moves += ["wait", *["again"] * bool(model.begun), *["cancel"] * bool(model.there)]
        move, number = moves[number % len(moves)], number // len(moves)
        if move == "add":
            model.there.append(waiting.pop(0))
            lanes.add(model.there[-1])
        elif move == "next":
            found = lanes.next()
            assert found in model.ready(clock())
            model.begun.append(found)
            model.due.pop(found, None)
        elif move == "wait":
            assert model.ready(clock()) or is_blocked(lanes)
            clock.seconds += 1.0
        elif move == "cancel":
            victim = model.there[number % len(model.there)]
            begun = bool(number % 2)
            left = lanes.cancel(lambda one, victim=victim: one is victim, begun=begun)  # type: ignore[misc]
            assert left == ([] if victim in model.begun else [victim])
            assert victim.cancelled is (victim.cancelled or begun or bool(left))
            for one in left:
                ended.append(one)
                model.there.remove(one)
                model.due.pop(one, None)
        else:
            one = model.begun.pop(number % len(model.begun))
            assert lanes.busy(lambda other, one=one: other is one)  # type: ignore[misc]
            if move == "again":
                lanes.again(one, number % 3)
                model.due[one] = clock() + number % 3
            else:
                lanes.done(one)
            if move == "done" or one.cancelled:
                ended.append(one)
                model.there.remove(one)
                model.due.pop(one, None)
    assert sorted(map(id, ended)) == sorted(map(id, order))
    assert lanes._lanes == {}
    assert not lanes.busy(lambda _one: True)


@given(KEYS, st.lists(st.integers(0, 2), min_size=25, max_size=25), st.integers(2, 5))
@settings(max_examples=40, deadline=None)
def test_with_many_threads_what_shares_a_key_never_runs_at_once_and_begins_in_order(
    keys: list[frozenset[str]], repeats: list[int], threads: int
) -> None:
    lanes, lock = Lanes(), threading.Lock()
    works = [work(*some) for some in keys]
    number_of = {one: number for number, one in enumerate(works)}
    left = {one: repeats[number] for one, number in number_of.items()}
    running: set[Work] = set()
    first_starts: list[int] = []
    finished: list[int] = []

    def run() -> None:
        while (one := lanes.next()) is not None:
            with lock:
                clash = [other for other in running if other.keys & one.keys]
                assert not clash
                running.add(one)
                if left[one] == repeats[number_of[one]]:
                    first_starts.append(number_of[one])
                again, left[one] = left[one] > 0, left[one] - 1
            with lock:
                running.discard(one)
                if not again:
                    finished.append(number_of[one])
                is_last = len(finished) == len(works)
            if again:
                lanes.again(one, 0.0)
            else:
                lanes.done(one)
            if is_last:
                lanes.close()

    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(run) for _ in range(threads)]
        for one in works:
            lanes.add(one)
        for future in futures:
            future.result(PATIENCE)

    assert sorted(finished) == list(range(len(works)))
    for order in (first_starts, finished):
        for place, number in enumerate(order):
            assert not any(works[later].keys & works[number].keys for later in order[place:] if later < number)


def test_one_that_waits_to_be_tried_again_holds_back_its_own_and_nobody_else() -> None:
    clock = Clock()
    lanes = single(clock)
    first, behind, other = work("a"), work("a"), work("b")
    for one in (first, behind, other):
        lanes.add(one)

    assert lanes.next() is first
    lanes.again(first, 60.0)
    assert lanes.next() is other
    assert is_blocked(lanes)
    clock.seconds += 60.0
    assert lanes.next() is first
    assert is_blocked(lanes)
    lanes.done(first)
    assert lanes.next() is behind


def test_cancel_takes_out_what_was_not_begun_and_leaves_what_is_in_work() -> None:
    lanes = single(Clock())
    begun, waiting, behind = work("a"), work("b"), work("a", "b")
    for one in (begun, waiting, behind):
        lanes.add(one)
    assert lanes.next() is begun

    assert set(lanes.cancel(lambda _one: True, begun=False)) == {waiting, behind}
    assert (begun.cancelled, waiting.cancelled, behind.cancelled) == (False, True, True)
    assert lanes.busy(lambda one: one is begun)
    assert is_blocked(lanes)
    assert lanes.cancel(lambda _one: True, begun=True) == []
    assert begun.cancelled
    lanes.done(begun)
    assert not lanes.busy(lambda _one: True)
    assert lanes._lanes == {}


def test_cancel_concerns_only_those_it_is_asked_for_and_lets_the_rest_come_up() -> None:
    lanes = single(Clock())
    gone, stays = work("a", place=("t", 0)), work("a", place=("t", 1))
    lanes.add(gone)
    lanes.add(stays)

    assert lanes.cancel(lambda one: one.ticket.partition == ("t", 0), begun=True) == [gone]
    assert lanes.next() is stays
    assert not stays.cancelled


def test_what_waits_to_be_tried_again_is_cancelled_like_what_was_never_begun() -> None:
    clock = Clock()
    lanes = single(clock)
    one, behind = work("a"), work("a")
    lanes.add(one)
    lanes.add(behind)
    lanes.next()
    lanes.again(one, 5.0)

    assert not lanes.busy(lambda _one: True)
    assert lanes.cancel(lambda candidate: candidate is one, begun=False) == [one]
    assert lanes.next() is behind
    clock.seconds += 5.0
    assert is_blocked(lanes)


def test_what_was_cancelled_in_work_and_is_put_back_leaves_and_blocks_nobody() -> None:
    """A partition is lost while its event is being tried; whoever has the same target next must not wait for it."""
    clock = Clock()
    lanes = single(clock)
    lost, next_one = work("a"), work("a", place=("t", 1))
    lanes.add(lost)
    lanes.next()
    lanes.cancel(lambda candidate: candidate is lost, begun=True)
    lanes.again(lost, 5.0)
    lanes.add(next_one)

    assert lanes.next() is next_one
    lanes.done(next_one)
    clock.seconds += 10.0
    assert is_blocked(lanes)
    assert lanes._lanes == {}


@pytest.mark.parametrize("wake", ["add", "done", "again", "cancel", "close"])
def test_a_thread_that_waits_is_woken(wake: str) -> None:
    lanes = Lanes()
    first, behind = work("a"), work("a")
    if wake in {"done", "again", "cancel"}:
        lanes.add(first)
        lanes.add(behind)
        assert lanes.next() is first
    waits = threading.Event()
    real_wait = lanes._changed.wait

    def wait(timeout: float | None = None) -> bool:
        waits.set()  # the lock is held until the wait has begun
        return real_wait(timeout)

    lanes._changed.wait = wait  # type: ignore[method-assign]
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(lanes.next)
        assert waits.wait(PATIENCE)
        if wake == "add":
            lanes.add(first)
        elif wake == "done":
            lanes.done(first)
        elif wake == "again":
            lanes.again(first, 0.0)
        elif wake == "cancel":
            lanes.again(first, 3600.0)
            lanes.cancel(lambda one: one is first, begun=True)
        else:
            lanes.close()
        expected = {"add": first, "done": behind, "again": first, "cancel": behind, "close": None}[wake]
        assert found.result(PATIENCE) is expected


def test_closed_lanes_give_out_nothing_even_if_something_is_ready() -> None:
    lanes = Lanes()
    lanes.add(work("a"))
    lanes.close()

    assert lanes.next() is None
