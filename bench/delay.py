"""How long after it was published a datum is in the destination's database, at one event a second, beside a direct POST of one.

The database's file is asked, every two milliseconds, for a row that was not there before; a POST is over when it is answered.
The consumer is as it comes: polite, with its default settings.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from statistics import quantiles

import requests

from bench.bridging import MODES, Bridge
from bench.report import Figure, number
from bench.stage import Bench, named
from bench.volley import body, log_in
from bridge.demo.toms import TOM_VERSIONS, Tom
from tests.support.waiting import wait_for

__all__ = ["measure"]

EVENTS, EVENTS_QUICK = 90, 5
WARM_UP = 5
"""Events before those that count: the first finds its target, the first POST opens its connection."""
TARGETS = 10
APART_SECONDS = 0.5
"""An event, and so much later a direct POST, and so on: one a second of each."""
LOOK_SECONDS = 0.002
WAIT_SECONDS = 60.0
GOALS = {50: 30.0, 99: 150.0}
"""ms that the way through the stream may take longer, by percentile."""
TABLES = ("tom_dataproducts_photometryreduceddatum", "tom_dataproducts_reduceddatum")
"""Where datums are, in 3.x and in 2.x."""


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield how much later a datum is there by the stream."""
    events = EVENTS_QUICK if bench.quick else EVENTS
    for version in TOM_VERSIONS:
        with bench.part(version):
            streamed, posted = _delays(bench, bench.tom("destination", version=version), events)
        for percent, goal in GOALS.items():
            ours, theirs = _percentile(streamed, percent), _percentile(posted, percent)
            yield Figure(
                what=f"from published to visible, p{percent}",
                where=named(version, postgres=False),
                against="a direct POST, from sent to visible",
                value=ours - theirs,
                unit="ms",
                goal=goal,
                at_most=True,
                detail=f"{number(ours)} ms against {number(theirs)} ms, at one event a second, {events} of each",
            )


def _delays(bench: Bench, tom: Tom, events: int) -> tuple[list[float], list[float]]:
    """Return how long each event took, and each direct POST; ms."""
    bridge = Bridge(bench, tom, targets=TARGETS)
    consumer = bridge.start(MODES["polite"], "--http", "127.0.0.1:0")
    wait_for(consumer.is_ready, "the consumer is a member of its group")
    streamed, posted = [], []
    with closing(sqlite3.connect(f"file:{tom.dir}/db.sqlite3?mode=ro", uri=True)) as database, _session(tom) as http:
        table = _table(database)
        began = time.perf_counter()
        for count in range(WARM_UP + events):
            record = bridge.site.datum_event(count % TARGETS)
            _sleep_until(began + 2 * count * APART_SECONDS)
            newest, sent = _newest(database, table), time.perf_counter()
            bridge.site.publish(record)
            while _newest(database, table) == newest:
                time.sleep(LOOK_SECONDS)
                if time.perf_counter() > sent + WAIT_SECONDS:
                    raise RuntimeError(f"event {count} does not arrive:\n{consumer.tail()}")
            streamed.append((time.perf_counter() - sent) * 1e3)
            _sleep_until(began + (2 * count + 1) * APART_SECONDS)
            datum, sent = json.dumps(body(bridge.pks[count % TARGETS], count)), time.perf_counter()
            http.post(f"{tom.url}api/reduceddatums/", data=datum, timeout=WAIT_SECONDS).raise_for_status()
            posted.append((time.perf_counter() - sent) * 1e3)
    consumer.stop()
    return streamed[WARM_UP:], posted[WARM_UP:]


def _session(tom: Tom) -> requests.Session:
    login, http = log_in(tom), requests.Session()
    http.trust_env = False
    http.headers.update({**login.headers, "Content-Type": "application/json", "Accept": "application/json"})
    http.cookies.update(login.cookies)
    return http


def _table(database: sqlite3.Connection) -> str:
    there = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    return next(table for table in TABLES if table in there)


def _newest(database: sqlite3.Connection, table: str) -> int | None:
    newest: int | None = database.execute(f"SELECT max(id) FROM {table}").fetchone()[0]
    return newest


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.perf_counter()))


def _percentile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1]
