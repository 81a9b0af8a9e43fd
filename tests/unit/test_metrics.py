"""The closed list of metrics: what is shown is on it, as it says, and every method moves what it names."""

import re
import threading
from collections.abc import Callable
from typing import get_args

import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge import __version__
from bridge.metrics import CONTENT_TYPE, LABELS, Kind, Metric, Metrics, RetryCause

Labels = dict[str, str]
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(metrics: Metrics) -> Samples:
    """Return everything that is shown, by name and labels."""
    families = text_string_to_metric_families(metrics.text().decode())
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """Return one value of the consumer not-my-tom, or None if it is not shown."""
    return samples(metrics).get((name, frozenset({"destination": "not-my-tom", **labels}.items())))


def moved(metrics: Metrics, act: Callable[[], None]) -> dict[str, float]:
    """Return what an act changes, as ``name{labels}`` without destination and buckets, and by how much."""
    before = samples(metrics)
    act()
    changes = {}
    for (name, labels), after in samples(metrics).items():
        change = after - before.get((name, labels), 0)
        if change and not name.endswith("_bucket"):
            own = ",".join(f"{key}={text}" for key, text in sorted(labels) if key != "destination")
            changes[f"{name}{{{own}}}"] = change
    return changes


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(destination="not-my-tom")


@pytest.fixture
def used() -> Metrics:
    """Metrics of which every method was called."""
    metrics = Metrics(destination="not-my-tom")
    metrics.ended(outcome="refused", reason="ambiguous_target", seconds=0.2, delay_seconds=4.0)
    metrics.passed_over(reason="source_not_accepted", events=30)
    metrics.items(written=3, present=2, refused=1)
    metrics.dead_letter(reason="ambiguous_target")
    metrics.retried(why="away")
    metrics.in_flight(events=2, size_bytes=900)
    metrics.lag(topic="tom.shares", partition=0, records=7)
    metrics.oldest_unfinished(seconds=3.5)
    metrics.destination_up(up=False)
    metrics.broker_up(up=True)
    metrics.writer(held=True)
    metrics.pace(requests=2)
    metrics.committed()
    metrics.rebalanced()
    metrics.request(method="GET", status=200, seconds=0.03)
    return metrics


# the list


