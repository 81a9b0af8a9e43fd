"""The dead-letter topic of a consumer: what could not be written goes there, and what became of it later."""

import json
from collections.abc import Iterable
from datetime import datetime

from bridge.blobs import sha256
from bridge.codecs.dead_letter import DeadLetter, open_letters, resolution
from bridge.codecs.record import ConsumedRecord, Record
from bridge.consumer.intake import Intake
from bridge.consumer.outcome import Outcome
from bridge.errors import BridgeError, Halt, Retryable
from bridge.events import TargetShared, utc_text
from bridge.kafka.publisher import Publisher

__all__ = ["DeadLetters", "dead_letter", "refused_target_keys"]

MOST_ITEMS = 200
"""How many candidates, and how many refused items, a dead letter names."""

KEPT_HEADER_BYTES, KEPT_HEADERS, OWN_HEADER_BYTES = 250, 50, 4_000
"""What is kept of a record that is too large for the dead-letter topic: so many of its headers, each so large, and ours."""


def dead_letter(
    consumed: ConsumedRecord,
    outcome: Outcome,
    *,
    destination: str,
    now: datetime,
    attempts: int = 1,
    replayed: DeadLetter | None = None,
) -> Record:
    """Return the dead letter of a record: its own key, bytes and headers, and ours about it.

    Parameters
    ----------
    consumed
        The record.
    outcome
        Why it is one.
    destination
        Name of the consumer.
    now
        When.
    attempts
        How often writing it was begun.
    replayed
        The letter that this one takes the place of, if it is one again.
    """
    texts = {
        "dead_letter_reason": outcome.reason,
        "dead_letter_detail": outcome.detail[:2_000],
        "dead_letter_destination": destination,
        "dead_letter_origin": replayed.origin if replayed else consumed.place,
        "dead_letter_time": utc_text(now),
        "dead_letter_attempts": str(attempts + (replayed.attempts if replayed else 0)),
        "dead_letter_replays": str(replayed.replays + 1) if replayed else "",
        "dead_letter_replaces": replayed.id if replayed else "",
        "dead_letter_candidates": json.dumps(list(outcome.candidates[:MOST_ITEMS]), ensure_ascii=False),
        "dead_letter_items": json.dumps(
            [[failure.item, failure.reason, failure.detail] for failure in outcome.failures[:MOST_ITEMS]], ensure_ascii=False
        ),
        "dead_letter_datums": _numbers(outcome),
        "dead_letter_left_out_bytes": str(replayed.left_out_bytes) if replayed and replayed.left_out_bytes else "",
        "dead_letter_left_out_sha256": replayed.left_out_sha256 if replayed else "",
    }
    # A TOM may answer with half a character, which UTF-8 has no bytes for.
    own = tuple((name, text.encode(errors="backslashreplace")) for name, text in texts.items() if text not in ("", "[]"))
    kept = tuple((name, value) for name, value in consumed.record.headers if not name.startswith("dead_letter_"))
    return Record(key=consumed.record.key, value=consumed.record.value, headers=kept + own)


def _numbers(outcome: Outcome) -> str:
    """Return the numbers of the datums that were refused, as JSON; an empty text if something else was, too."""
    numbers = [failure.datum for failure in outcome.failures]
    return "" if not numbers or None in numbers else json.dumps(numbers)


def _with_short_headers(letter: Record) -> Record:
    """Return a dead letter with all of its contents and only the short ones of our headers."""
    kept = tuple(h for h in letter.headers if not h[0].startswith("dead_letter_") or len(h[1]) <= OWN_HEADER_BYTES)
    return Record(key=letter.key, value=letter.value, headers=kept)


def _without_contents(letter: Record) -> Record:
    """Return a dead letter that names what it was, by size and SHA-256, and keeps only what is small."""
    about = (
        ("dead_letter_left_out_bytes", str(len(letter.value or b"")).encode()),
        ("dead_letter_left_out_sha256", sha256(letter.value or b"").encode()),
    )
    ours = tuple(h for h in letter.headers if h[0].startswith("dead_letter_") and len(h[1]) <= OWN_HEADER_BYTES)
    theirs = [h for h in letter.headers if not h[0].startswith("dead_letter_") and len(h[0]) + len(h[1]) <= KEPT_HEADER_BYTES]
    key = None if letter.key is None else letter.key[:KEPT_HEADER_BYTES]
    return Record(key=key, value=None, headers=(*theirs[:KEPT_HEADERS], *ours, *about))


def refused_target_keys(records: Iterable[ConsumedRecord], *, destination: str, intake: Intake) -> frozenset[str]:
    """Return the keys of the targets whose event is a dead letter, from all that the dead-letter topic has."""
    letters = open_letters(records, destination=destination).values()
    events = (event for letter in letters for event in intake.events_of(letter))
    return frozenset(event.body.partition_key for event in events if isinstance(event.body, TargetShared))


class DeadLetters:
    """The dead-letter topic of one consumer.

    Parameters
    ----------
    publisher, topic
        Where to.
    destination
        Name of the consumer.
    """

    def __init__(self, *, publisher: Publisher, topic: str, destination: str) -> None:
        self._publisher = publisher
        self._topic = topic
        self._destination = destination

    def add(
        self,
        consumed: ConsumedRecord,
        outcome: Outcome,
        *,
        now: datetime,
        attempts: int = 1,
        replayed: DeadLetter | None = None,
    ) -> None:
        """Publish a record as a dead letter; returns when the broker has it.

        What is too large for the topic is named by its place, size and SHA-256 instead.

        Raises
        ------
        Halt
            If the broker refuses it. The record must not be committed then.
        Retryable
            If the broker is away, or took it without saying so in time. Nor must it then, but it may be offered again.
        """
        letter = dead_letter(consumed, outcome, destination=self._destination, now=now, attempts=attempts, replayed=replayed)
        for shorten in (lambda whole: whole, _with_short_headers):
            try:
                self._send(shorten(letter))
            except Halt as error:
                if error.reason != "too_large_for_topic":
                    raise
            else:
                return
        self._send(_without_contents(letter))

    def resolve(self, letter: DeadLetter, outcome: Outcome, *, now: datetime) -> None:
        """Say on the topic that a letter has come to its end.

        Raises
        ------
        Halt, Retryable
            If the broker does not take that, or not now.
        """
        self._send(resolution(letter, outcome=outcome.end, now=now))

    def _send(self, letter: Record) -> None:
        try:
            self._publisher.publish(self._topic, [letter])
        except (Halt, Retryable):
            raise
        except BridgeError as error:
            raise Halt("dead_letter_refused", f"the dead-letter topic {self._topic} does not take it: {error}") from error
