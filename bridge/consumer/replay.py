"""Replaying dead letters: each is handled as if it had just come, and ends, or is a dead letter again, once."""

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime

from bridge.codecs.dead_letter import DeadLetter
from bridge.codecs.record import ConsumedRecord
from bridge.consumer.dead_letters import DeadLetters
from bridge.consumer.intake import Intake
from bridge.consumer.outcome import Outcome, refused
from bridge.consumer.work import Current
from bridge.consumer.workers import Writes
from bridge.events import ShareEvent, simplify_name

__all__ = ["Replay", "choose"]


class Replay:
    """Replays dead letters of one consumer.

    Parameters
    ----------
    intake
        What reads records.
    destination, letters
        Its doors.
    now
        The time of day, in UTC.
    current
        Told what is being written.
    """

    def __init__(
        self,
        *,
        intake: Intake,
        destination: Writes,
        letters: DeadLetters,
        now: Callable[[], datetime],
        current: Current,
    ) -> None:
        self._intake = intake
        self._destination = destination
        self._letters = letters
        self._now = now
        self._current = current

    def run(self, letters: Iterable[DeadLetter]) -> Iterator[tuple[DeadLetter, Outcome]]:
        """Replay letters in order, and yield each with what became of it.

        Raises
        ------
        BridgeError
            If the destination is away, or must not be written to. That letter, and all behind it, stay as they are.
        """
        for letter in letters:
            outcome = self._handle(letter)
            if outcome.is_dead_letter:
                self._letters.add(_as_consumed(letter), outcome, now=self._now(), replayed=letter)
            else:
                self._letters.resolve(letter, outcome, now=self._now())
            yield letter, outcome

    def _handle(self, letter: DeadLetter) -> Outcome:
        if letter.left_out_bytes:
            return refused(letter.reason, f"its contents were left out, being too large for the topic; see {letter.origin}")
        taken = self._intake.take(letter.record, topic=letter.topic, time=letter.moment or self._now())
        if taken.outcome is not None:
            return taken.outcome
        only = letter.datums if len(taken.events) == 1 else None  # else nobody knows whose numbers they are
        parts = [(event.body.subject, self._write(event, only)) for event in taken.events]
        return Outcome.of_all(parts, unread=taken.unread)

    def _write(self, event: ShareEvent, only: Collection[int] | None) -> Outcome:
        with self._current.at(event):
            return self._destination.write(event, only=only)


def choose(
    letters: Iterable[DeadLetter],
    *,
    intake: Intake,
    reasons: Iterable[str] = (),
    target: str = "",
    since: str = "",
    until: str = "",
) -> list[DeadLetter]:
    """Return the letters that meet every condition given.

    Parameters
    ----------
    letters
        To choose from.
    intake
        What reads their records.
    reasons
        Codes, any of them.
    target
        A name or alias of the target, with TOM Toolkit's normalisation.
    since, until
        UTC times as letters have them: when it became one, from the first on, before the second.
    """
    wanted, name = set(reasons), simplify_name(target)
    return [
        letter
        for letter in letters
        if (not wanted or letter.reason in wanted)
        and (not name or name in _names(intake.events_of(letter)))
        and since <= letter.time
        and (not until or letter.time < until)
    ]


def _names(events: Iterable[ShareEvent]) -> set[str]:
    targets = (getattr(event.body, "target", None) for event in events)
    return {simplify_name(name) for target in targets if target is not None for name in target.names}


def _as_consumed(letter: DeadLetter) -> ConsumedRecord:
    partition, _dash, offset = letter.id.partition("-")
    return ConsumedRecord(
        record=letter.record, topic=letter.destination, partition=int(partition), offset=int(offset), timestamp_ms=0
    )
