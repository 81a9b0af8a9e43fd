"""How many requests go at a time: what goes fastest is found, nobody is stepped on, and a busy TOM gets pauses."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.consumer import pace as pace_module
from bridge.consumer.pace import Climb, Pace
from bridge.errors import Abandoned
from tests.unit.consumer.doubles import PATIENCE

WINDOWS = 200


def go_on() -> None:
    """Wait for as long as it takes."""


def climb(rate: Callable[[int], float], *, most: int = 8, windows: int = WINDOWS) -> list[int]:
    """Return the limits of each window at a destination that has a rate for each number at a time."""
    found, limits = Climb(most), []
    for _ in range(windows):
        limits.append(found.limit)
        found.measured(rate(found.limit))
    return limits


@given(workers=st.integers(1, 8), each=st.floats(1.0, 500.0), most=st.integers(1, 16))
def test_as_many_at_a_time_as_the_destination_has_workers(workers: int, each: float, most: int) -> None:
    limits = climb(lambda limit: each * min(limit, workers), most=most)

    settled = limits[WINDOWS // 2 :]
    assert max(set(settled), key=settled.count) == min(workers, most)
    assert all(1 <= limit <= most for limit in limits)


@given(
    st.lists(st.floats(1.0, 1.8), min_size=1, max_size=7),
    st.lists(st.floats(0.5, 1.0), min_size=0, max_size=7),
    st.integers(0, 2**32),
)
def test_the_rate_that_is_reached_is_nearly_the_best_also_where_measurements_differ(
    gains: list[float], losses: list[float], seed: int
) -> None:
    """A rate that rises with the number at a time, each step by less, and then falls; measured with an error of 2 %."""
    rates = [100.0]
    for factor in (*sorted(gains, reverse=True), *losses):
        rates.append(rates[-1] * factor)
    chance = random.Random(seed)
    limits = climb(lambda limit: rates[limit - 1] * chance.uniform(0.98, 1.02), most=len(rates))

    settled = limits[WINDOWS // 2 :]
    reached = sum(rates[limit - 1] for limit in settled) / len(settled)
    stopped_early = 1.07 ** sum(1.0 < factor <= 1.07 for factor in gains)  # a step that brings so little is not taken
    assert reached * stopped_early >= 0.9 * max(rates)


def test_it_follows_a_destination_that_changes() -> None:
    workers = 1
    found = Climb(8)
    for window in range(600):
        workers = 4 if window > 200 else 1
        found.measured(50.0 * min(found.limit, workers))

    assert found.limit in {3, 4, 5}


@pytest.mark.parametrize("kind", ["polite", "full"])
def test_never_more_at_a_time_than_the_limit_says(kind: str) -> None:
    at = Pace(kind, most=4)  # type: ignore[arg-type]
    inside, most, lock = 0, 0, threading.Lock()

    def request(write: bool) -> None:
        nonlocal inside, most
        with at.write(go_on, is_datum=True) if write else at.read(go_on):
            with lock:
                inside += 1
                most = max(most, inside)
                assert inside <= at.most
            with lock:
                inside -= 1

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(request, number % 3 > 0) for number in range(2_000)]:
            done.result(PATIENCE)
    assert inside == 0
    assert at.limit <= at.most == (1 if kind == "polite" else 4)


def test_full_pace_finds_what_a_real_queue_bears(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four workers, 4 ms a request: real threads and clock, windows made short."""
    monkeypatch.setattr(pace_module, "WINDOW_SECONDS", 0.15)
    workers, changes = threading.Semaphore(4), list[int]()
    at = Pace("full", most=8, on_change=changes.append)
    until = time.monotonic() + 10.0

    def request() -> None:
        while time.monotonic() < until and changes[-1:] != [5]:  # five are tried once four are found to be better than three
            with at.write(go_on), workers:
                time.sleep(0.004)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(request) for _ in range(8)]:
            done.result(PATIENCE)
    assert changes[:3] == [3, 4, 5]


