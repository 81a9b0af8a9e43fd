"""Refusals by the TOM are held back until something shows that it does not refuse everything.

A TOM that lost its disk, or an account that lost its rights, refuses one event after the other. Were each of these a dead
letter, the topic would be drained into them. So a refusal is not believed, and its offset not committed, before another event
is written, or nothing follows for a while; and too many in a row stop the consumer.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from bridge.codecs.record import ConsumedRecord
from bridge.consumer.outcome import Outcome
from bridge.errors import Halt
from bridge.events import ShareEvent
from bridge.ledger import Ticket

__all__ = ["SETTLE_SECONDS", "End", "Refusals"]

SETTLE_SECONDS = 10.0
"""How long a refusal waits for an event that is written, where no other is in work."""


@dataclass(frozen=True, slots=True)
class End:
    """A record that has come to its end, but is not finished in the books."""

    consumed: ConsumedRecord
    events: tuple[ShareEvent, ...]
    ticket: Ticket
    outcome: Outcome
    attempts: int = 1


class Refusals:
    """The refusals in a row, and those of them that are held back.

    Parameters
    ----------
    most
        How many in a row there may be.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._in_a_row = 0
        self._held: list[End] = []
        self._last_at = 0.0

    def __len__(self) -> int:
        return len(self._held)

    def add(self, end: End, *, at: float) -> None:
        """Hold a refusal back.

        Parameters
        ----------
        end
            Which.
        at
            When; monotonic seconds.

        Raises
        ------
        Halt
            If it is one too many.
        """
        self._held.append(end)
        self._last_at = at
        self._in_a_row += 1
        if self._in_a_row >= self._most:
            raise Halt(
                "too_many_refusals",
                f"the TOM refused {self._in_a_row} events one after the other, the last one with "
                f"{end.outcome.reason}: {end.outcome.detail}. {len(self._held)} of them are not committed, and no dead "
                "letters. Mend the TOM or the account; if the events are to blame, raise max_refusals_in_a_row",
            )

    def something_was_written(self) -> Iterable[End]:
        """Begin to count anew, and return those that can be believed now."""
        self._in_a_row = 0
        return self._release()

    def settled(self, *, now: float, at_end: bool) -> Iterable[End]:
        """Return those that are to be believed because nothing follows that could be written.

        Parameters
        ----------
        now
            Monotonic seconds.
        at_end
            Whether nothing is going to follow.
        """
        return self._release() if self._held and (at_end or now >= self._last_at + SETTLE_SECONDS) else ()

    def forget(self) -> None:
        """Drop those whose partition is no longer ours; should they come again, they count then."""
        kept = [end for end in self._held if not end.ticket.is_forgotten]
        self._in_a_row -= len(self._held) - len(kept)
        self._held = kept

    def _release(self) -> Iterable[End]:
        held, self._held = self._held, []
        return held
