"""What is told of a record at its end: one log line, and the numbers.

Of records that are passed over unread there may be tens of thousands a second. So only the first of them between two commits,
which is about a second, have lines of their own; the others are told of together.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from structlog.typing import FilteringBoundLogger

from bridge.codecs.label import label_texts
from bridge.codecs.record import ConsumedRecord
from bridge.consumer.outcome import Outcome
from bridge.events import ShareEvent
from bridge.ledger import Partition
from bridge.metrics import Metrics

__all__ = ["Reporter", "joined"]

MOST_NOTES = 20
MOST_ABOUT = 200
"""Characters of the names of what a record is about: names are the sender's."""
MOST_LINES = 20
"""Lines of their own that records have which are passed over unread, between two commits."""
MOST_DETAILS = 5


@dataclass(slots=True)
class _Together:
    """Records that were passed over unread for one reason since the last commit; of those without a line, where and why."""

    events: int = 0
    details: Counter[str] = field(default_factory=Counter)
    first: dict[Partition, int] = field(default_factory=dict)
    last: dict[Partition, int] = field(default_factory=dict)

    def add(self, consumed: ConsumedRecord, detail: str) -> None:
        """Add one that has no line of its own."""
        place = consumed.topic, consumed.partition
        self.details[detail] += 1
        self.first.setdefault(place, consumed.offset)
        self.last[place] = consumed.offset


class Reporter:
    """Tells of events at their end.

    Parameters
    ----------
    destination
        Name of the consumer.
    log, metrics
        Where to.
    each
        Whether every record that is passed over unread has a line of its own.
    """

    def __init__(self, *, destination: str, log: FilteringBoundLogger, metrics: Metrics, each: bool = False) -> None:
        self._destination = destination
        self._log = log
        self._metrics = metrics
        self._each = each
        self._lines = 0
        self._together: dict[str, _Together] = {}

    def ended(
        self,
        consumed: ConsumedRecord,
        events: Sequence[ShareEvent],
        outcome: Outcome,
        *,
        attempts: int,
        seconds: float,
        now: datetime,
    ) -> None:
        """Tell of a record's end.

        Parameters
        ----------
        consumed, events
            The record, and what it says, as far as it could be read.
        outcome
            What became of it.
        attempts
            How often writing it was begun.
        seconds
            How long it was with us.
        now
            The time of day.
        """
        line = self._line(consumed, outcome, attempts=attempts, seconds=seconds)
        if events:
            line |= {"event_id": str(events[0].id), "type": joined(event.type for event in events)}
            line |= {"source": events[0].source, "about": joined(event.body.subject for event in events)}
        line |= _why(outcome)
        written = outcome.written
        if written is not None:
            line |= {"target": written.target_id, "written": written.written, "present": written.present}
            if written.by_file:
                line |= {"by_file": written.by_file}
            if written.notes:
                line |= {"notes": written.notes[:MOST_NOTES]}
            self._metrics.items(written=written.written, present=written.present, refused=len(outcome.failures))
        (self._log.warning if outcome.is_dead_letter else self._log.info)("event", **line)
        delay = None if consumed.time is None else (now - consumed.time).total_seconds()
        self._metrics.ended(outcome=outcome.end, reason=outcome.reason, seconds=seconds, delay_seconds=delay)
        if outcome.is_dead_letter:
            self._metrics.dead_letter(reason=outcome.reason)

    def passed_over(self, consumed: ConsumedRecord, outcome: Outcome) -> None:
        """Tell of a record that is passed over unread, if not too many were; `tell_of_many` tells of the others, and counts.

        Parameters
        ----------
        consumed, outcome
            The record, and why.
        """
        together = self._together.get(outcome.reason)
        if together is None:
            together = self._together[outcome.reason] = _Together()
        together.events += 1
        if self._lines >= MOST_LINES and not self._each:
            together.add(consumed, outcome.detail)
            return
        self._lines += 1
        texts = label_texts(consumed.record.headers)
        said = {"event_id": "id", "type": "type", "source": "source", "about": "subject"}
        about = {key: joined([texts[name]]) for key, name in said.items() if name in texts}
        self._log.info("event", **self._line(consumed, outcome, attempts=0, seconds=0.0), **about, **_why(outcome))

    def tell_of_many(self) -> None:
        """Count those that were passed over unread since the last time, and tell of those that have no line of their own."""
        for reason, together in self._together.items():
            self._metrics.passed_over(reason=reason, events=together.events)
            without_line = together.details.total()
            if not without_line:
                continue
            details = [f"{detail} ({count})" for detail, count in together.details.most_common(MOST_DETAILS)]
            if (more := len(together.details) - len(details)) > 0:
                details.append(f"and {more} more")
            places = [f"{topic}[{n}]@{first}-{together.last[topic, n]}" for (topic, n), first in together.first.items()]
            self._log.info(
                "passed over", destination=self._destination, events=without_line, reason=reason, details=details, places=places
            )
        self._together.clear()
        self._lines = 0

    def _line(self, consumed: ConsumedRecord, outcome: Outcome, *, attempts: int, seconds: float) -> dict[str, object]:
        return {
            "topic": consumed.topic,
            "partition": consumed.partition,
            "offset": consumed.offset,
            "destination": self._destination,
            "outcome": outcome.end,
            "attempts": attempts,
            "ms": round(seconds * 1000),
        }


def joined(texts: Iterable[str]) -> str:
    """Return texts, each once, as one that is not long."""
    joined = ", ".join(dict.fromkeys(texts))
    return joined if len(joined) <= MOST_ABOUT else f"{joined[: MOST_ABOUT - 3]}..."


def _why(outcome: Outcome) -> dict[str, str]:
    return {key: text for key, text in (("reason", outcome.reason), ("detail", outcome.detail)) if text}
