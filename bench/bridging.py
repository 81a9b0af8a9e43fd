"""``tom-bridge consume`` in a process of its own, and how fast it wrote by its own log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bench.stage import Bench
from bridge.demo.toms import Tom
from tests.support.replica import Replica
from tests.support.site import Site

__all__ = ["MODES", "Bridge", "span_seconds", "written_between"]

MODES: Mapping[str, Mapping[str, Any]] = {
    "full": {"pace": "full"},
    "polite": {"pace": "polite"},
}
"""Settings of the consumer, by the mode that people know them by."""
SECONDS = 900.0
"""More than anything that is drained takes, also on a machine that has much else to do."""


class Bridge:
    """A topic between some source TOM and a destination.

    Parameters
    ----------
    bench
        Within a part of it.
    tom
        The destination.
    targets
        How many targets there are; they are created there at once.
    partitions
        Of the topic.

    Attributes
    ----------
    pks
        The targets' primary keys at the destination, by number.
    """

    def __init__(self, bench: Bench, tom: Tom, *, targets: int, partitions: int = 4) -> None:
        self.site = Site.make(bench.home / f"{tom.dir.name}_site", kafka=bench.kafka(), destination=tom, partitions=partitions)
        bench.at_end(self.site.kill_all)
        self.numbers = range(targets)
        self.site.publish(*self.site.target_events(self.numbers))
        created = {line["about"]: line["target"] for line in self.drain(MODES["polite"]).events}
        self.pks = [created[name] for name in self.names()]

    def names(self) -> list[str]:
        """Return the targets' names."""
        return [self.site.target(number).name for number in self.numbers]

    def publish(self, events: int, datums: int, *, numbers: Sequence[int] | None = None) -> None:
        """Publish so many events for each target, or for those of some numbers, with so many datums, in turn."""
        chosen = self.numbers if numbers is None else numbers
        self.site.publish(*(self.site.datum_event(number, datums) for _ in range(events) for number in chosen))

    def start(self, settings: Mapping[str, Any], *options: str) -> Replica:
        """Start a consumer."""
        self.site.consumer = dict(settings)
        return self.site.replica(*options).start()

    def drain(self, settings: Mapping[str, Any]) -> Replica:
        """Consume up to the topic's end."""
        replica = self.start(settings, "--drain")
        if code := replica.wait(seconds=SECONDS):
            raise RuntimeError(f"tom-bridge consume ended with {code}:\n{replica.tail()}")
        return replica

    def rate(self, settings: Mapping[str, Any], *, events: int, datums: int) -> float:
        """Publish and consume; return datums a second, from the beginning of the first event to the end of the last."""
        self.publish(events, datums)
        lines = self.drain(settings).events
        if {line["outcome"] for line in lines} != {"written"} or len(lines) != events * len(self.numbers):
            raise RuntimeError(f"{len(lines)} events instead of {events * len(self.numbers)}: {lines[:3]}")
        return len(lines) * datums / span_seconds(lines)


def span_seconds(lines: list[dict[str, Any]]) -> float:
    """Return from when to when events were worked on, by their log lines."""
    begins: list[float] = [_end(line) - line["ms"] / 1e3 for line in lines]
    return max(map(_end, lines)) - min(begins)


def written_between(replica: Replica, begin: float, end: float) -> float:
    """Return the datums a second of the events that ended between two times of day."""
    written: int = sum(line["written"] for line in replica.events if begin <= _end(line) <= end)
    return written / (end - begin)


def _end(line: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(line["timestamp"]).timestamp()
