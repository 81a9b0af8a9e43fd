"""The consumer's loop: take records, have them written, and commit what is done with.

One thread, this one, speaks with the broker and keeps the books (`bridge.consumer.books`); workers write
(`bridge.consumer.workers`). An offset is committed only when every record before it is written, skipped by policy, or
acknowledged in the dead-letter topic.
"""

import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from queue import Empty

from structlog.typing import FilteringBoundLogger

from bridge.codecs.record import ConsumedRecord
from bridge.consumer.books import Books
from bridge.consumer.doors import Letters, Records
from bridge.consumer.gate import LONGEST_PAUSE_SECONDS, Gate
from bridge.consumer.intake import Intake
from bridge.consumer.lanes import Lanes
from bridge.consumer.refusals import End, Refusals
from bridge.consumer.reporting import Reporter
from bridge.consumer.work import Work, lane_keys
from bridge.consumer.workers import Ended, Workers
from bridge.errors import Retryable
from bridge.ledger import Ledger, Partition
from bridge.metrics import Metrics
from bridge.settings import ConsumerSettings
from bridge.stopping import Stop

__all__ = ["Pipeline"]

POLL_SECONDS = 0.1
"""How long one look for a record blocks; a stop is noticed within it."""
BUSY_POLL_SECONDS = 0.02
"""The same while events are in work; that one is done with is noticed within it."""
COMMIT_SECONDS = 1.0
"""How often what is done with is committed."""
COMMIT_RECORDS = 500
"""After how many records it is committed sooner."""
OBSERVE_SECONDS = 1.0
"""How often lag and the like are measured."""
DRAIN_ATTEMPTS = 5
"""A drain gives up on a destination or broker that is away after so many attempts, since somebody waits for it."""
LET_FINISH_SECONDS = 5.0
"""How long events in work may go on when their partition is to go, or the service is to stop; then they are given up."""
GIVE_UP_SECONDS = 10.0
"""How long those that were given up may take to notice: as a rule one request."""
MOST_AT_ONCE = 500
"""How many records are taken, where so many wait, before what is done with is seen to."""
MOST_KEPT = 20
"""How many times ``max_in_flight`` records may be taken, all but one of them finished: so many a crash may repeat."""


