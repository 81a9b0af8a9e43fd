"""What follows an attempt that fails: who waits, how long, and when it is enough."""

from collections.abc import Callable, Collection
from typing import Any

import pytest
import structlog

from bridge.consumer.gate import Gate
from bridge.consumer.lanes import Lanes
from bridge.consumer.outcome import Outcome
from bridge.consumer.work import Current, Work
from bridge.consumer.workers import Ended, Workers
from bridge.errors import Abandoned, Away, Halt, Rejected, Retryable
from bridge.events import ShareEvent
from bridge.tom.written import Failure, Written
from tests.unit.consumer.doubles import PATIENCE, Clock, logger, until, work

WRITTEN = Outcome(end="written")
AWAY = Away("the TOM does not answer")
ALONE = Retryable("it fails", reason="tom_error")
SoFar = Callable[[int], Written]
Answer = Outcome | BaseException | Callable[[SoFar], Outcome]


class Bench:
    """One worker, run by the test itself; time passes only while it waits, and while the destination takes its time."""

    def __init__(
        self,
        *answers: Answer,
        probes: tuple[Exception, ...] = (),
        takes: float = 0.0,
        retry_seconds: float = 100.0,
        **more: Any,
    ) -> None:
        self.clock = Clock()
        self.answers = list(answers)
        self.probes = list(probes)
        self.takes = takes
        self.attempts: list[float] = []
        self.refused: list[ShareEvent] = []
        self.why: list[str] = []
        self.headers: list[bool] = []
        self.capture = structlog.testing.LogCapture()
        self.current = Current()
        self.lanes = Lanes(clock=self.clock)
        chance = more.pop("chance", lambda: 1.0)
        log = logger(self.capture)
        self.gate = Gate(probe=self._probe, most=4, log=log, on_change=lambda _up: None, clock=self.clock, chance=chance)
        self.workers = Workers(
            lanes=self.lanes, gate=self.gate, destination=self, current=self.current, number=1, retry_seconds=retry_seconds,
            log=log, on_retry=self.why.append, clock=self.clock, chance=chance,
        )  # fmt: skip

    def _probe(self) -> None:
        if self.probes:
            raise self.probes.pop(0)

    def note_refused(self, event: ShareEvent, /) -> None:
        self.refused.append(event)

    def write(self, event: ShareEvent, /, *, only: Collection[int] | None = None, so_far: SoFar | None = None) -> Outcome:
        assert so_far is not None
        self.attempts.append(round(self.clock() - 1000.0, 3))
        self.headers.append(bool(self.current.headers()))
        self.clock.seconds += self.takes
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, Outcome) else answer(so_far)

    def run(self, *works: Work) -> list[Ended]:
        """Bring everything to its end."""

        def wait(timeout: float | None = None) -> bool:
            if timeout is None:
                self.lanes._closed = True
            else:
                self.clock.seconds += timeout
            return True

        self.lanes._changed.wait = wait  # type: ignore[method-assign]
        self.gate._changed.wait = wait  # type: ignore[method-assign]
        for one in works or (work("a"),):
            self.lanes.add(one)
        self.workers._run()
        assert self.gate._inside == 0
        assert self.lanes._lanes == {}
        assert self.lanes._begun == set()
        return [self.workers.ended.get_nowait() for _ in range(self.workers.ended.qsize())]


def pauses(bench: Bench) -> list[float]:
    return [round(later - earlier, 3) for earlier, later in zip(bench.attempts, bench.attempts[1:], strict=False)]


def test_what_is_written_is_at_its_end_after_one_attempt() -> None:
    bench = Bench(WRITTEN)
    [ended] = bench.run()

    assert (ended.outcome, ended.error, ended.work.attempts) == (WRITTEN, None, 1)
    assert bench.headers == [True]
    assert bench.current.headers() == {}


def test_a_destination_that_is_away_costs_no_event_however_long_it_is() -> None:
    bench = Bench(*[AWAY] * 40, WRITTEN, probes=(AWAY,) * 100, takes=60.0, retry_seconds=10.0)
    [ended] = bench.run()

    assert ended.outcome == WRITTEN
    assert ended.work.attempts == 41
    assert set(bench.why) == {"away"}
    assert bench.attempts[-1] > 40 * 60


def test_only_a_probe_is_made_until_the_destination_answers_again() -> None:
    bench = Bench(AWAY, WRITTEN, probes=(AWAY,) * 20)
    bench.run()

    assert len(bench.attempts) == 2
    assert bench.attempts[1] > 14 * 60


def test_one_that_fails_while_the_destination_is_well_is_tried_again_with_growing_pauses() -> None:
    bench = Bench(*[ALONE] * 9, WRITTEN, retry_seconds=1e6)
    [ended] = bench.run()

    assert ended.outcome == WRITTEN
    assert pauses(bench) == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert bench.why == ["alone"] * 9


