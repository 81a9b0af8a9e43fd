"""Threads that bring events to their end: an attempt, and what follows if it fails."""

import random
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Literal, Protocol

from structlog.typing import FilteringBoundLogger

from bridge.consumer.gate import LONGEST_PAUSE_SECONDS, Gate, full_jitter
from bridge.consumer.lanes import Lanes
from bridge.consumer.outcome import Outcome, refused
from bridge.consumer.work import Current, Work
from bridge.errors import Abandoned, Away, BridgeError, Retryable
from bridge.events import ShareEvent
from bridge.tom.written import Written

__all__ = ["Ended", "Why", "Workers", "Writes"]

FIRST_PAUSE_SECONDS = 0.5
"""The bound of the pause before an event that fails alone is tried again; it doubles, up to a minute."""

MOST_BROKE_OFF = 10
"""How often the destination may leave an event's requests without an answer, while it answers others; a request that
it takes waits for a minute at the most."""

Why = Literal["away", "alone", "asked"]
"""Why an event is tried again: the whole destination is away, only this event fails, or somebody asked to wait."""


class Writes(Protocol):
    """Where admitted events go: `bridge.consumer.destination.Destination`."""

    def write(
        self, event: ShareEvent, /, *, only: Collection[int] | None = None, so_far: Callable[[int], Written] | None = None
    ) -> Outcome:
        """Write an event; or, of its datums, only those with these numbers."""

    def note_refused(self, event: ShareEvent, /) -> None:
        """Note that an event is going to be a dead letter."""


@dataclass(frozen=True, slots=True)
class Ended:
    """An event whose work is over.

    Parameters
    ----------
    work
        Which.
    outcome
        What became of it; None: it was given up, or ``error`` says why nothing can go on.
    error
        What stops the consumer.
    """

    work: Work
    outcome: Outcome | None = None
    error: BaseException | None = None


class Workers:
    """Takes events from the lanes, through the gate, into the destination.

    Parameters
    ----------
    lanes, gate, destination
        From where, past what, and where to.
    current
        Told what each thread is at.
    number
        How many threads.
    retry_seconds
        How long an event is tried that fails alone.
    log
        Where faults of ours go.
    on_retry
        Told why an event is tried again.
    clock
        Monotonic seconds.
    chance
        Returns a number between 0 and 1.

    Attributes
    ----------
    most_attempts
        How often an event that fails alone is tried; a drain, for which somebody waits, has a limit.
    asked_to_wait
        What asked last for a wait longer than any pause of ours.
    ended
        What the workers are done with.
    """

    def __init__(
        self,
        *,
        lanes: Lanes,
        gate: Gate,
        destination: Writes,
        current: Current,
        number: int,
        retry_seconds: float,
        log: FilteringBoundLogger,
        on_retry: Callable[[Why], None] = lambda _why: None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._lanes = lanes
        self._gate = gate
        self._destination = destination
        self._current = current
        self._retry_seconds = retry_seconds
        self._log = log
        self._on_retry = on_retry
        self._clock = clock
        self._chance = chance
        self.most_attempts: int | None = None
        self.asked_to_wait: Retryable | None = None
        self.ended: SimpleQueue[Ended] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name=f"worker-{number}", daemon=True) for number in range(1, number + 1)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def join(self, timeout_seconds: float) -> bool:
        """Wait for the threads to end, once the lanes are closed; returns whether they have."""
        deadline = self._clock() + timeout_seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - self._clock()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        while (work := self._lanes.next()) is not None:
            try:
                self._bring(work)
            except BaseException as error:  # noqa: BLE001  whatever it is, the loop has to hear of it
                self._end(work, error=error)

    def _bring(self, work: Work) -> None:
        """Bring an event one attempt farther."""
        if not self._gate.enter(unless=lambda: work.cancelled):
            self._end(work)
            return
        succeeded = False
        before = _progress(work)
        work.attempts += 1
        try:
            self._attempt(work)
            succeeded = True
        except Abandoned:
            self._end(work)
            return
        except Retryable as error:
            if _progress(work) > before:
                work.trying_seconds, work.broke_off = 0.0, 0  # it gets on
            if isinstance(error, Away):
                self._gate.shut(error)
            problem = error
        finally:
            self._gate.leave(succeeded=succeeded)
        if succeeded:
            self._end(work, work.outcome)
        else:
            self._try_again(work, problem)

    def _attempt(self, work: Work) -> None:
        """Write what is not written yet, event by event."""
        while (event := work.next_event) is not None:
            work.ended(self._write(work, event))

    def _write(self, work: Work, event: ShareEvent) -> Outcome:
        def so_far(target_id: int) -> Written:
            if work.so_far is None or work.so_far.target_id != target_id:
                work.so_far = Written(target_id=target_id)
            # What is tried again may succeed, and says what it has to say anew.
            work.so_far.failures[:] = [failure for failure in work.so_far.failures if failure.datum is None]
            work.so_far.notes[:] = dict.fromkeys(work.so_far.notes)
            return work.so_far

        with self._current.at(event, work):
            try:
                return self._destination.write(event, so_far=so_far)
            except BridgeError:
                raise
            except Exception as error:  # noqa: BLE001  a fault of ours must not hold up everything behind this one event
                self._log.exception("internal error", place=work.consumed.place)
                return refused("internal_error", f"the bridge failed on it ({type(error).__name__}); please report the log")

    def _try_again(self, work: Work, error: Retryable) -> None:
        if isinstance(error, Away):
            why: Why = "away"
            work.broke_off = work.broke_off + 1 if error.broke_off else 0
        else:
            work.broke_off = 0
            is_asked = bool(error.retry_after)  # a wait of nothing is none
            why = "asked" if is_asked else "alone" if self._gate.is_alone() else "away"
        too_often = self.most_attempts is not None and work.attempts >= self.most_attempts
        is_hopeless = why == "alone" and (too_often or work.trying_seconds > self._retry_seconds)
        if is_hopeless or work.broke_off >= MOST_BROKE_OFF:
            self._give_up(work, error)
            return
        pause = error.retry_after or 0.0
        if why == "asked" and pause > LONGEST_PAUSE_SECONDS:
            self.asked_to_wait = error
        if why == "alone":
            pause = full_jitter(work.attempts, self._chance, first_seconds=FIRST_PAUSE_SECONDS)
            work.trying_seconds += pause
        if why != "away":  # of that the gate speaks
            self._log.warning(
                "waiting", why=error.detail, place=work.consumed.place, attempt=work.attempts, pause_seconds=round(pause, 1)
            )
        self._on_retry(why)
        self._lanes.again(work, pause)

    def _give_up(self, work: Work, error: Retryable) -> None:
        """Refuse the event at which the work is, and go on with those behind it, if there are any."""
        event = work.next_event
        if event is not None:
            self._destination.note_refused(event)
        work.ended(refused(error.reason, f"{error.detail}; tried {work.attempts} times while the TOM was otherwise well"))
        work.trying_seconds, work.broke_off = 0.0, 0
        if work.next_event is None:
            self._end(work, work.outcome)
        else:
            self._lanes.again(work, 0.0)

    def _end(self, work: Work, outcome: Outcome | None = None, *, error: BaseException | None = None) -> None:
        self.ended.put(Ended(work, outcome, error))  # first: who waits until it is not in work any more looks here then
        self._lanes.done(work)


def _progress(work: Work) -> tuple[int, int]:
    """Return how far a record has got: events at their end, and items of the next one that are written."""
    return len(work.outcomes), len(work.so_far.done) if work.so_far is not None else 0
