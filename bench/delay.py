"""How long it takes until a datum is in the destination's database, at one event a second, by the stream and by a direct POST.

Both are measured alike: the database's file is asked, every two milliseconds, for a row that was not there before, from the
moment when a thread begins to publish the event, or to send the POST; what comes back is waited for afterwards. The consumer is
as it comes, polite and with its default settings, but for its log, which has more lines (``--verbose``).
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from statistics import median, quantiles

import requests

from bench.bridging import MODES, Bridge
from bench.report import Figure, number
from bench.stage import Bench, named
from bench.volley import body, log_in
from bridge.demo.toms import TOM_VERSIONS, Tom
from tests.support.waiting import wait_for

__all__ = ["measure"]

PASSES = 3
EVENTS, EVENTS_QUICK = 30, 5
"""In a pass."""
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
    passes, events = (1, EVENTS_QUICK) if bench.quick else (PASSES, EVENTS)
    for version in TOM_VERSIONS:
        with bench.part(version):
            streamed, posted = _delays(bench, bench.tom("destination", version=version), passes * events)
        for percent, goal in GOALS.items():
            # p99 is of all passes together: a hundredth of one alone is less than an event.
            each = events if percent == 50 else passes * events
            ours, theirs = (_percentiles(values, percent, each=each) for values in (streamed, posted))
            yield Figure(
                what=f"from published to visible, p{percent}",
                where=named(version, postgres=False),
                against="a direct POST, from sent to visible",
                value=median(our - their for our, their in zip(ours, theirs, strict=True)),
                unit="ms",
                goal=goal,
                at_most=True,
                detail=f"{number(median(ours))} ms against {number(median(theirs))} ms, at one event a second, "
                f"{' + '.join([str(each)] * len(ours))} of each",
                runs=len(ours),
            )


def _delays(bench: Bench, tom: Tom, events: int) -> tuple[list[float], list[float]]:
    """Return how long each event took, and each direct POST; ms."""
    bridge = Bridge(bench, tom, targets=TARGETS)
    consumer = bridge.start(MODES["polite"], "--http", "127.0.0.1:0")
    wait_for(consumer.is_ready, "the consumer is a member of its group")
    streamed, posted = [], []
    with (
        closing(sqlite3.connect(f"file:{tom.dir}/db.sqlite3?mode=ro", uri=True)) as database,
        _session(tom) as http,
        ThreadPoolExecutor(1) as thread,
    ):
        newest = partial(_newest, database, _table(database))
        until_visible = partial(_until_visible, newest=newest, thread=thread, tail=consumer.tail)
        began = time.perf_counter()
        for count in range(WARM_UP + events):
            record = bridge.site.datum_event(count % TARGETS)
            datum = json.dumps(body(bridge.pks[count % TARGETS], count))
            _sleep_until(began + 2 * count * APART_SECONDS)
            streamed.append(until_visible(partial(bridge.site.publish, record)))
            _sleep_until(began + (2 * count + 1) * APART_SECONDS)
            posted.append(until_visible(partial(_post, http, tom, datum)))
    consumer.stop()
    return streamed[WARM_UP:], posted[WARM_UP:]


def _until_visible(
    send: Callable[[], object], *, newest: Callable[[], int | None], thread: Executor, tail: Callable[[], str]
) -> float:
    """Send something, and return how many ms later there is a new row.

    Parameters
    ----------
    send
        Sends it, and waits for what comes back.
    newest
        Returns the newest row's number.
    thread
        Where it is sent.
    tail
        Returns what is to be said of it if there is none.
    """
    before, began = newest(), time.perf_counter()
    sending = thread.submit(send)
    while newest() == before:
        if sending.done():
            sending.result()  # raises what went wrong
        if time.perf_counter() > began + WAIT_SECONDS:
            raise RuntimeError(f"what was sent does not arrive:\n{tail()}")
        time.sleep(LOOK_SECONDS)
    taken = (time.perf_counter() - began) * 1e3
    sending.result()
    return taken


def _post(http: requests.Session, tom: Tom, datum: str) -> None:
    http.post(f"{tom.url}api/reduceddatums/", data=datum, timeout=WAIT_SECONDS).raise_for_status()


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


def _percentiles(values: Sequence[float], percent: int, *, each: int) -> list[float]:
    """Return a percentile of the first so many values, of the next so many, and so on."""
    parts = (values[first : first + each] for first in range(0, len(values), each))
    return [quantiles(part, n=100, method="inclusive")[percent - 1] for part in parts]
