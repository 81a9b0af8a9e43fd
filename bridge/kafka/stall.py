"""Notices a client that has stopped fetching.

librdkafka 2.16 sometimes stops fetching partitions that it was assigned soon after a broker had restarted; the random run has
met it. Nothing brings such a client back, so it has to be replaced.
"""

from collections.abc import Callable, Iterable

from bridge.ledger import Partition

__all__ = ["STALL_SECONDS", "StallWatch"]

STALL_SECONDS = 30.0
"""How long the client may give nothing before the broker is asked whether there is something."""
AGAIN_SECONDS = 2.0
"""How long after that it is asked once more: what is on its way will have come by then."""


class StallWatch:
    """Knows when each partition gave something last; times are monotonic seconds.

    Parameters
    ----------
    behind
        Asks the broker how many records of a partition wait.
    """

    def __init__(self, behind: Callable[[Partition], int]) -> None:
        self._behind = behind
        self._given_at: dict[Partition, float] = {}
        self._suspects: set[Partition] = set()
        self._ask_at = 0.0

    def follow(self, partition: Partition, now: float) -> None:
        """Watch a partition from now on."""
        self._given_at[partition] = now

    def leave(self, partition: Partition) -> None:
        """Watch it no longer."""
        self._given_at.pop(partition, None)

    def gave(self, partitions: Iterable[Partition], now: float) -> None:
        """Note that these gave something; those that are not watched are left out."""
        for partition in partitions:
            if partition in self._given_at:
                self._given_at[partition] = now

    def start_anew(self, now: float) -> None:
        """Count from now on: nothing was asked for until now."""
        self._given_at = dict.fromkeys(self._given_at, now)

    def look(self, now: float) -> int:
        """Return how many records wait that the client does not give, however often it is asked; 0: none.

        Raises
        ------
        KafkaException
            If the broker does not say.
        """
        if now < self._ask_at:
            return 0
        self._ask_at = now + STALL_SECONDS  # if the broker does not answer, which takes its time
        silent = [partition for partition, at in self._given_at.items() if now >= at + STALL_SECONDS]
        waiting = {partition: records for partition in silent if (records := self._behind(partition)) > 0}
        stalled, self._suspects = self._suspects & waiting.keys(), set(waiting)
        self._ask_at = now + AGAIN_SECONDS
        self.gave(set(silent) - self._suspects, now)
        return sum(waiting.values()) if stalled else 0
