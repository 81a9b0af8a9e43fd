"""A right that one of several processes has at a time, by means of the broker that they share anyway.

It is the ownership of one partition in a consumer group of its own, in which nobody reads anything. The broker gives it to one
member, and to another when that one leaves or dies. Being a member is proven by commits that the broker accepts, and believed
for less time than the broker waits for a member that is silent; so a process that was frozen does not go on as if nothing had
happened.

Members speak with each other through the offset that they commit. It is the number of the turn, twice, and one more if somebody
waits: that one adds the one, and the member that has the lease takes it away when it has looked. Who joins puts the number of
the turn at that time into its client id, with which its member id begins; and the range assignor gives the partition to the
first member by id. So the one that has waited longest is the next, and who joins takes the lease from nobody.

The admin client could tell who else is in the group, but librdkafka 2.16 fails an assertion, and ends the process, when a
broker is killed over that question.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition
from structlog.typing import FilteringBoundLogger

from bridge.errors import Abandoned, BridgeError, Retryable
from bridge.kafka.connection import Connection, LastError, open_client, translate_error

__all__ = ["Lease"]

SESSION_SECONDS = 12.0
"""The broker takes the lease from a member that is silent for so long."""
BELIEVED_SECONDS = 9.0
"""How long after the beginning of the last commit that succeeded the lease is believed to be ours."""
RENEW_SECONDS = 1.0
"""How often the lease is proven, and looked whether others wait for it; and how often one that waits says so."""
ANSWER_SECONDS = 2.0
"""How long the broker may take to tell whether others wait."""
TURN_SECONDS = 10.0
"""How long one keeps it while others wait for it. Passing it on takes about a second."""
IDLE_SECONDS = 1.0
"""How long one that has nothing to write keeps it while others wait for it."""
LONGEST_USE_SECONDS = 120.0
"""How long a member that asks for the lease waits for requests that are under way; a request takes a minute at the most."""
LOOK_SECONDS = 0.2


class Lease:
    """Membership in a group of which one member has the lease; safe to use from many threads.

    Parameters
    ----------
    connection
        The stream.
    topic
        A topic that exists and may be read; its first partition stands for the lease.
    group
        The consumer group.
    log
        Where it says who has it.
    on_change
        Told whether it is ours, whenever that changes.

    Raises
    ------
    BridgeError
        If the broker can't be reached or refuses.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        topic: str,
        group: str,
        log: FilteringBoundLogger,
        on_change: Callable[[bool], None] = lambda _held: None,
    ) -> None:
        self._connection = connection
        self._topic = topic
        self._group = group
        self._log = log
        self._on_change = on_change
        self._changed = threading.Condition()
        self._within = threading.local()
        self._times_given = 0
        self._held = False
        self._others_have_it = False
        self._has_turn = False
        self._turn = -1
        self._proven_at = 0.0
        self._turn_since = 0.0
        self._used_at = 0.0
        self._inside = 0
        self._waiting = 0
        self._wanted = True  # whoever starts has something to write, as a rule
        self._speak_at = 0.0
        self._failure: BridgeError | None = None
        self._closing = threading.Event()
        self._last_error = LastError()
        self._reader = self._new_consumer("tom-bridge")  # joins nothing
        self._member: Consumer | None = None
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self._thread.start()

    @property
    def is_held(self) -> bool:
        """Whether the lease is ours now."""
        return self._held and time.monotonic() < self._proven_at + BELIEVED_SECONDS

    @contextmanager
    def using(self, *, unless: Callable[[], bool]) -> Iterator[None]:
        """Wait until the lease is ours, and keep it at least until the block ends. Blocks may be nested.

        Raises
        ------
        Abandoned
            If ``unless`` comes true first.
        BridgeError
            If the broker refuses it.
        """
        begun_with: int = getattr(self._within, "times_given", 0)
        if begun_with:
            was_given_again = begun_with != self._times_given  # and somebody else may have written in between
            if was_given_again or time.monotonic() >= self._proven_at + BELIEVED_SECONDS:  # process or broker stood still
                raise Retryable("the right to write to the destination could not be renewed with the broker in time")
            yield
            return
        self._acquire(unless)
        self._within.times_given = self._times_given
        try:
            yield
        finally:
            self._within.times_given = 0
            with self._changed:
                self._inside -= 1
                self._used_at = time.monotonic()
                self._changed.notify_all()

    def release(self) -> None:
        """Leave the group when nothing is under way: there is nothing to write for any more."""
        self._wanted = False

    def close(self) -> None:
        """Leave the group, so that others have the lease at once."""
        self._closing.set()
        self._thread.join()
        self._reader.close()

    def _acquire(self, unless: Callable[[], bool]) -> None:
        with self._changed:
            self._waiting += 1
            try:
                while not self.is_held:
                    self._wanted = True
                    if self._failure is not None:
                        raise self._failure
                    if unless():
                        raise Abandoned("the event is no longer this member's")
                    self._changed.wait(LOOK_SECONDS)
            finally:
                self._waiting -= 1
            self._inside += 1

    def _new_consumer(self, client_id: str) -> Consumer:
        config: dict[str, Any] = {
            **self._connection.config,
            "client.id": client_id,
            "error_cb": self._last_error,
            "group.id": self._group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "partition.assignment.strategy": "range",
            "session.timeout.ms": int(SESSION_SECONDS * 1000),
            "heartbeat.interval.ms": 500,
        }
        return open_client(Consumer, config, self._connection)

    def _run(self) -> None:
        while not self._closing.is_set():
            if not self._wanted:
                self._listen(self._reader)
                continue
            try:
                self._take_part(max(self._said() // 2, self._turn + 1))  # behind those who waited while we had our turn
            except KafkaException as error:
                self._listen(self._reader)  # that a right is missing is said there, and the question just times out
                self._fail(translate_error(self._last_error.behind(error), self._connection, f"joining {self._group}"))
            except BridgeError as error:
                self._listen(self._reader)
                self._fail(error)

    def _take_part(self, turn: int) -> None:
        """Be in the group as long as somebody here wants the lease, or has it."""
        self._has_turn = False
        self._member = member = self._new_consumer(f"tom-bridge.{turn:012}")
        try:
            member.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
            while self._wanted and not self._closing.is_set():
                self._listen(member)
                self._speak()
        finally:
            member.close()  # calls _revoked

    def _listen(self, consumer: Consumer) -> None:
        """Hear what a client has to say; it has no messages, but errors and calls for us."""
        message = consumer.poll(LOOK_SECONDS)
        error = message.error() if message is not None else None
        if error is not None and not error.retriable():
            self._fail(translate_error(self._last_error.behind(error), self._connection, f"joining {self._group}"))

    def _fail(self, error: BridgeError) -> None:
        """Tell those who wait, unless it may pass."""
        if not isinstance(error, Retryable):
            with self._changed:
                self._failure = error
                self._changed.notify_all()

    def _speak(self) -> None:
        """Prove the lease, and give it up if others wait and it is their turn; or say that we wait."""
        now = time.monotonic()
        if now < self._speak_at:
            return
        self._speak_at = now + RENEW_SECONDS
        try:
            if self._held:
                said = self._said()
                if not self._has_turn or said // 2 > self._turn:  # else nobody but us has had it
                    self._has_turn, self._turn, self._turn_since = True, said // 2 + 1, now
                self._pass_on_if_due(now, is_waited_for=said % 2 == 1)
                self._prove(now)
            elif self._waiting and self._others_have_it:
                self._say(self._said() | 1)
        except KafkaException as error:
            # Whether we are still a member the callbacks tell; until a commit succeeds, the lease runs out.
            self._log.debug("lease not spoken of", why=error.args[0].str())

    def _pass_on_if_due(self, now: float, *, is_waited_for: bool) -> None:
        """Leave the group soon if others wait for the lease, and we had it long enough, or have no use for it."""
        is_idle = self._inside == 0 and now >= max(self._used_at, self._turn_since) + IDLE_SECONDS
        if is_waited_for and (is_idle or now >= self._turn_since + TURN_SECONDS):
            self._wanted = False  # until somebody here asks again

    def _prove(self, now: float) -> None:
        self._say(2 * self._turn)
        with self._changed:
            self._proven_at = now
            self._changed.notify_all()

    def _said(self) -> int:
        [place] = self._reader.committed([TopicPartition(self._topic, 0)], ANSWER_SECONDS)
        return max(0, place.offset)  # negative, if nobody has said anything yet

    def _say(self, word: int) -> None:
        if self._member is not None:
            self._member.commit(offsets=[TopicPartition(self._topic, 0, word)], asynchronous=False)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.assign([])  # nothing is read here
        self._others_have_it = all(partition.partition != 0 for partition in partitions)
        if self._others_have_it:
            return
        now = time.monotonic()
        with self._changed:
            self._held = True
            self._times_given += 1
            self._proven_at = now - BELIEVED_SECONDS  # not before the broker has taken a commit
        self._speak_at = now
        self._on_change(True)
        self._log.debug("this replica may write now", group=self._group)

    def _revoked(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        """Give it back when the requests that are under way are through; the group waits for that."""
        with self._changed:
            was_held, self._held = self._held, False
            self._others_have_it = False
        give_up_at = time.monotonic() + LONGEST_USE_SECONDS
        while not self._is_unused(RENEW_SECONDS) and time.monotonic() < give_up_at:
            try:
                self._prove(time.monotonic())
            except KafkaException as error:
                self._log.debug("lease not spoken of", why=error.args[0].str())
        if was_held:
            self._on_change(False)

    def _is_unused(self, timeout_seconds: float) -> bool:
        """Wait a while for the requests that are under way; returns whether they are through."""
        with self._changed:
            return self._changed.wait_for(lambda: self._inside == 0, timeout_seconds)

    def _lost(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        with self._changed:
            was_held, self._held = self._held, False
            self._others_have_it = False
        if was_held:
            self._on_change(False)
