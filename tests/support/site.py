"""A site: a topic full of events, and the replicas that write it into a destination, with a consumer group of its own.

What the topic says at the end is what the destination has to have.

    site = Site.make(folder, kafka=kafka, destination=tom, partitions=6)
    site.publish_data(range(10), events=3)
    with site.running(number=2):
        site.wait_until_done()
    site.assert_well()
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from bridge.codecs.native import encode, new_event
from bridge.codecs.record import Record
from bridge.demo.toms import Tom
from bridge.events import PhotometryDatum, Target, TargetShared, TomIdentity
from bridge.events.shares import ReducedDatumsShared
from bridge.kafka.connection import Connection, connect_settings
from bridge.kafka.publisher import Publisher
from bridge.settings import StreamEntry
from tests.support.commits import Commit, read_commits, wrong_commits
from tests.support.comparison import differences, list_names, readable_events
from tests.support.door import FaultyDoor
from tests.support.kafka import ApacheKafka
from tests.support.replica import Replica
from tests.support.waiting import PATIENCE_SECONDS
from tests.support.world import GROUP, World, dump

__all__ = ["Site"]

NIGHT = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(kw_only=True)
class Site(World):
    """One topic, and the replicas that write it into a destination.

    Parameters
    ----------
    kafka
        Where the topic is.
    door
        What stands before the destination, if anything does.
    shared_by
        The source TOM that events name; one of its own if not given.
    password
        That the consumer is given for the destination; the right one if not given.
    """

    kafka: ApacheKafka
    door: FaultyDoor | None = None
    shared_by: TomIdentity | None = None
    password: str = ""
    replicas: list[Replica] = field(default_factory=list)
    published: set[str] = field(default_factory=set)

    @classmethod
    def make(cls, home: Path, *, kafka: ApacheKafka, destination: Tom, partitions: int = 1, **more: Any) -> "Site":
        """Return a site with topics of so many partitions."""
        home.mkdir(parents=True, exist_ok=True)
        return cls(
            home=home,
            kafka=kafka,
            stream_url=f"kafka://{kafka.bootstrap}/",
            create_topic=partial(kafka.create_topic, partitions=partitions),
            source=destination,
            destination=destination,
            **more,
        )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.prefix = f"Storm{self.number}of{os.getpid()}x"
        self.tom = self.shared_by or TomIdentity(name=f"{self.prefix} TOM", url=f"https://{self.prefix.lower()}.example.org/")
        self._publisher = Publisher(self.connection, delivery_timeout_seconds=0)
        self._datum_numbers: Counter[str] = Counter()

    @property
    def connection(self) -> Connection:
        return connect_settings("stream", StreamEntry(BASE_URL=f"kafka://{self.kafka.bootstrap}/"))

    @property
    def group_id(self) -> str:
        """The consumer group at present."""
        return str(self.settings()["consumers"]["destination"]["group_id"])

    def settings(self) -> dict[str, Any]:
        settings = super().settings()
        entry = settings["DATA_SHARING"]["destination"]
        entry["BASE_URL"] = self.door.url if self.door else self.destination.url
        entry["PASSWORD"] = self.password or entry["PASSWORD"]
        consumer = settings["consumers"]["destination"]
        if "accept_sources" not in self.consumer:
            consumer["accept_sources"] = ["https://elsewhere.example.org/", self.tom.url]
        return settings

    # what is published
    def target(self, number: int) -> Target:
        """Return a target of this site."""
        return Target(
            name=f"{self.prefix}{number:05d}", type="SIDEREAL", ra=round(0.01 * number, 4), dec=1.5, primary_key=number
        )  # fmt: skip

    def target_events(self, numbers: Iterable[int], *, tom: TomIdentity | None = None, dec: float = 1.5) -> list[Record]:
        """Return an event for each of these targets."""
        targets = [self.target(number).model_copy(update={"dec": dec}) for number in numbers]
        return [self._encode(TargetShared(tom=tom or self.tom, target=target)) for target in targets]

    def datum_event(self, number: int, datums: int = 1, *, tom: TomIdentity | None = None, start: int | None = None) -> Record:
        """Return an event with the next datums of a target, or, from ``start`` on, those."""
        target = self.target(number)
        first = self._datum_numbers[target.name] if start is None else start
        if start is None:
            self._datum_numbers[target.name] += datums
        points = tuple(
            PhotometryDatum(timestamp=NIGHT + timedelta(seconds=n), brightness=round(15 + n / 1000, 3), bandpass="r")
            for n in range(first, first + datums)
        )
        return self._encode(ReducedDatumsShared(tom=tom or self.tom, target=target.identity(), datums=points))

    def _encode(self, body: Any) -> Record:
        event = new_event(body, now=datetime.now(UTC))
        self.published.add(str(event.id))
        return encode(event)

    def publish(self, *records: Record) -> None:
        self._publisher.publish(self.topic, records)

    def publish_data(self, targets: Iterable[int], *, events: int = 1, datums: int = 1) -> None:
        """Publish targets, and so many events of data for each, with so many datums, round by round."""
        targets = list(targets)
        self.publish(*self.target_events(targets))
        self.publish(*(self.datum_event(number, datums) for _ in range(events) for number in targets))

    # who consumes
    def replica(self, *options: str) -> Replica:
        """Return a replica that is not started."""
        command: list[str | Path] = [sys.executable, "-m", "bridge", "consume", "destination"]
        command += ["--config", self.write_config(), "--verbose", *options]
        self.replicas.append(Replica(command, self.home / f"replica-{self.number}-{len(self.replicas)}.log"))
        return self.replicas[-1]

    @contextmanager
    def running(self, *options: str, number: int = 1) -> Iterator[list[Replica]]:
        """Run replicas for as long as the block lasts; they are killed if they still run then."""
        started = [self.replica(*options).start() for _ in range(number)]
        try:
            yield started
        finally:
            self.kill_all()

    def kill_all(self) -> None:
        """Kill all replicas that run."""
        for replica in self.replicas:
            if replica.runs:
                replica.kill()

    # what came of it
    def offsets(self) -> dict[int, tuple[int, int]]:
        """Return for each partition what is committed, by the broker's word, and its end."""
        consumer = Consumer({"bootstrap.servers": self.kafka.bootstrap, "group.id": self.group_id, "log_level": 0})
        try:
            partitions = consumer.list_topics(self.topic, timeout=15).topics[self.topic].partitions
            committed = _asked_again(
                lambda: consumer.committed([TopicPartition(self.topic, number) for number in partitions], timeout=15)
            )
            ends = {p.partition: consumer.get_watermark_offsets(p, timeout=15)[1] for p in committed}
        finally:
            consumer.close()
        return {p.partition: (max(p.offset, 0), ends[p.partition]) for p in committed}

    def commits(self) -> list[Commit]:
        """Return what the present group committed, by the broker's word."""
        return read_commits(self.kafka.bootstrap, group=self.group_id, topic=self.topic)

    def wrong_commits(self) -> list[str]:
        """Return commits that went back, or went past what the member that made them had brought to its end."""
        return wrong_commits(self.commits(), [replica.ends for replica in self.replicas])

    def is_done(self) -> bool:
        """Whether everything is committed."""
        return all(committed == end for committed, end in self.offsets().values())

    def wait_until_done(self, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until everything is committed; no replica that runs now may end before."""
        needed = [replica for replica in self.replicas if replica.runs]
        deadline = time.monotonic() + seconds
        while not self.is_done():
            for replica in needed:
                assert replica.runs, f"a replica ended by itself:\n{replica.tail()}"
            assert time.monotonic() < deadline, f"not within {seconds} s; committed, end: {self.offsets()}\n" + "\n".join(
                r.tail() for r in self.replicas
            )
            time.sleep(0.3)

    def mend_by_administrator(self) -> list[str]:
        """Do what the docs tell a TOM's administrator to do about targets that a kill of the TOM left half-made.

        A TOM writes a target and the rights on it one after the other. Killed between the two, it has a target that the account
        may not change; its events are dead letters that say so. They are replayed here.

        Returns
        -------
        list of str
            Names of the targets.
        """
        letters = {letter["reason"] for letter in self.dead_letters()}
        if not letters or not letters <= {"invisible_target", "target_not_changeable", "target_refused"}:
            return []
        about = {"username": "bridge", "group": GROUP, "prefix": self.prefix}
        names: list[str] = self.destination.run_script(Path(__file__).parent / "scripts" / "give_access.py", about)
        self.run("dead-letters", "replay", "destination", "--all")
        return names

    def problems(self, *, letters: int = 0, in_order: bool = True, missing: Iterable[str] = ()) -> list[str]:
        """Compare the destination with the topic, and return what is wrong.

        Parameters
        ----------
        letters
            How many dead letters there are to be.
        in_order
            Whether the datums of one event have to be there before those of the next.
        missing
            Names of targets of which nothing but the target itself is to be there.
        """
        events = readable_events(self.read(self.topic))
        wrong = []
        lost = self.published - {str(event.id) for event in events}
        if lost:
            wrong.append(f"{len(lost)} events that were published are not in the topic")
        wrong += differences(events, dump(self.destination), prefix=self.prefix, in_order=in_order, missing=missing)
        duplicated = self.lists_twice(list_names(events))
        wrong += [f"list {name!r} is there {count} times" for name, count in duplicated.items()]
        dead = self.dead_letters()
        if len(dead) != letters:
            wrong.append(f"{len(dead)} dead letters instead of {letters}: {[(d['reason'], d.get('detail')) for d in dead[:5]]}")
        wrong += [f"partition {p}: committed {c}, end {e}" for p, (c, e) in self.offsets().items() if c != e]
        return wrong

    def lists_twice(self, names: Iterable[str]) -> dict[str, int]:
        """Return lists that the destination has more than once."""
        result: Any = self.destination.run_script(Path(__file__).parent / "scripts" / "count_lists.py", sorted(names))
        return {name: count for name, count in result.items() if count != 1}

    def assert_well(self, *, letters: int = 0, in_order: bool = True, missing: Iterable[str] = ()) -> None:
        """Everything is there, once, in order; nothing is left, and nobody logged an error."""
        wrong = self.problems(letters=letters, in_order=in_order, missing=missing)
        assert not wrong, "\n".join(wrong[:20])
        assert self.errors() == []

    def errors(self) -> list[str]:
        """Return the lines of all replicas that are errors, or no log lines at all: tracebacks and librdkafka's own."""
        return [
            line
            for replica in self.replicas
            for line in replica.text.splitlines()
            if '"level": "error"' in line or '"level": "critical"' in line or line.startswith(("Traceback", "Exception"))
        ]

    def outcomes(self) -> Counter[str]:
        """Return how many events ended how, by all replicas' log lines."""
        return Counter(line["outcome"] for replica in self.replicas for line in replica.events)

    def attempts(self) -> int:
        """Return how often events were begun, by all replicas' log lines."""
        return sum(line["attempts"] for replica in self.replicas for line in replica.events)


def _asked_again(ask: Callable[[], list[TopicPartition]]) -> list[TopicPartition]:
    """Ask a broker that has just started until it knows who coordinates the group."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return ask()
        except KafkaException as error:
            if not error.args[0].retriable() and error.args[0].code() != KafkaError.NOT_COORDINATOR:
                raise
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
