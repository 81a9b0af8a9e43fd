"""Who may write at which moment: targets one at a time, and on a frail TOM nothing beside them."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

import pytest

from bridge.consumer.pace import Climb, Pace
from bridge.consumer.turns import Turns
from bridge.consumer.work import Current
from bridge.errors import Abandoned, Retryable
from tests.unit.consumer.doubles import EVENTS, PATIENCE, work

TARGETS, DATA, LOGIN = "api/targets/", "api/reduceddatums/", "accounts/login/"


class Lease:
    """A right to write that tells how it is used."""

    def __init__(self, error: Exception | None = None) -> None:
        self.used = 0
        self.inside = 0
        self.error = error
        self.unless: list[bool] = []
        self._lock = threading.Lock()

    @contextmanager
    def using(self, *, unless: Callable[[], bool]) -> Iterator[None]:
        if self.error is not None:
            raise self.error
        with self._lock:
            self.unless.append(unless())
            self.used += 1
            self.inside += 1
        yield
        with self._lock:
            self.inside -= 1


def pace(most: int) -> Pace:
    """Return a pace that has found out already that as many as may be go fastest."""
    found = Pace("full", most=most)
    climb = Climb(most)
    while climb.limit < most:
        climb.measured(climb.limit * 1.0)
    found._climb = climb
    return found


def turns(*, lease: Lease | None = None, concurrent: bool = False, most: int = 4, current: Current | None = None) -> Turns:
    return Turns(current=current or Current(), lease=lease, concurrent=concurrent, pace=pace(most))


class Traffic:
    """Who is at a TOM at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside: list[str] = []
        self.together: set[tuple[str, ...]] = set()

    def go(self, what: str, around: Callable[[], AbstractContextManager[None]], rounds: int = 60) -> None:
        for _ in range(rounds):
            with around():
                with self._lock:
                    self._inside.append(what)
                    self.together.add(tuple(sorted(self._inside)))
                with self._lock:
                    self._inside.remove(what)


def meet(one: Callable[[], AbstractContextManager[None]], other: Callable[[], AbstractContextManager[None]]) -> bool:
    """Return whether both can be inside at once: each waits there for the other, for a while."""
    with ThreadPoolExecutor(2) as pool:
        both = threading.Barrier(2)

        def go(around: Callable[[], AbstractContextManager[None]]) -> bool:
            with around():
                try:
                    both.wait(0.3)
                except threading.BrokenBarrierError:
                    return False
                return True

        first, second = pool.submit(go, one), pool.submit(go, other)
        return first.result(PATIENCE) and second.result(PATIENCE)


@pytest.mark.parametrize("concurrent", [False, True])
def test_targets_have_one_writer_at_a_time_from_the_first_look_to_the_last_request(concurrent: bool) -> None:
    at = turns(concurrent=concurrent)

    assert not meet(at.targets, at.targets)
    assert meet(at.targets, lambda: at.request("GET", TARGETS))


@pytest.mark.parametrize("concurrent", [False, True])
def test_a_request_that_writes_a_target_meets_one_that_writes_data_only_where_the_tom_bears_it(concurrent: bool) -> None:
    at = turns(concurrent=concurrent)

    assert meet(lambda: at.request("POST", TARGETS), lambda: at.request("POST", DATA)) is concurrent
    assert meet(lambda: at.request("PATCH", TARGETS + "7/"), lambda: at.request("POST", DATA)) is concurrent
    assert meet(lambda: at.request("POST", LOGIN), lambda: at.request("POST", DATA)) is concurrent
    assert meet(lambda: at.request("POST", TARGETS), lambda: at.request("POST", LOGIN)) is concurrent


@pytest.mark.parametrize("concurrent", [False, True])
def test_writes_of_data_go_beside_each_other_and_reads_beside_everything(concurrent: bool) -> None:
    at = turns(concurrent=concurrent)

    assert meet(lambda: at.request("POST", DATA), lambda: at.request("POST", DATA))
    for path in (TARGETS, DATA, LOGIN):
        assert meet(lambda path=path: at.request("POST", path), lambda: at.request("GET", TARGETS))  # type: ignore[misc]