class Pipeline:
    """One consumer service.

    Parameters
    ----------
    intake
        What reads records.
    settings
        What it may do.
    records, dead_letters
        Its doors; without ``dead_letters`` (a dry run) nothing is published, and nothing is committed.
    lanes, gate, workers
        What writes.
    reporter, metrics, log
        Where it tells of itself.
    now, clock
        The time of day, in UTC, and monotonic seconds.
    on_idle
        Called when the group has given all partitions to others.
    """

    def __init__(
        self,
        *,
        intake: Intake,
        settings: ConsumerSettings,
        records: Records,
        dead_letters: Letters | None,
        lanes: Lanes,
        gate: Gate,
        workers: Workers,
        reporter: Reporter,
        metrics: Metrics,
        log: FilteringBoundLogger,
        now: Callable[[], datetime],
        clock: Callable[[], float] = time.monotonic,
        on_idle: Callable[[], None] = lambda: None,
    ) -> None:
        self._intake = intake
        self._settings = settings
        self._records = records
        self._lanes = lanes
        self._gate = gate
        self._workers = workers
        self._metrics = metrics
        self._log = log
        self._now = now
        self._clock = clock
        self._on_idle = on_idle
        self._ledger = Ledger()
        self._books = Books(
            self._ledger,
            records=records,
            dead_letters=dead_letters,
            reporter=reporter,
            metrics=metrics,
            log=log,
            now=now,
            clock=clock,
        )
        self._refusals = Refusals(settings.max_refusals_in_a_row)
        self._commit_at = 0.0
        self._broker_failures = 0
        self._offer_at = 0.0
        self._observe_at = 0.0
        self._turned_at = clock()
        self._broker_was_there = True
        self._is_winding_up = False
        self.stop = Stop()
        self.ends = self._books.ends
        metrics.broker_up(up=True)
        records.on_revoke = self._part_with
        records.on_lost = self._lose

    def run(self, *, drain: bool = False) -> Counter[str]:
        """Consume until `stop` is set, or, for a drain, until the topics' present end.

        Returns
        -------
        Counter
            How many records came to which end.

        Raises
        ------
        BridgeError
            If going on makes no sense. What was not committed comes again at the next start.
        """
        self._workers.most_attempts = DRAIN_ATTEMPTS if drain else None
        self._workers.start()
        try:
            while not (self.stop.is_set() or (drain and self._is_drained())):
                self._turn()
                if drain:
                    self._give_up_if_away()
        finally:
            self._wind_up(drain=drain)
        if drain and self._books.gone and not self.stop.is_set():
            raise Retryable(f"{self._books.gone} partitions went to another member before the commit; drain again")
        return self.ends

    def alive(self) -> dict[str, object]:
        """Return whether the loop turns, for ``/healthz``."""
        silent = self._clock() - self._turned_at
        return {"ok": silent < 2 * LONGEST_PAUSE_SECONDS, "last_turn_seconds_ago": round(silent, 1)}

    def ready(self) -> dict[str, object]:
        """Return whether events are taken and written, for ``/readyz``."""
        trouble = self._gate.trouble
        facts: dict[str, object] = {
            "member_of_group": self._records.is_member,
            "broker_there": self._records.is_broker_there,
            "destination_there": trouble is None,
        }
        ok = all(facts.values())
        return {"ok": ok, **facts, "partitions": len(self._records.assigned), **({"why": trouble.detail} if trouble else {})}

    def _turn(self) -> None:
        """Take what waits, and see to all that is done with."""
        self._turned_at = self._clock()
        try:
            self._take_some()
        except Retryable as error:
            self._count_failure(error)
            self._records.rejoin()
        while self._wait_for_end(0.0):
            pass
        self._settle()
        if self._clock() >= self._offer_at:
            self._offer()
        self._observe()

    def _take_some(self) -> None:
        """Take the records that wait, or the first that comes; one who has enough in work waits for an end instead."""
        if self._is_full():
            self._wait_for_end(POLL_SECONDS)
            if self._is_full():
                self._records.rest(0.0)
            return
        patience = BUSY_POLL_SECONDS if self._ledger.unfinished else POLL_SECONDS
        for _ in range(MOST_AT_ONCE):
            consumed = self._records.poll(patience)
            if consumed is None:
                return
            self._take(consumed)
            if self._is_full():
                return
            patience = 0.0

    def _offer(self) -> None:
        """Offer to the broker what it has to have now: dead letters, and what may be committed."""
        is_due = self._clock() >= self._commit_at or self._books.closed_since_commit >= COMMIT_RECORDS
        try:
            self._books.close()
            if is_due:
                self._commit_at = self._clock() + COMMIT_SECONDS
                self._books.commit()
        except Retryable as error:
            self._count_failure(error)
        else:
            self._broker_failures = 0

    def _take(self, consumed: ConsumedRecord) -> None:
        passed_over = self._intake.glance(consumed.record)
        if passed_over is not None:
            self._books.pass_over(consumed, passed_over)
            return
        place = (consumed.topic, consumed.partition)
        ticket = self._ledger.take(place, consumed.offset, size_bytes=consumed.record.size, taken_at=self._clock())
        taken = self._intake.take(consumed.record, topic=consumed.topic, time=consumed.time or self._now())
        if taken.outcome is not None:
            self._books.add([End(consumed, taken.events, ticket, taken.outcome)])
        else:
            keys = lane_keys(taken.events)
            self._lanes.add(Work(consumed=consumed, events=taken.events, ticket=ticket, keys=keys, unread=taken.unread))

    def _is_full(self) -> bool:
        return (
            self._ledger.unfinished >= self._settings.max_in_flight
            or self._ledger.unfinished_bytes >= self._settings.max_in_flight_bytes
            or self._ledger.kept >= MOST_KEPT * self._settings.max_in_flight
        )

    def _is_drained(self) -> bool:
        return self._records.drained and self._ledger.unfinished == 0

    def _wait_for_end(self, timeout_seconds: float) -> bool:
        """See to one event that the workers are done with; returns whether there was one."""
        try:
            ended = self._workers.ended.get(timeout=timeout_seconds) if timeout_seconds else self._workers.ended.get_nowait()
        except Empty:
            return False
        self._see_to(ended)
        return True

    def _see_to(self, ended: Ended) -> None:
        if ended.error is not None and not self._is_winding_up:
            raise ended.error
        work = ended.work
        if ended.outcome is None or work.ticket.is_forgotten:
            return  # given up, or no longer ours: it comes again, here or elsewhere
        end = End(work.consumed, work.events, work.ticket, ended.outcome, work.attempts)
        if self._is_winding_up and ended.outcome.is_refused_by_tom:
            return  # it comes again, and then it is seen whether that is the TOM's state
        if ended.outcome.is_refused_by_tom:
            self._refusals.add(end, at=self._clock())
            return
        if ended.outcome.has_written and not self._is_winding_up:
            self._books.add(self._refusals.something_was_written())
        self._books.add([end])

    def _settle(self) -> None:
        """Believe a few refusals also where nothing follows that could be written."""
        if self._ledger.unfinished == len(self._refusals) + len(self._books):
            at_end = self._workers.most_attempts is not None and self._records.drained
            self._books.add(self._refusals.settled(now=self._clock(), at_end=at_end))

    def _count_failure(self, error: Retryable) -> None:
        """Note that the broker is away or busy; what it did not take is offered again."""
        self._broker_failures += 1
        pause = min(2.0 ** (self._broker_failures - 1), LONGEST_PAUSE_SECONDS)
        self._offer_at = self._clock() + pause
        self._log.warning("waiting", why=error.detail, attempt=self._broker_failures, pause_seconds=pause)
        if self._workers.most_attempts is not None and self._broker_failures >= DRAIN_ATTEMPTS:
            raise error

    def _part_with(self, partitions: list[Partition]) -> None:
        """Bring what is in work to an end, as far as that is soon, and commit: the partitions are about to go."""
        gone = set(partitions)
        self._metrics.rebalanced()

        def concerned(work: Work) -> bool:
            return work.ticket.partition in gone

        try:
            self._lanes.cancel(concerned, begun=False)
            self._wait_while_busy(concerned)
            self._books.close()
            self._books.commit()
        except Retryable as error:
            self._log.warning("not committed before the partitions went", why=error.detail)
        finally:
            self._forget(partitions)

    def _wait_while_busy(self, concerned: Callable[[Work], bool]) -> None:
        """Let events in work finish for a while, and give up those that do not."""
        let_finish = LET_FINISH_SECONDS if self._gate.trouble is None else 0.0
        for seconds in (let_finish, GIVE_UP_SECONDS):
            deadline = self._clock() + seconds
            while self._lanes.busy(concerned) and (left := deadline - self._clock()) > 0:
                self._wait_for_end(min(left, POLL_SECONDS))
            self._lanes.cancel(concerned, begun=True)
        while self._wait_for_end(0.0):
            pass

    def _lose(self, partitions: list[Partition]) -> None:
        """Give up what is in work: the partitions are another member's already."""
        gone = set(partitions)
        self._metrics.rebalanced()
        self._log.warning("the broker did not hear from us for too long, and gave our partitions to others")
        self._lanes.cancel(lambda work: work.ticket.partition in gone, begun=True)
        self._forget(partitions)

    def _forget(self, partitions: list[Partition]) -> None:
        self._books.forget(partitions)
        self._refusals.forget()

    def _wind_up(self, *, drain: bool) -> None:
        """Stop the workers, see to what they got done, and commit it."""
        self._is_winding_up = True
        self._lanes.cancel(lambda _work: True, begun=False)
        try:
            self._wait_while_busy(lambda _work: True)
            self._books.close()
            self._books.commit()
        except Retryable as error:
            if drain:
                raise
            self._log.warning("not committed at the end; it comes again", why=error.detail)
        finally:
            self._lanes.close()
            if not self._workers.join(GIVE_UP_SECONDS):
                self._log.warning("a request to the destination did not come back in time and is left alone")

    def _give_up_if_away(self) -> None:
        trouble = self._gate.trouble
        waits_long = trouble is not None and (trouble.retry_after or 0.0) > LONGEST_PAUSE_SECONDS
        if trouble is not None and (self._gate.failures >= DRAIN_ATTEMPTS or waits_long):
            raise trouble
        if self._workers.asked_to_wait is not None:
            raise self._workers.asked_to_wait

    def _observe(self) -> None:
        """Measure what those who watch want to know."""
        is_there = self._records.is_broker_there
        if is_there != self._broker_was_there:
            self._broker_was_there = is_there
            (self._log.info if is_there else self._log.warning)("broker is back" if is_there else "broker is away")
        if self._clock() < self._observe_at:
            return
        self._observe_at = self._clock() + OBSERVE_SECONDS
        first = {ticket.partition: ticket for ticket in self._ledger.first_unfinished()}
        for partition in self._records.assigned:
            records = self._records.lag(partition, first[partition].offset if partition in first else None)
            if records is not None:
                self._metrics.lag(topic=partition[0], partition=partition[1], records=records)
        self._metrics.in_flight(events=self._ledger.unfinished, size_bytes=self._ledger.unfinished_bytes)
        oldest = min((ticket.taken_at for ticket in first.values()), default=self._clock())
        self._metrics.oldest_unfinished(seconds=self._clock() - oldest)
        self._metrics.broker_up(up=is_there)
        if self._records.is_member and not self._records.assigned:
            self._on_idle()