def test_the_pause_is_a_share_by_chance() -> None:
    bench = Bench(ALONE, ALONE, WRITTEN, chance=lambda: 0.5)
    bench.run()

    assert pauses(bench) == [0.25, 0.5]


@pytest.mark.parametrize("error", [ALONE, Retryable("it fails")])
def test_one_that_fails_alone_for_too_long_is_refused_with_the_reason_of_its_error(error: Retryable) -> None:
    bench = Bench(error, retry_seconds=10.0)
    [ended] = bench.run()

    assert ended.outcome is not None
    assert (ended.outcome.end, ended.outcome.reason) == ("refused", error.reason)
    assert ended.outcome.detail.startswith(f"it fails; tried {len(bench.attempts)} times")
    assert bench.attempts[-1] > 10.0
    assert bench.attempts[-2] <= 10.0


def test_an_event_whose_requests_are_never_answered_is_no_longer_tried_after_ten_times() -> None:
    bench = Bench(Away("the TOM does not answer", broke_off=True), takes=60.0)
    [ended] = bench.run()

    assert len(bench.attempts) == 10
    assert ended.outcome is not None
    assert ended.outcome.reason == "retries_exhausted"
    assert bench.refused == [ended.work.events[0]]  # a target's data is held from now on, and not skipped


def test_a_destination_that_says_that_it_is_busy_is_waited_for_however_often_it_says_so() -> None:
    bench = Bench(*[Away("HTTP 429", retry_after=1.0)] * 50, WRITTEN)
    [ended] = bench.run()

    assert ended.outcome == WRITTEN


def test_others_go_on_while_one_that_fails_waits() -> None:
    bench = Bench(ALONE, WRITTEN)
    slow, quick, behind = work("a"), work("b"), work("a")
    ended = bench.run(slow, quick, behind)

    assert [one.work for one in ended] == [quick, slow, behind]


def test_one_that_seems_to_fail_alone_while_the_destination_is_away_waits_for_it() -> None:
    bench = Bench(ALONE, ALONE, WRITTEN, probes=(AWAY,) * 30, takes=60.0, retry_seconds=90.0)
    [ended] = bench.run()

    assert ended.outcome == WRITTEN
    assert bench.why == ["away", "alone"]


def test_progress_renews_the_time() -> None:
    def get_on(so_far: SoFar) -> Outcome:
        written = so_far(7)
        written.done.add(len(written.done))
        raise ALONE

    bench = Bench(*[get_on] * 30, WRITTEN, takes=6.0, retry_seconds=10.0)
    [ended] = bench.run()

    assert ended.outcome == WRITTEN
    assert ended.work.attempts == 31


def test_what_earlier_attempts_wrote_is_gone_on_with_and_their_failures_are_tried_again() -> None:
    seen: list[tuple[int, set[int], int]] = []

    def attempt(target: int, raises: bool) -> Callable[[SoFar], Outcome]:
        def write(so_far: SoFar) -> Outcome:
            written = so_far(target)
            seen.append((written.target_id, set(written.done), len(written.failures)))
            written.done.add(len(seen))
            written.failures.append(Failure("a datum", "tom_error", "500", datum=len(seen)))
            if raises:
                raise ALONE
            return WRITTEN

        return write

    Bench(attempt(7, raises=True), attempt(7, raises=True), attempt(8, raises=False)).run()

    assert seen == [(7, set(), 0), (7, {1}, 0), (8, set(), 0)]  # another target: all of it anew


def test_what_failed_and_is_no_datum_is_not_forgotten_and_a_note_is_not_made_over_and_over() -> None:
    seen: list[tuple[int, list[str]]] = []

    def write(so_far: SoFar) -> Outcome:
        written = so_far(7)
        seen.append((len(written.failures), list(written.notes)))
        written.notes.append("it is there already")
        if len(seen) == 1:
            written.failures.append(Failure("file a.csv", "backfill_not_removed", "remove it"))
        if len(seen) < 4:
            raise ALONE
        return WRITTEN

    Bench(write, write, write, write).run()

    assert seen == [(0, []), *[(1, ["it is there already"])] * 3]


def test_waits_that_were_asked_for_do_not_count_and_are_kept() -> None:
    busy = Retryable("too many new targets", retry_after=3000.0)
    bench = Bench(busy, busy, busy, WRITTEN, takes=5.0, retry_seconds=10.0)
    [ended] = bench.run()

    assert ended.outcome == WRITTEN
    assert pauses(bench) == [3005.0] * 3
    assert bench.why == ["asked"] * 3
    assert bench.workers.asked_to_wait is busy


def test_a_short_wait_that_was_asked_for_ends_no_drain() -> None:
    bench = Bench(Retryable("busy", retry_after=20.0), WRITTEN)
    bench.run()

    assert bench.workers.asked_to_wait is None


