"""Replaying dead letters: each is handled as if it had just come, and ends, or is a dead letter again, once."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from bridge.codecs import native
from bridge.codecs.dead_letter import DeadLetter
from bridge.codecs.record import ConsumedRecord
from bridge.consumer.admission import admit
from bridge.consumer.dead_letters import DeadLetters
from bridge.consumer.outcome import Outcome, refused, skipped
from bridge.consumer.pipeline import Writes
from bridge.errors import Poison
from bridge.events import ShareEvent, simplify_name
from bridge.settings import ConsumerSettings

__all__ = ["Replay", "choose", "event_of"]


class Replay:
    """Replays dead letters of one consumer.

    Parameters
    ----------
    name, url
        The destination: the consumer's name and the TOM's URL.
    settings
        What it may do.
    destination, letters
        Its doors.
    now
        The time of day, in UTC.
    on_event
        Told the event that is being worked on, or None after it; marks the requests.
    """

    def __init__(
        self,
        *,
        name: str,
        url: str,
        settings: ConsumerSettings,
        destination: Writes,
        letters: DeadLetters,
        now: Callable[[], datetime],
        on_event: Callable[[ShareEvent | None], None] = lambda _event: None,
    ) -> None:
        self._name = name
        self._url = url
        self._settings = settings
        self._destination = destination
        self._letters = letters
        self._now = now
        self._on_event = on_event

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
        try:
            event = native.decode(letter.record)
        except Poison as error:
            return refused(error.reason, error.detail)
        except native.Ignored as error:
            return skipped("reserved_type", str(error))
        passed_over = admit(event, name=self._name, url=self._url, settings=self._settings)
        if passed_over is not None:
            return passed_over
        self._on_event(event)
        try:
            return self._destination.write(event, only=letter.datums)
        finally:
            self._on_event(None)


def choose(
    letters: Iterable[DeadLetter], *, reasons: Iterable[str] = (), target: str = "", since: str = "", until: str = ""
) -> list[DeadLetter]:
    """Return the letters that meet every condition given.

    Parameters
    ----------
    letters
        To choose from.
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
        and (not name or name in _names(letter))
        and since <= letter.time
        and (not until or letter.time < until)
    ]


def event_of(letter: DeadLetter) -> ShareEvent | None:
    """Return the event of a letter, or None if it can't be read."""
    try:
        return native.decode(letter.record)
    except (Poison, native.Ignored):
        return None


def _names(letter: DeadLetter) -> set[str]:
    event = event_of(letter)
    target = getattr(event.body, "target", None) if event is not None else None
    return {simplify_name(name) for name in target.names} if target is not None else set()


def _as_consumed(letter: DeadLetter) -> ConsumedRecord:
    partition, _dash, offset = letter.id.partition("-")
    return ConsumedRecord(
        record=letter.record, topic=letter.destination, partition=int(partition), offset=int(offset), timestamp_ms=0
    )
