"""How many records come in on a topic: counts of ten seconds for the last hour."""

from collections import deque
from dataclasses import dataclass

__all__ = ["Counts", "Rates"]

SLOT_SECONDS = 10
SLOTS = 360
"""An hour."""
SLOTS_A_BAR = 12
"""Two minutes make one bar of the picture."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Records of the last minute and hour, and of every two minutes of that hour, oldest first."""

    minute: int
    hour: int
    bars: tuple[int, ...]


class Rates:
    """Counts records by the time at which they were written. Not for several threads."""

    def __init__(self) -> None:
        self._slots: deque[int] = deque([0] * SLOTS, maxlen=SLOTS)
        self._last = 0

    def add(self, *, time_ms: int, now_ms: int) -> None:
        """Count a record; one from the future counts as from now."""
        self._turn(now_ms)
        back = max(0, self._last - time_ms // 1000 // SLOT_SECONDS)
        if back < SLOTS:
            self._slots[-1 - back] += 1

    def counts(self, *, now_ms: int) -> Counts:
        """Return what was counted."""
        self._turn(now_ms)
        slots = list(self._slots)
        bars = tuple(sum(slots[begin : begin + SLOTS_A_BAR]) for begin in range(0, SLOTS, SLOTS_A_BAR))
        return Counts(minute=sum(slots[-60 // SLOT_SECONDS :]), hour=sum(slots), bars=bars)

    def _turn(self, now_ms: int) -> None:
        now = now_ms // 1000 // SLOT_SECONDS
        passed = now - self._last
        if passed > 0:
            self._slots.extend([0] * min(passed, SLOTS))
            self._last = now