def test_with_many_threads_a_target_is_always_written_alone_and_nobody_waits_for_ever() -> None:
    lease, traffic = Lease(), Traffic()
    at = turns(lease=lease, most=3)

    @contextmanager
    def a_target() -> Iterator[None]:
        with at.targets(), at.request("POST", TARGETS):
            yield

    doings: list[tuple[str, Callable[[], AbstractContextManager[None]]]] = [
        ("target", a_target), ("target", a_target), ("data", lambda: at.request("POST", DATA)),
        ("data", lambda: at.request("POST", DATA)), ("login", lambda: at.request("POST", LOGIN)),
    ]  # fmt: skip
    with ThreadPoolExecutor(len(doings)) as pool:
        for future in [pool.submit(traffic.go, what, around) for what, around in doings]:
            future.result(PATIENCE)

    assert {met for met in traffic.together if {"target", "login"} & set(met)} == {("target",), ("login",)}
    assert lease.inside == 0


@pytest.mark.parametrize(
    ("method", "path", "concurrent", "used"),
    [
        ("POST", TARGETS, False, 1), ("POST", TARGETS, True, 1), ("POST", DATA, False, 1), ("POST", DATA, True, 0),
        ("GET", TARGETS, False, 0), ("GET", DATA, False, 0), ("POST", LOGIN, False, 1), ("POST", LOGIN, True, 0),
    ],
)  # fmt: skip
def test_the_lease_is_used_for_what_replicas_may_not_do_at_once(method: str, path: str, concurrent: bool, used: int) -> None:
    lease = Lease()
    with turns(lease=lease, concurrent=concurrent).request(method, path):
        assert lease.inside == used

    assert lease.used == used
    assert lease.inside == 0


def test_the_lease_is_kept_while_a_target_is_looked_for_and_written() -> None:
    lease = Lease()
    at = turns(lease=lease)
    with at.targets():
        assert lease.inside == 1
        with at.request("GET", TARGETS):
            pass
        assert lease.inside == 1
    assert lease.inside == 0


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", [TARGETS, DATA, LOGIN])
def test_nothing_is_asked_for_an_event_that_is_to_be_given_up(method: str, path: str) -> None:
    current, event = Current(), work("a")
    at = turns(current=current)
    event.cancelled = True
    with current.at(event.events[0], event):
        with pytest.raises(Abandoned), at.request(method, path):
            pytest.fail("it was asked")
        with pytest.raises(Abandoned), at.targets():
            pytest.fail("it was begun")
    with at.request(method, path):  # the next event of this thread
        pass


def test_an_event_that_is_given_up_while_it_waits_for_the_lease_is_not_written() -> None:
    current, event = Current(), work("a")

    class Slow(Lease):
        @contextmanager
        def using(self, *, unless: Callable[[], bool]) -> Iterator[None]:
            assert not unless()
            event.cancelled = True
            assert unless()
            with super().using(unless=unless):
                yield

    lease = Slow()
    at = turns(lease=lease, current=current)
    with current.at(event.events[0], event), pytest.raises(Abandoned), at.request("POST", DATA):
        pytest.fail("it was asked")
    event.cancelled = False
    with current.at(event.events[0], event), pytest.raises(Abandoned), at.targets():
        pytest.fail("it was begun")


@pytest.mark.parametrize("error", [Retryable("the broker is away"), Abandoned("gone")])
def test_without_the_lease_nothing_is_written_and_the_turn_is_free_again(error: Exception) -> None:
    lease = Lease(error)
    at = turns(lease=lease)
    with pytest.raises(type(error)), at.targets():
        pytest.fail("it was begun")
    with pytest.raises(type(error)), at.request("POST", DATA):
        pytest.fail("it was asked")
    lease.error = None
    with at.targets(), at.request("POST", TARGETS):
        pass


@pytest.mark.parametrize("path", [TARGETS, DATA, LOGIN])
def test_a_request_that_fails_gives_its_place_back(path: str) -> None:
    at = turns(most=1)
    for _ in range(3):
        with pytest.raises(KeyError), at.request("POST", path):
            raise KeyError(path)
    with at.request("POST", TARGETS):
        pass


def test_the_event_that_a_thread_is_at_marks_its_requests_and_no_others() -> None:
    current = Current()
    assert current.headers() == {}
    with current.at(EVENTS["target_sidereal"]):
        assert current.headers()
        assert not current.is_cancelled()
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(current.headers).result() == {}
    assert current.headers() == {}
