"""Events that concern nobody here: how fast a consumer passes them over, with its log, its metrics and its commits.

A third of them comes from a source that is not accepted, a third is of a kind that is not, a third is addressed to others.
They are passed over unread. What has been through this TOM before and the summaries of lists are first read in full.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from statistics import median
from typing import Any

from bench.bridging import span_seconds
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
READ, READ_QUICK = 10_000, 2_000
"""Of those that are read in full, which takes several times as long."""
PARTITIONS = 4
RUNS, READ_RUNS = 5, 3
A_SECOND = 20_000
OF_THE_CLIENT = 0.2
WAIT_SECONDS = 120.0
OTHER = {"name": "Another TOM", "url": "https://another-tom.example.org/"}
EXAMPLES = schemas.example_events()
ACCEPTED = {"accept_sources": [EXAMPLES["target_sidereal"].source], "accept": ["targets", "target_lists", "reduced_datums"]}


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield how many are passed over in a second, and how many of those that the client can give."""
    events, runs, read_events, read_runs = (EVENTS_QUICK, 1, READ_QUICK, 1) if bench.quick else (EVENTS, RUNS, READ, READ_RUNS)
    kafka, tom = bench.kafka(), bench.tom("destination")
    site, reading = (
        Site.make(bench.home / name, kafka=kafka, destination=tom, partitions=PARTITIONS, consumer=dict(ACCEPTED))
        for name in ("site", "reading")
    )
    for each in (site, reading):
        bench.at_end(each.kill_all)
    records, read_records = _records(), _read_records(tom.url)
    bench.say(f"publishing {events:,} events")
    flood(kafka.bootstrap, site.topic, records, events)
    flood(kafka.bootstrap, reading.topic, read_records, read_events)
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
    client, bridge, tuned = (number(median(rates[how])) for how in ("client", "bridge", "tuned"))
    yield Figure(
        what="events that concern nobody, passed over unread",
        value=median(rates["bridge"]),
        unit="events/s",
        goal=A_SECOND,
        detail=f"{events:,} events of {_size(records):,} bytes, start-up and shut-down not counted",
        runs=runs,
    )
    for baseline, against, detail in (
        ("client", "confluent_kafka that takes them and does nothing", client),
        (
            "tuned",
            "confluent_kafka with the bridge's own settings for fetching",
            f"{tuned}; its default waits a second whenever 64 MB are fetched",
        ),
    ):
        yield Figure(
            what="the same",
            against=against,
            value=median(ours / theirs for ours, theirs in zip(rates["bridge"], rates[baseline], strict=True)),
            unit="times",
            goal=OF_THE_CLIENT,
            detail=f"{bridge} a second against {detail}",
            runs=runs,
        )
    yield Figure(
        what="events that concern nobody, read in full before that shows",
        value=median(_rate_of_reading(reading, read_events) for _ in range(read_runs)),
        unit="events/s",
        detail=f"{read_events:,} events of {_size(read_records):,} bytes, each with a log line of its own",
        runs=read_runs,
    )


def _rate(site: Site, events: int) -> float:
    """Have a new group consume all of it; return events a second, without what a consumer takes that finds nothing to do."""
    site.group += 1
    seconds, replica = _drain(site)
    if f"{events} skipped" not in replica.out:
        raise RuntimeError(f"not every event was passed over: {replica.out}")
    return events / (seconds - _drain(site)[0])


def _rate_of_reading(site: Site, events: int) -> float:
    """Have a new group read and skip all of it; return events a second by its log, from the first one taken to the last end."""
    site.group += 1
    lines = _drain(site)[1].events
    if len(lines) != events or {line.get("reason") for line in lines} != {"echo", "summary"}:
        raise RuntimeError(f"{len(lines)} events instead of {events} were read and skipped: {lines[:3]}")
    return events / span_seconds(lines)


def _drain(site: Site) -> tuple[float, Replica]:
    """Run a consumer up to the topic's end; return how long that took, and the consumer."""
    command = [sys.executable, "-m", "bridge", "consume", "destination", "--drain", "--config", str(site.write_config())]
    began = time.perf_counter()
    replica = Replica(command, site.home / f"intake-{site.group}.log").start()
    site.replicas.append(replica)
    if code := replica.wait(seconds=WAIT_SECONDS):
        raise RuntimeError(f"tom-bridge consume ended with {code}:\n{replica.tail()}")
    return time.perf_counter() - began, replica


def _records() -> list[Record]:
    datums, target = EXAMPLES["reduced_datums"], EXAMPLES["target_sidereal"]
    return [
        encode(_with(datums, tom=OTHER, datums=[{**datum, "id": None} for datum in datums.body.model_dump()["datums"]])),
        encode(EXAMPLES["data_product"]),
        encode(_with(target, destinations=["their-tom"])),
    ]


def _read_records(url: str) -> list[Record]:
    """Return events of a source and of kinds that are accepted, which end without a question to the TOM that has this URL."""
    datums, target = (EXAMPLES[name] for name in ("reduced_datums", "target_sidereal"))
    return [
        *(encode(replace(event, body=event.body.model_copy(update={"hops": (url,)}))) for event in (datums, target)),
        encode(EXAMPLES["target_list"]),
    ]


def _size(records: list[Record]) -> int:
    """Return the usual size of an event; bytes."""
    return sum(record.size for record in records) // len(records)


def _with(event: ShareEvent, **changed: Any) -> ShareEvent:
    return replace(event, body=type(event.body).model_validate(event.body.model_dump() | changed))