def test_a_wait_of_nothing_is_no_licence_to_try_for_ever_without_a_pause() -> None:
    bench = Bench(Retryable("500 to a question", retry_after=0.0, reason="tom_error"), retry_seconds=10.0)
    [ended] = bench.run()

    assert ended.outcome is not None
    assert ended.outcome.reason == "tom_error"
    assert pauses(bench)[:3] == [0.5, 1.0, 2.0]


def test_a_drain_tries_what_fails_alone_only_so_often() -> None:
    bench = Bench(ALONE, retry_seconds=1e9)
    bench.workers.most_attempts = 5
    [ended] = bench.run()

    assert ended.outcome is not None
    assert ended.outcome.reason == "tom_error"
    assert len(bench.attempts) == 5


@pytest.mark.parametrize("error", [Halt("tom_login", "refused"), Rejected("x", "raised, not returned"), KeyboardInterrupt()])
def test_what_stops_the_consumer_reaches_the_loop(error: BaseException) -> None:
    bench = Bench(error)
    [ended] = bench.run()

    assert (ended.outcome, ended.error) == (None, error)


def test_a_probe_that_finds_the_login_refused_reaches_the_loop() -> None:
    halt = Halt("tom_login", "refused")
    [ended] = Bench(ALONE, probes=(halt,)).run()
    [other] = Bench(AWAY, probes=(halt,)).run()

    assert ended.error is halt
    assert other.error is halt


def test_a_fault_of_ours_is_refused_as_such_and_the_next_event_flows() -> None:
    bench = Bench(KeyError("a bug"), WRITTEN)
    first, second = bench.run(work("a"), work("a"))

    assert first.outcome is not None
    assert (first.outcome.end, first.outcome.reason) == ("refused", "internal_error")
    assert second.outcome == WRITTEN
    assert [entry["event"] for entry in bench.capture.entries] == ["internal error"]


def test_what_is_given_up_has_no_outcome() -> None:
    bench = Bench(Abandoned("gone"), WRITTEN)
    first, second = bench.run(work("a"), work("b"))

    assert (first.outcome, first.error) == (None, None)
    assert second.outcome == WRITTEN


def test_what_is_cancelled_while_it_waits_at_the_gate_is_not_written() -> None:
    bench = Bench(WRITTEN)
    bench.gate.shut(Away("busy", retry_after=1e6))
    one = work("a")

    def enter(*, unless: Callable[[], bool]) -> bool:
        one.cancelled = True
        return Gate.enter(bench.gate, unless=unless)

    bench.gate.enter = enter  # type: ignore[method-assign]
    [ended] = bench.run(one)

    assert (ended.outcome, ended.error) == (None, None)
    assert bench.attempts == []


def test_the_end_is_told_before_the_event_is_no_longer_in_work() -> None:
    """Who waits until nothing is in work and then looks at what came of it must not miss any."""
    bench = Bench(WRITTEN)
    told: list[int] = []
    done = bench.lanes.done
    bench.lanes.done = lambda one: (told.append(bench.workers.ended.qsize()), done(one))[1]  # type: ignore[method-assign,func-returns-value,assignment]
    bench.run()

    assert told == [1]


def test_threads_end_when_the_lanes_are_closed_and_a_request_that_hangs_is_not_waited_for() -> None:
    bench = Bench(WRITTEN)
    bench.workers.start()
    bench.lanes.add(work("a"))
    assert bench.workers.ended.get(timeout=PATIENCE).outcome == WRITTEN
    assert not bench.workers.join(0.0)
    bench.lanes.close()
    until(lambda: bench.workers.join(0.1))


# a record of several events


def several(count: int) -> Work:
    made = work("a")
    made.events *= count
    return made


def test_the_events_of_a_record_are_written_in_order_and_come_to_one_end() -> None:
    bench = Bench(WRITTEN, Outcome(end="present"), WRITTEN)
    [ended] = bench.run(several(3))

    assert (len(bench.attempts), ended.work.attempts) == (3, 1)
    assert ended.outcome is not None
    assert ended.outcome.end == "written"


def test_what_is_written_of_a_record_is_not_written_again() -> None:
    bench = Bench(WRITTEN, AWAY, WRITTEN)
    [ended] = bench.run(several(2))

    assert (len(bench.attempts), ended.work.attempts) == (3, 2)  # the first event once, the second one twice


def test_an_event_that_fails_for_too_long_does_not_take_those_behind_it_along() -> None:
    bench = Bench(*[ALONE] * 3, WRITTEN, retry_seconds=1.0)
    [ended] = bench.run(several(2))

    assert ended.outcome is not None
    assert (ended.outcome.end, ended.outcome.reason) == ("partial", "tom_error")
    assert len(bench.refused) == 1