def test_what_is_shown_is_the_list(used: Metrics) -> None:
    """No metric is missing, none is there that the list does not have, and kind, help and labels are those of the list."""
    shown = {}
    for family in text_string_to_metric_families(used.text().decode()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        assert family.samples, f"{name}: nothing was shown of it"
        labels = {frozenset(one.labels) - {"le"} for one in family.samples}
        shown[name] = (family.type, family.documentation, labels)

    assert shown == {one.exposed_as: (one.kind, one.about, {frozenset(one.labels)}) for one in Metric}


def test_no_sample_is_shown_that_the_list_does_not_have(used: Metrics) -> None:
    """The library would add a ``_created`` to each series."""
    suffixes = {"counter": [""], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}
    allowed = {one.exposed_as + suffix for one in Metric for suffix in suffixes[one.kind]}

    assert {name for name, _labels in samples(used)} == allowed


@pytest.mark.parametrize("metric", Metric)
def test_a_metric_is_named_as_prometheus_wants_it(metric: Metric) -> None:
    units = r"(_seconds|_bytes|_records|_events|_up|_held|_info|_requests)"

    assert re.fullmatch(r"tom_bridge(_[a-z]+)+", metric.exposed_as)
    assert metric.exposed_as.endswith("_total") == (metric.kind == "counter")
    assert metric.kind == "counter" or re.search(units + "$", metric.exposed_as), "its unit is in the name"
    assert metric.kind in get_args(Kind)


@pytest.mark.parametrize("metric", Metric)
def test_a_metric_says_what_it_means(metric: Metric) -> None:
    assert metric.about[0].isupper() or metric.about[0].isdigit()
    assert metric.about.endswith(".")
    assert metric.labels[0] == "destination"
    assert [label for label in metric.labels if label not in LABELS] == []
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert bool(metric.buckets) == (metric.kind == "histogram")


def test_names_are_used_once_and_every_label_is_used() -> None:
    assert len({one.exposed_as for one in Metric}) == len(Metric)
    assert {label for one in Metric for label in one.labels} == set(LABELS)


# what there is before anything happened


def test_counters_with_known_labels_start_at_zero(metrics: Metrics) -> None:
    """Prometheus sees no increase in a series that begins at 1."""
    zeros = [("tom_bridge_items_total", {"outcome": outcome}) for outcome in ("written", "present", "refused")]
    zeros += [("tom_bridge_retries_total", {"why": why}) for why in get_args(RetryCause)]
    zeros += [(f"tom_bridge_{name}_total", {}) for name in ("breaker_opened", "commits", "rebalances")]

    assert [(name, labels) for name, labels in zeros if value(metrics, name, **labels) != 0] == []


@pytest.mark.parametrize(
    "name", ["destination_up", "broker_up", "writer_held", "oldest_unfinished_seconds", "in_flight_events"]
)
def test_a_gauge_is_not_shown_before_its_value_is_known(metrics: Metrics, name: str) -> None:
    """A 0 would say "away"."""
    assert value(metrics, f"tom_bridge_{name}") is None


def test_the_version_is_shown(metrics: Metrics) -> None:
    assert value(metrics, "tom_bridge_build_info", version=__version__) == 1


# each method


def test_an_event_that_ended_is_counted_and_measured(metrics: Metrics) -> None:
    def act() -> None:
        metrics.ended(outcome="refused", reason="ambiguous_target", seconds=0.25, delay_seconds=4.0)

    assert moved(metrics, act) == {
        "tom_bridge_events_total{outcome=refused,reason=ambiguous_target}": 1,
        "tom_bridge_event_seconds_count{outcome=refused}": 1,
        "tom_bridge_event_seconds_sum{outcome=refused}": 0.25,
        "tom_bridge_delay_seconds_count{}": 1,
        "tom_bridge_delay_seconds_sum{}": 4.0,
    }


def test_events_that_are_passed_over_unread_are_counted_alone(metrics: Metrics) -> None:
    changes = moved(metrics, lambda: metrics.passed_over(reason="source_not_accepted", events=1_000))

    assert changes == {"tom_bridge_events_total{outcome=skipped,reason=source_not_accepted}": 1_000}


def test_an_event_without_a_timestamp_has_no_delay(metrics: Metrics) -> None:
    changes = moved(metrics, lambda: metrics.ended(outcome="written", reason="", seconds=1.0, delay_seconds=None))

    assert changes.keys() == {
        "tom_bridge_events_total{outcome=written,reason=}",
        "tom_bridge_event_seconds_count{outcome=written}",
        "tom_bridge_event_seconds_sum{outcome=written}",
    }


def test_clocks_that_differ_make_no_delay_below_zero(metrics: Metrics) -> None:
    metrics.ended(outcome="written", reason="", seconds=1.0, delay_seconds=-3.0)

    assert value(metrics, "tom_bridge_delay_seconds_sum") == 0
    assert value(metrics, "tom_bridge_delay_seconds_count") == 1


def test_an_event_falls_into_the_buckets_from_its_duration_on(metrics: Metrics) -> None:
    metrics.ended(outcome="written", reason="", seconds=3.0, delay_seconds=None)

    for bound in Metric.EVENT.buckets:
        shown = value(metrics, "tom_bridge_event_seconds_bucket", outcome="written", le=str(bound))
        assert shown == (bound >= 3.0), bound


def test_items_are_counted_by_what_became_of_them(metrics: Metrics) -> None:
    assert moved(metrics, lambda: metrics.items(written=3, present=2, refused=1)) == {
        "tom_bridge_items_total{outcome=written}": 3,
        "tom_bridge_items_total{outcome=present}": 2,
        "tom_bridge_items_total{outcome=refused}": 1,
    }


def test_a_dead_letter_is_counted_by_its_reason(metrics: Metrics) -> None:
    metrics.dead_letter(reason="bad_json")
    metrics.dead_letter(reason="bad_json")
    metrics.dead_letter(reason="unmatched")

    assert value(metrics, "tom_bridge_dead_letters_total", reason="bad_json") == 2
    assert value(metrics, "tom_bridge_dead_letters_total", reason="unmatched") == 1


@pytest.mark.parametrize("why", get_args(RetryCause))
def test_a_retry_is_counted_by_its_cause(metrics: Metrics, why: RetryCause) -> None:
    assert moved(metrics, lambda: metrics.retried(why=why)) == {f"tom_bridge_retries_total{{why={why}}}": 1}


def test_what_is_in_flight_goes_up_and_down(metrics: Metrics) -> None:
    metrics.in_flight(events=5, size_bytes=4_000)
    metrics.in_flight(events=1, size_bytes=300)

    assert value(metrics, "tom_bridge_in_flight_events") == 1
    assert value(metrics, "tom_bridge_in_flight_bytes") == 300


def test_the_lag_of_a_partition_is_shown_until_it_goes(metrics: Metrics) -> None:
    metrics.lag(topic="tom.shares", partition=0, records=7)
    metrics.lag(topic="tom.shares", partition=1, records=9)
    metrics.forget_lag(topic="tom.shares", partition=0)

    assert value(metrics, "tom_bridge_lag_records", topic="tom.shares", partition="0") is None
    assert value(metrics, "tom_bridge_lag_records", topic="tom.shares", partition="1") == 9


def test_a_partition_that_was_never_shown_can_go(metrics: Metrics) -> None:
    assert moved(metrics, lambda: metrics.forget_lag(topic="tom.shares", partition=4)) == {}


def test_a_lag_is_never_below_zero(metrics: Metrics) -> None:
    """The end that the broker told may be older than the position."""
    metrics.lag(topic="tom.shares", partition=0, records=-2)

    assert value(metrics, "tom_bridge_lag_records", topic="tom.shares", partition="0") == 0


def test_the_age_of_the_oldest_unfinished_event_is_shown(metrics: Metrics) -> None:
    metrics.oldest_unfinished(seconds=12.5)

    assert value(metrics, "tom_bridge_oldest_unfinished_seconds") == 12.5


@pytest.mark.parametrize(
    ("course", "opened"),
    [([True], 0), ([False], 1), ([True, False], 1), ([False, False, False], 1), ([True, False, True, True, False], 2)],
)
def test_each_change_to_away_is_counted_once(metrics: Metrics, course: list[bool], opened: int) -> None:
    for up in course:
        metrics.destination_up(up=up)

    assert value(metrics, "tom_bridge_breaker_opened_total") == opened
    assert value(metrics, "tom_bridge_destination_up") == course[-1]


def test_broker_and_right_to_write_are_shown_as_they_are(metrics: Metrics) -> None:
    for state in (True, False):
        metrics.broker_up(up=state)
        metrics.writer(held=not state)

        assert value(metrics, "tom_bridge_broker_up") == state
        assert value(metrics, "tom_bridge_writer_held") == (not state)


def test_how_many_requests_go_at_a_time(metrics: Metrics) -> None:
    for requests in (2, 3, 1):
        metrics.pace(requests=requests)
        assert value(metrics, "tom_bridge_pace_requests") == requests


def test_commits_and_rebalances_are_counted(metrics: Metrics) -> None:
    assert moved(metrics, metrics.committed) == {"tom_bridge_commits_total{}": 1}
    assert moved(metrics, metrics.rebalanced) == {"tom_bridge_rebalances_total{}": 1}


@pytest.mark.parametrize(("status", "shown"), [(201, "201"), (503, "503"), (None, "none")])
def test_a_request_is_measured_by_method_and_status(metrics: Metrics, status: int | None, shown: str) -> None:
    assert moved(metrics, lambda: metrics.request(method="POST", status=status, seconds=0.5)) == {
        f"tom_bridge_request_seconds_count{{method=POST,status={shown}}}": 1,
        f"tom_bridge_request_seconds_sum{{method=POST,status={shown}}}": 0.5,
    }


# as a whole


def test_two_consumers_share_nothing_with_each_other_or_the_process() -> None:
    one, other = Metrics(destination="one"), Metrics(destination="other")
    one.committed()

    assert 'tom_bridge_commits_total{destination="one"} 1.0' in one.text().decode()
    assert 'tom_bridge_commits_total{destination="other"} 0.0' in other.text().decode()
    assert b'"one"' not in other.text()
    assert b"tom_bridge" not in prometheus_client.generate_latest()


def test_threads_lose_no_count_and_can_be_read_meanwhile(metrics: Metrics) -> None:
    def work(number: int) -> None:
        for _ in range(200):
            metrics.ended(outcome="written", reason="", seconds=0.1, delay_seconds=0.2)
            metrics.items(written=1, present=0, refused=0)
            metrics.lag(topic="tom.shares", partition=number, records=1)
            metrics.forget_lag(topic="tom.shares", partition=number)
            metrics.destination_up(up=False)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        samples(metrics)
    for thread in threads:
        thread.join()

    assert value(metrics, "tom_bridge_events_total", outcome="written", reason="") == 800
    assert value(metrics, "tom_bridge_delay_seconds_count") == 800
    assert value(metrics, "tom_bridge_items_total", outcome="written") == 800
    assert value(metrics, "tom_bridge_breaker_opened_total") == 1
    assert [key for key in samples(metrics) if key[0] == "tom_bridge_lag_records"] == []


def test_a_name_with_quotes_does_not_break_the_text() -> None:
    metrics = Metrics(destination='a"b\\c\nd')
    metrics.committed()

    labels = {text for (_name, pairs) in samples(metrics) for key, text in pairs if key == "destination"}
    assert labels == {'a"b\\c\nd'}


def test_the_content_type_is_that_of_the_text_format() -> None:
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")


def test_every_method_is_tried_here() -> None:
    """Who adds a method adds it to the fixture ``used``, and its test."""
    assert {name for name in dir(Metrics) if not name.startswith("_")} == {
        *("ended", "passed_over", "items", "dead_letter", "retried", "in_flight", "lag", "forget_lag", "oldest_unfinished"),
        *("destination_up", "broker_up", "writer", "committed", "rebalanced", "request", "pace", "text"),
    }