def test_a_destination_that_was_away_is_learned_to_know_anew() -> None:
    changes: list[int] = []
    at = Pace("full", most=4, on_change=changes.append)
    assert at.limit == changes[-1] == 3
    at.start_over()
    assert at.limit == changes[-1] == 1


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_to_try_what_turns_out_to_be_slower_costs_little() -> None:
    """Two workers, 15 ms a request, and always somebody who waits."""
    clock, lock = Clock(), threading.Lock()
    at = Pace("full", most=4, clock=clock)
    tried: Counter[int] = Counter()

    def request() -> None:
        while tried.total() < 2_000:
            with at.write(go_on), lock:
                tried[at.limit] += 1
                clock.now += 0.015 / min(at.limit, 2)
                time.sleep(0.0001)  # lets others come and wait

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(request) for _ in range(8)]:
            done.result(PATIENCE)

    assert tried[1] > 0
    assert clock.now - 100.0 < 1.03 * tried.total() * 0.0075


def one(at: Pace, clock: Clock, seconds: float, *, is_datum: bool = True) -> None:
    with at.write(go_on, is_datum=is_datum):
        clock.now += seconds


Wait = Callable[[Pace, Clock], float]


@pytest.fixture
def pause(monkeypatch: pytest.MonkeyPatch) -> Wait:
    """Return what tells how long a request that comes now has to wait."""
    monkeypatch.setattr(pace_module, "LOOK_SECONDS", 0.0001)

    def pause(at: Pace, clock: Clock) -> float:
        began = clock.now

        def a_moment_later() -> None:
            clock.now += 0.01

        with at.write(a_moment_later):
            return clock.now - began - 0.01

    return pause


@pytest.mark.parametrize(("kind", "pauses"), [("polite", True), ("full", False)])
def test_a_request_that_takes_much_longer_than_usual_is_followed_by_a_pause(kind: str, pauses: bool, pause: Wait) -> None:
    clock = Clock()
    at = Pace(kind, most=1, clock=clock)  # type: ignore[arg-type]
    for _ in range(20):
        one(at, clock, 0.05)
    assert pause(at, clock) < 0.001
    one(at, clock, 0.4)

    assert pause(at, clock) == (pytest.approx(0.4, abs=0.02) if pauses else pytest.approx(0.0, abs=0.001))
    assert pause(at, clock) < 0.001


def test_a_pause_is_never_longer_than_a_second_and_a_file_that_takes_its_time_has_none(pause: Wait) -> None:
    clock = Clock()
    at = Pace("polite", most=1, clock=clock)
    one(at, clock, 0.05)
    one(at, clock, 30.0, is_datum=False)
    assert pause(at, clock) < 0.001
    one(at, clock, 30.0)
    assert pause(at, clock) == pytest.approx(1.0, abs=0.02)


def test_what_is_usual_is_learned_anew_within_minutes(pause: Wait) -> None:
    """A TOM with ever more targets takes longer for each datum: that is no reason to go ever more slowly."""
    clock = Clock()
    at = Pace("polite", most=1, clock=clock)
    one(at, clock, 0.01)
    for _ in range(3_000):
        one(at, clock, 0.1)
        pause(at, clock)

    one(at, clock, 0.1)
    assert pause(at, clock) < 0.001


def test_whoever_need_not_wait_any_more_leaves_and_the_place_is_free_for_others() -> None:
    at, inside, leave = Pace("polite", most=1), threading.Event(), threading.Event()

    def stay() -> None:
        with at.write(go_on):
            inside.set()
            leave.wait(PATIENCE)

    def give_up() -> None:
        raise Abandoned("gone")

    with ThreadPoolExecutor(1) as pool:
        stays = pool.submit(stay)
        assert inside.wait(PATIENCE)
        for way in (at.write, at.read, at.alone):
            with pytest.raises(Abandoned), way(give_up):
                pytest.fail("it went in")
        leave.set()
        stays.result(PATIENCE)
    for way in (at.write, at.read, at.alone):
        with way(go_on):
            pass
