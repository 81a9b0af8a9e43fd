"""The gate holds events back while the destination is away, asks little, and lets them in again little by little."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import structlog

from bridge.consumer.gate import Gate, full_jitter
from bridge.errors import Away, Halt, Retryable
from tests.unit.consumer.doubles import PATIENCE, Clock, logger, until

AWAY = Away("the TOM does not answer")


def never() -> bool:
    return False


class Tom:
    """A destination that is probed; each answer is raised once, None: it is there."""

    def __init__(self, *answers: Exception | None, chance: float = 1.0, most: int = 8) -> None:
        self.answers = list(answers)
        self.probes: list[float] = []
        self.changes: list[bool] = []
        self.clock = Clock()
        self.capture = structlog.testing.LogCapture()
        self.gate = Gate(
            probe=self.probe, most=most, log=logger(self.capture), on_change=self.changes.append, clock=self.clock,
            chance=lambda: chance,
        )  # fmt: skip

    def probe(self) -> None:
        self.probes.append(self.clock() - 1000.0)
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer

    def enter_looking(self, seconds: float = 0.5, most: float = 10_000.0) -> bool:
        """Enter, and let time pass by each look."""

        def look() -> bool:
            self.clock.seconds += seconds
            return self.clock() > most

        self.gate._changed.wait = lambda _timeout=None: True  # type: ignore[method-assign,assignment]
        return self.gate.enter(unless=look)

    def room(self) -> int:
        """Return how many get in at once."""
        count = 0
        while self.gate._trouble is None and self.gate._inside < self.gate._allowed:
            assert self.gate.enter(unless=never)
            count += 1
        for _ in range(count):
            self.gate._inside -= 1
        return count


def test_pauses_are_a_share_of_a_bound_that_doubles_up_to_a_minute() -> None:
    assert [full_jitter(n, lambda: 1.0) for n in (1, 2, 3, 6, 7, 8, 1000)] == [1.0, 2.0, 4.0, 32.0, 60.0, 60.0, 60.0]
    assert [full_jitter(n, lambda: 0.25) for n in (1, 3, 1000)] == [0.25, 1.0, 15.0]
    assert [full_jitter(n, lambda: 0.0) for n in (1, 30)] == [0.0, 0.0]
    assert full_jitter(2, lambda: 1.0, first_seconds=0.5) == 1.0


def test_an_open_gate_asks_nothing_and_lets_in_as_many_as_may_be_inside() -> None:
    tom = Tom(most=3)

    assert tom.room() == 3
    assert tom.probes == []
    assert (tom.gate.trouble, tom.gate.failures) == (None, 0)


def test_who_is_one_too_many_waits_until_somebody_comes_out() -> None:
    tom = Tom(most=1)
    assert tom.gate.enter(unless=never)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(tom.gate.enter, unless=never)
        assert not second.done()
        tom.gate.leave(succeeded=False)
        assert second.result(PATIENCE)


@pytest.mark.parametrize("chance", [1.0, 0.5])
def test_a_shut_gate_probes_after_pauses_that_grow_with_full_jitter(chance: float) -> None:
    tom = Tom(*[AWAY] * 4, chance=chance)
    tom.gate.shut(AWAY)
    assert tom.enter_looking(0.5)

    assert tom.probes == [chance * at for at in (1.0, 3.0, 7.0, 15.0, 31.0)]
    assert tom.gate.failures == 5  # only an event that is written shows that all is well


def test_a_probe_is_never_sooner_than_the_destination_asked() -> None:
    tom = Tom(Away("busy", retry_after=45.0), Away("busy", retry_after=1.0), chance=0.5)
    tom.gate.shut(Away("busy", retry_after=120.0))
    tom.enter_looking(0.5)

    assert tom.probes == [120.0, 165.0, 167.0]


def test_it_is_said_once_that_the_destination_is_away_however_many_find_out_and_once_for_each_probe() -> None:
    tom = Tom(AWAY)
    for _ in range(5):
        tom.gate.shut(AWAY)
    assert [entry["event"] for entry in tom.capture.entries] == ["destination is away"]
    assert tom.gate.failures == 1
    tom.enter_looking()

    assert [entry["event"] for entry in tom.capture.entries] == ["destination is away"] * 2 + ["destination is back"]
    assert tom.capture.entries[0] | {"log_level": "warning"} == tom.capture.entries[0]
    assert tom.capture.entries[0]["why"] == "the TOM does not answer"
    assert tom.capture.entries[-1]["away_seconds"] == 3.0
    assert tom.changes == [False, True]


def test_who_finds_it_out_later_may_still_say_for_how_long() -> None:
    tom = Tom()
    tom.gate.shut(AWAY)
    tom.gate.shut(Away("busy", retry_after=90.0))
    tom.gate.shut(Away("busy", retry_after=5.0))
    tom.enter_looking()

    assert tom.probes == [90.0]


def test_what_is_no_outage_but_trouble_is_called_so() -> None:
    tom = Tom()
    tom.gate.shut(Retryable("500 to a question"))

    assert tom.capture.entries[0]["event"] == "destination is in trouble"


def test_after_an_outage_one_goes_in_then_two_then_four_as_long_as_they_succeed() -> None:
    tom = Tom(most=6)
    tom.gate.shut(AWAY)
    assert tom.enter_looking()
    rooms = []
    for succeeded in (True, False, True, True, True):
        tom.gate.leave(succeeded=succeeded)
        rooms.append(tom.room())
        tom.gate.enter(unless=never)

    assert rooms == [2, 2, 4, 6, 6]


def test_failures_are_forgotten_when_something_succeeds_and_not_before() -> None:
    tom = Tom(AWAY)
    tom.gate.shut(AWAY)
    tom.enter_looking()
    assert tom.gate.failures == 2
    tom.gate.shut(AWAY)  # the probe was answered, the event was not
    tom.gate.leave(succeeded=False)
    assert tom.gate.failures == 3
    tom.enter_looking()
    assert tom.probes == [1.0, 3.0, 7.5]  # shut at 3.5, and the third pause is 4
    tom.gate.leave(succeeded=True)

    assert tom.gate.failures == 0


def test_only_one_at_a_time_makes_the_probe() -> None:
    tom = Tom(chance=0.0)
    begun, go = threading.Event(), threading.Event()

    def slow() -> None:
        tom.probes.append(0.0)
        begun.set()
        assert go.wait(PATIENCE)

    tom.gate._probe = slow
    tom.gate.shut(AWAY)
    looks: list[bool] = []

    def look() -> bool:
        looks.append(True)
        return False

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(tom.gate.enter, unless=never)
        assert begun.wait(PATIENCE)
        others = [pool.submit(tom.gate.enter, unless=look) for _ in range(2)]
        until(lambda: len(looks) >= 2)
        go.set()
        until(lambda: any(future.done() for future in (first, *others)))
        assert len(tom.probes) == 1
        for _ in range(3):  # those who come out let the others in
            until(lambda: tom.gate._inside > 0)
            tom.gate.leave(succeeded=True)
        assert all(future.result(PATIENCE) for future in (first, *others))


def test_who_need_not_wait_any_more_does_not() -> None:
    tom = Tom()
    tom.gate.shut(Away("busy", retry_after=3600.0))

    assert not tom.enter_looking(1.0, most=1005.0)
    assert tom.probes == []
    assert tom.gate._inside == 0


@pytest.mark.parametrize("error", [Halt("tom_login", "refused"), KeyError("a bug")])
def test_what_else_a_probe_raises_goes_through_and_leaves_the_gate_free_to_be_probed(error: Exception) -> None:
    tom = Tom(error, chance=0.0)
    tom.gate.shut(AWAY)
    with pytest.raises(type(error)):
        tom.enter_looking()
    assert tom.gate.trouble is AWAY
    assert tom.enter_looking()

    assert tom.gate.trouble is None
    assert len(tom.probes) == 2


def test_something_fails_alone_if_a_probe_is_answered() -> None:
    tom = Tom()

    assert tom.gate.is_alone()
    assert tom.gate.trouble is None
    assert len(tom.probes) == 1


def test_if_the_probe_fails_too_it_is_the_destination_and_the_gate_shuts() -> None:
    tom = Tom(AWAY)

    assert not tom.gate.is_alone()
    assert tom.gate.trouble is AWAY
    assert not tom.gate.is_alone()
    assert len(tom.probes) == 1  # it is known


def test_a_refused_login_found_by_a_probe_is_told_and_not_taken_for_an_outage() -> None:
    tom = Tom(Halt("tom_login", "refused"))
    with pytest.raises(Halt):
        tom.gate.is_alone()

    assert tom.gate.trouble is None
