"""Events that concern nobody here: how fast a consumer passes them over, with its log, its metrics and its commits.

A third of them comes from a source that is not accepted, a third is of a kind that is not, a third is addressed to others.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from statistics import median
from typing import Any

from bench.flood import flood, idle_rate
from bench.report import Figure, number
from bench.stage import Bench
from bridge import schemas
from bridge.codecs.native import encode
from bridge.codecs.record import Record
from bridge.events import ShareEvent
from bridge.kafka.connection import FETCHING
from tests.support.replica import Replica
from tests.support.site import Site

__all__ = ["measure"]

EVENTS, EVENTS_QUICK = 300_000, 20_000
PARTITIONS = 4
RUNS = 5
A_SECOND = 20_000
OF_THE_CLIENT = 0.2
WAIT_SECONDS = 120.0
OTHER = {"name": "Another TOM", "url": "https://another-tom.example.org/"}
EXAMPLES = schemas.example_events()
ACCEPTED = {"accept_sources": [EXAMPLES["target_sidereal"].source], "accept": ["targets", "target_lists", "reduced_datums"]}


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield how many are passed over in a second, and how many of those that the client can give."""
    events, runs = (EVENTS_QUICK, 1) if bench.quick else (EVENTS, RUNS)
    kafka, tom = bench.kafka(), bench.tom("destination")
    site = Site.make(bench.home / "site", kafka=kafka, destination=tom, partitions=PARTITIONS, consumer=dict(ACCEPTED))
    bench.at_end(site.kill_all)
    records = _records()
    bench.say(f"publishing {events:,} events")
    flood(kafka.bootstrap, site.topic, records, events)
    rates: dict[str, list[float]] = {"client": [], "bridge": [], "tuned": []}
    for run in range(runs):
        for how in ("client", "bridge", "tuned") if run % 2 == 0 else ("tuned", "bridge", "client"):
            match how:
                case "client":
                    rate = idle_rate(kafka.bootstrap, site.topic, events, {})
                case "tuned":
                    rate = idle_rate(kafka.bootstrap, site.topic, events, FETCHING)
                case _:
                    rate = _rate(site, events)
            rates[how].append(rate)
    size = sum(record.size for record in records) // len(records)
    client, bridge, tuned = (number(median(rates[how])) for how in ("client", "bridge", "tuned"))
    yield Figure(
        what="events that concern nobody, passed over",
        value=median(rates["bridge"]),
        unit="events/s",
        goal=A_SECOND,
        detail=f"{events:,} events of {size:,} bytes, start-up and shut-down not counted",
        runs=runs,
    )
    yield Figure(
        what="the same",
        against="confluent_kafka that takes them and does nothing",
        value=median(ours / theirs for ours, theirs in zip(rates["bridge"], rates["client"], strict=True)),
        unit="times",
        goal=OF_THE_CLIENT,
        detail=f"{bridge} a second against {client}",
        runs=runs,
    )
    yield Figure(
        what="the same",
        against="confluent_kafka with the bridge's own settings for fetching",
        value=median(ours / theirs for ours, theirs in zip(rates["bridge"], rates["tuned"], strict=True)),
        unit="times",
        detail=f"{bridge} a second against {tuned}; its default waits a second whenever 64 MB are fetched",
        runs=runs,
    )


def _rate(site: Site, events: int) -> float:
    """Have a new group consume all of it; return events a second, without what a consumer takes that finds nothing to do."""
    site.group += 1
    seconds, said = _drain(site)
    if f"{events} skipped" not in said:
        raise RuntimeError(f"not every event was passed over: {said}")
    return events / (seconds - _drain(site)[0])


def _drain(site: Site) -> tuple[float, str]:
    command = [sys.executable, "-m", "bridge", "consume", "destination", "--drain", "--config", str(site.write_config())]
    began = time.perf_counter()
    replica = Replica(command, site.home / f"intake-{site.group}.log").start()
    site.replicas.append(replica)
    if code := replica.wait(seconds=WAIT_SECONDS):
        raise RuntimeError(f"tom-bridge consume ended with {code}:\n{replica.tail()}")
    return time.perf_counter() - began, replica.out


def _records() -> list[Record]:
    datums, target = EXAMPLES["reduced_datums"], EXAMPLES["target_sidereal"]
    return [
        encode(_with(datums, tom=OTHER, datums=[{**datum, "id": None} for datum in datums.body.model_dump()["datums"]])),
        encode(EXAMPLES["data_product"]),
        encode(_with(target, destinations=["their-tom"])),
    ]


def _with(event: ShareEvent, **changed: Any) -> ShareEvent:
    return replace(event, body=type(event.body).model_validate(event.body.model_dump() | changed))
