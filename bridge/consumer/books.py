"""The books: what has come to which end, and what is committed.

A record is finished in the ledger when nothing more has to be done for it: it was written, passed over, or the dead-letter
topic has acknowledged it. Only then may its offset be committed, and it is told of.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from structlog.typing import FilteringBoundLogger

from bridge.codecs.record import ConsumedRecord
from bridge.consumer.doors import Letters, Records
from bridge.consumer.outcome import Outcome
from bridge.consumer.refusals import End
from bridge.consumer.reporting import Reporter
from bridge.errors import Halt
from bridge.ledger import Ledger, Partition
from bridge.metrics import Metrics

__all__ = ["Books"]


class Books:
    """What has come to its end, until it is committed.

    Parameters
    ----------
    ledger
        Which records were taken.
    records, dead_letters
        Where offsets are committed and dead letters go; without ``dead_letters`` (a dry run) neither happens.
    reporter, metrics, log
        Where it is told.
    now, clock
        The time of day, in UTC, and monotonic seconds.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        records: Records,
        dead_letters: Letters | None,
        reporter: Reporter,
        metrics: Metrics,
        log: FilteringBoundLogger,
        now: Callable[[], datetime],
        clock: Callable[[], float],
    ) -> None:
        self._ledger = ledger
        self._records = records
        self._dead_letters = dead_letters
        self._reporter = reporter
        self._metrics = metrics
        self._log = log
        self._now = now
        self._clock = clock
        self._unclosed: deque[End] = deque()
        self._letters_refused = False
        self.closed_since_commit = 0
        self.gone = 0
        """How many partitions went to another member before what was done could be committed."""
        self.ends: Counter[str] = Counter()

    def __len__(self) -> int:
        """How many ends are not closed yet."""
        return len(self._unclosed)

    def add(self, ends: Iterable[End]) -> None:
        """Note ends that are to be closed."""
        self._unclosed.extend(ends)

    def pass_over(self, consumed: ConsumedRecord, outcome: Outcome) -> None:
        """Finish a record at once that is passed over unread; should it come again, that costs nothing."""
        self._ledger.pass_over((consumed.topic, consumed.partition), consumed.offset)
        self.ends[outcome.end] += 1
        self._reporter.passed_over(consumed, outcome)

    def close(self) -> None:
        """Close all ends; a dead letter first has to be where it belongs. After a refusal it is offered none again.

        Raises
        ------
        Halt
            If the dead-letter topic refuses one. Ends that need none are closed all the same.
        Retryable
            If it can't be reached.
        """
        self._close_what_needs_no_letter()
        while self._unclosed and not self._letters_refused:
            self._close(self._unclosed[0])
            self._unclosed.popleft()

    def commit(self) -> None:
        """Commit what may be committed, after all of it was told of.

        Raises
        ------
        Retryable
            If the broker can't be reached.
        """
        self._reporter.tell_of_many()
        offsets = self._ledger.committable()
        if self._dead_letters is None or not offsets:
            return
        if self._records.commit(offsets):
            self._ledger.committed(offsets)
            self.closed_since_commit = 0
            self._metrics.committed()
        else:
            self._log.warning("partitions went to another member before the commit", partitions=_texts(offsets))
            self.gone += len(offsets)

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Forget partitions: they are no longer ours."""
        for partition in partitions:
            self._ledger.forget(partition)
            self._metrics.forget_lag(topic=partition[0], partition=partition[1])
        self._unclosed = deque(end for end in self._unclosed if not end.ticket.is_forgotten)

    def _close_what_needs_no_letter(self) -> None:
        """Close those first for which the dead-letter topic is not needed: it may be away, or refuse."""
        ends, self._unclosed = self._unclosed, deque()
        for end in ends:
            if end.outcome.is_dead_letter:
                self._unclosed.append(end)
            else:
                self._close(end)

    def _close(self, end: End) -> None:
        if self._dead_letters is not None and end.outcome.is_dead_letter:
            try:
                self._dead_letters.add(end.consumed, end.outcome, now=self._now(), attempts=end.attempts)
            except Halt:
                self._letters_refused = True
                raise
        self._ledger.finish(end.ticket)
        self.closed_since_commit += 1
        self.ends[end.outcome.end] += 1
        seconds = self._clock() - end.ticket.taken_at
        self._reporter.ended(end.consumed, end.events, end.outcome, attempts=end.attempts, seconds=seconds, now=self._now())


def _texts(offsets: Mapping[Partition, int]) -> list[str]:
    return [f"{topic}[{partition}]" for topic, partition in offsets]
