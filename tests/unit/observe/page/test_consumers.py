"""What an observer knows of a consumer: lag, what was lost, and what its replicas say."""

from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from bridge.demo.ports import free_port
from bridge.errors import Halt
from bridge.health import HttpDoor
from bridge.metrics import Metrics
from bridge.observe.page.consumers import ConsumerWatch, Observed
from bridge.observe.page.scrape import Report, read_report, scrape

Places = dict[tuple[str, int], Any]
NAME = "not-my-tom"


class Offsets:
    def __init__(self, extents: Places, committed: Places, error: Exception | None = None) -> None:
        self.found, self.by_group, self.error = extents, committed, error

    def extents(self, topics: Sequence[str]) -> Places:
        return {place: extent for place, extent in self.found.items() if place[0] in topics}

    def committed(self, places: Sequence[tuple[str, int]]) -> Places:
        if self.error:
            raise self.error
        return {place: self.by_group[place] for place in places if place in self.by_group}


def watch(offsets: Offsets, clock: Any = lambda: 0.0, ask: Any = None, **about: Any) -> ConsumerWatch:
    observed = Observed(**{"name": NAME, "group": "g", "topics": ("t",)} | about)
    return ConsumerWatch(observed, offsets=offsets, ask=ask or (lambda *_where, **_about: Report()), clock=clock)


def test_lag_is_what_is_between_commits_and_ends() -> None:
    found = watch(Offsets({("t", 0): (5, 100), ("t", 1): (0, 50), ("other", 0): (0, 9)}, {("t", 0): 90, ("t", 1): 50})).look()

    assert (found["lag"], found["begun"], found["lost"], found["problem"]) == (10, True, 0, "")
    assert [partition["lag"] for partition in found["partitions"]] == [10, 0]


def test_a_consumer_that_has_not_begun_waits_for_all_that_there_is() -> None:
    extents = {("t", 0): (5, 100), ("t", 1): (7, 7)}

    assert watch(Offsets(extents, {})).look()["lag"] == 95
    late = watch(Offsets(extents, {}), start="latest").look()
    assert (late["lag"], late["partitions"][0]["lag"]) == (0, None)
    assert watch(Offsets({("t", 0): (5, 100)}, {}), start="latest").look()["lag"] is None


@pytest.mark.parametrize(
    ("committed", "lag", "is_least"), [({("t", 0): 90}, 10, True), ({("t", 0): 90, ("t", 1): 5}, 55, False)]
)
def test_a_lag_without_partitions_whose_beginning_nobody_knows_is_the_least(
    committed: Places, lag: int, is_least: bool
) -> None:
    found = watch(Offsets({("t", 0): (5, 100), ("t", 1): (0, 50)}, committed), start="latest").look()

    assert (found["lag"], found["lag_is_least"]) == (lag, is_least)


def test_records_that_expired_before_they_were_read_are_counted() -> None:
    found = watch(Offsets({("t", 0): (50, 100)}, {("t", 0): 20})).look()

    assert (found["lag"], found["lost"]) == (50, 30)


def test_when_the_last_commit_was_is_known_from_the_second_look_on() -> None:
    now, offsets = [0.0], Offsets({("t", 0): (0, 10)}, {("t", 0): 1})
    consumer = watch(offsets, clock=lambda: now[0])

    assert consumer.look()["moved_seconds"] is None
    offsets.by_group[("t", 0)] = 2
    now[0] = 5.0
    assert consumer.look()["moved_seconds"] == 0
    now[0] = 12.0
    assert consumer.look()["moved_seconds"] == 7


def test_what_the_broker_refuses_is_said() -> None:
    found = watch(Offsets({("t", 0): (0, 1)}, {}, Halt("broker_permission", "may not read in group g"))).look()

    assert found["problem"].endswith("may not read in group g")


def test_wrong_settings_are_said_and_nobody_is_asked() -> None:
    found = watch(Offsets({}, {}), problem="bridge.toml: wrong").look()

    assert (found["problem"], found.get("partitions")) == ("bridge.toml: wrong", None)


def test_each_replica_is_asked() -> None:
    def ask(host: str, port: int, *, destination: str) -> Report:
        return (
            Report(ends={("written", ""): port}, numbers={"destination_up": 1.0}) if port == 1 else Report(trouble="no answer")
        )

    first, second = watch(Offsets({}, {}), ask=ask, addresses=(("127.0.0.1", 1), ("::1", 2))).look()["replicas"]

    assert first == {
        "address": "127.0.0.1:1",
        "trouble": "",
        "ends": [{"outcome": "written", "reason": "", "count": 1}],
        "destination_up": 1.0,
    }
    assert (second["address"], second["trouble"]) == ("[::1]:2", "no answer")


# --- asking a replica


def test_a_consumers_own_metrics_are_understood() -> None:
    metrics = Metrics(destination=NAME)
    for _ in range(3):
        metrics.ended(outcome="written", reason="", seconds=1.0, delay_seconds=None)
    metrics.ended(outcome="refused", reason="ambiguous_target", seconds=1.0, delay_seconds=None)
    metrics.destination_up(up=True)
    metrics.writer(held=False)
    with HttpDoor(address="127.0.0.1:0", metrics=metrics.text, alive=lambda: {"ok": True}, ready=lambda: {"ok": True}) as door:
        report = scrape(*door.address, destination=NAME)
        other = scrape(*door.address, destination="another")

    assert report.ends == {("written", ""): 3, ("refused", "ambiguous_target"): 1}
    assert (report.numbers["destination_up"], report.numbers["writer"], report.trouble) == (1.0, 0.0, "")
    assert other.trouble == "is no consumer for another"


def test_nobody_there_is_said() -> None:
    assert scrape("127.0.0.1", free_port(), destination=NAME).trouble.startswith("does not answer (connection refused")


@pytest.mark.parametrize("text", ["<html>", "a{b=", 'a{b="c"} x', "\x00", "# HELP"])
def test_what_is_no_metrics_is_said(text: str) -> None:
    assert read_report(text, destination=NAME).trouble


@pytest.mark.parametrize(("status", "size"), [(404, 10), (200, 2_000_000)])
def test_an_answer_of_something_else_is_said(status: int, size: int) -> None:
    class Something(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"x" * size)

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Something)
    Thread(target=server.handle_request, daemon=True).start()
    try:
        assert scrape("127.0.0.1", server.server_port, destination=NAME).trouble.startswith(
            f"gives no metrics (status {status}"
        )
    finally:
        server.server_close()
