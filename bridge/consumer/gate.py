"""The gate before the destination: shut while the TOM is away, opened by a probe, and then little by little.

A destination that is away costs no events, however long that takes. What comes back is not trampled: a cheap request asks
first, after pauses that grow, and then one event goes in, two, four, as long as they succeed.
"""

import random
import threading
import time
from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from bridge.errors import Away, Retryable

__all__ = ["Gate", "full_jitter"]

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
"""The upper bound of a pause doubles from the first to the longest."""
LOOK_SECONDS = 0.2
"""How soon somebody who waits at the gate notices that he need not wait any more."""


def full_jitter(failures: int, chance: Callable[[], float], *, first_seconds: float = FIRST_PAUSE_SECONDS) -> float:
    """Return a pause between nothing and a bound that doubles with every failure, so that many do not come back together.

    Parameters
    ----------
    failures
        How many there were in a row; 1 or more.
    chance
        Returns a number between 0 and 1.
    first_seconds
        The bound after the first.
    """
    # A number of 1,000 failures would be too large for a float.
    return chance() * min(first_seconds * 2.0 ** min(failures - 1, 30), LONGEST_PAUSE_SECONDS)


class Gate:
    """Lets events into the destination, or holds them back; safe to use from many threads.

    Parameters
    ----------
    probe
        Asks the destination something cheap; raises `Retryable` if it is away.
    most
        How many may be inside at a time.
    log
        Where it says that it shuts, and opens.
    on_change
        Told whether the destination is there, whenever that changes.
    clock
        Monotonic seconds.
    chance
        Returns a number between 0 and 1.
    """

    def __init__(
        self,
        *,
        probe: Callable[[], object],
        most: int,
        log: FilteringBoundLogger,
        on_change: Callable[[bool], None] = lambda _up: None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._probe = probe
        self._most = most
        self._log = log
        self._on_change = on_change
        self._clock = clock
        self._chance = chance
        self._changed = threading.Condition()
        self._inside = 0
        self._allowed = most
        self._trouble: Retryable | None = None
        self._failures = 0
        self._probing = False
        self._probe_at = 0.0
        self._shut_at = 0.0

    @property
    def trouble(self) -> Retryable | None:
        """Why the gate is shut, or None if it is open."""
        return self._trouble

    @property
    def failures(self) -> int:
        """How often in a row the destination was found away."""
        return self._failures

    def enter(self, *, unless: Callable[[], bool]) -> bool:
        """Wait until it is one's turn to go in; returns False if, while waiting, ``unless`` comes true.

        Whoever comes when a probe is due makes it.

        Raises
        ------
        BridgeError
            What the probe raises and is not `Retryable`, for instance a refused login.
        """
        while True:
            with self._changed:
                if unless():
                    return False
                if self._trouble is None and self._inside < self._allowed:
                    self._inside += 1
                    return True
                is_due = self._trouble is not None and not self._probing and self._clock() >= self._probe_at
                if not is_due:
                    self._changed.wait(LOOK_SECONDS)
                    continue
                self._probing = True
            self._ask()

    def leave(self, *, succeeded: bool) -> None:
        """Come out again; success lets more in at a time, and forgets earlier failures."""
        with self._changed:
            self._inside -= 1
            if succeeded:
                self._failures = 0
                self._allowed = min(self._allowed * 2, self._most)
            self._changed.notify_all()

    def shut(self, error: Retryable) -> None:
        """Let nobody in any more: the destination is away."""
        with self._changed:
            if self._trouble is None:
                self._note(error)
            elif error.retry_after is not None:  # others that were inside fail for the same reason, but may say for how long
                self._probe_at = max(self._probe_at, self._clock() + error.retry_after)

    def is_alone(self) -> bool:
        """Whether the destination is well, so that what has just failed fails alone; if it is not, the gate shuts."""
        with self._changed:
            if self._trouble is not None:
                return False
        try:
            self._probe()
        except Retryable as error:
            self.shut(error)
            return False
        return True

    def _ask(self) -> None:
        """Make the probe that is due."""
        try:
            self._probe()
        except Retryable as error:
            with self._changed:
                self._note(error)
        else:
            with self._changed:
                self._log.info("destination is back", away_seconds=round(self._clock() - self._shut_at, 1))
                self._trouble = None
                self._allowed = 1
                self._on_change(True)
        finally:
            with self._changed:
                self._probing = False
                self._changed.notify_all()

    def _note(self, error: Retryable) -> None:
        if self._trouble is None:
            self._shut_at = self._clock()
            self._on_change(False)
        self._trouble = error
        self._failures += 1
        pause = max(full_jitter(self._failures, self._chance), error.retry_after or 0.0)
        self._probe_at = self._clock() + pause
        self._log.warning(
            "destination is away" if isinstance(error, Away) else "destination is in trouble",
            why=error.detail, failures=self._failures, probe_in_seconds=round(pause, 1),
        )  # fmt: skip
