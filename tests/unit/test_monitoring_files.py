"""The example dashboard and alerts ask for metrics and labels that exist, and say what to do."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import bridge
from bridge.metrics import Metric

CONFIG = Path(bridge.__file__).parent.parent / "config"

LANGUAGE = {
    *("and", "or", "unless", "by", "on", "without", "ignoring", "offset"),
    *("sum", "min", "max", "count", "rate", "increase", "deriv", "histogram_quantile", "last_over_time", "vector"),
}
"""The words of PromQL that the two files use. Any other word is a metric."""

SCRAPED = {"job", "instance"}
"""Labels that Prometheus itself gives to what it reads."""

NAMED: dict[str, set[str]] = {"up": SCRAPED}
"""What may be asked for -> its labels: the closed list, and whether Prometheus could read it."""
for metric in Metric:
    of_metric = {*metric.labels, *SCRAPED}
    if metric.kind == "histogram":
        NAMED |= {f"{metric.exposed_as}_bucket": {*of_metric, "le"}}
        NAMED |= {f"{metric.exposed_as}_count": of_metric, f"{metric.exposed_as}_sum": of_metric}
    else:
        NAMED[metric.exposed_as] = of_metric

GROUPING = re.compile(r"\b(by|on|without|ignoring)\s*\(([^)]*)\)")


def bare(expr: str) -> str:
    """Return an expression without the contents of its strings and ranges."""
    return re.sub(r"\[[^\]]*\]", "[]", re.sub(r'"[^"]*"', '""', expr))


def selectors(expr: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each metric that an expression asks for, with the labels that it is chosen by."""
    for name, _braces, chosen in re.findall(r"([a-zA-Z_]\w*)\s*(\{([^}]*)\})?", GROUPING.sub(r"\1", bare(expr))):
        if name not in LANGUAGE and not re.fullmatch(r"[smhdwy]", name):  # the unit of `offset 15m`
            yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", chosen))


def grouped(expr: str) -> Iterator[tuple[str, set[str], str]]:
    """Yield each grouping of an expression: its word, its labels, and what it groups."""
    text = bare(expr)
    for found in GROUPING.finditer(text):
        depth, end = 0, len(text)
        rest = text[found.end() :]
        if found[1] == "by":
            assert rest.lstrip().startswith("("), f"written as `sum by (label) (...)`: {expr}"
            for place, char in enumerate(rest):
                depth += {"(": 1, ")": -1}.get(char, 0)
                if depth == 0 and char == ")":
                    end = found.end() + place + 1
                    break
            yield found[1], set(re.findall(r"\w+", found[2])), text[found.end() : end]
        else:
            yield found[1], set(re.findall(r"\w+", found[2])), text


def complaints(expr: str) -> list[str]:
    """Return what an expression asks for that is not there."""
    found = []
    for name, chosen in selectors(expr):
        if name not in NAMED:
            found.append(f"no such metric: {name}")
        else:
            found += [f"{name} has no label {label}" for label in sorted(chosen - NAMED[name])]
    for word, labels, inner in grouped(expr):
        for name, _chosen in selectors(inner):
            found += [f"{word}: {name} has no label {label}" for label in sorted(labels - NAMED.get(name, labels))]
    if expr.count("(") != expr.count(")"):
        found.append("parentheses do not match")
    return found


def labels_of_the_result(expr: str) -> set[str]:
    """Return the labels that come out of an expression."""
    kept = [labels for word, labels, _inner in grouped(expr) if word == "by"]
    if kept:
        return set.intersection(*kept) - {"le"}
    return set.intersection(*(NAMED[name] for name, _chosen in selectors(expr)))


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((CONFIG / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((CONFIG / "grafana-dashboard.json").read_text(encoding="utf-8"))
    return loaded


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def queries() -> list[dict[str, Any]]:
    return [target for panel in panels() for target in panel["targets"]]


ALERTS, PANELS, QUERIES = alerts(), panels(), queries()


@pytest.mark.parametrize(
    ("expr", "complaint"),
    [
        ("tom_bridge_event_total", "no such metric: tom_bridge_event_total"),
        ("rate(tom_bridge_event_seconds[5m])", "no such metric: tom_bridge_event_seconds"),
        ("tom_bridge_lag_records_bucket", "no such metric: tom_bridge_lag_records_bucket"),
        ('tom_bridge_retries_total{why="away",cause="x"}', "tom_bridge_retries_total has no label cause"),
        ('tom_bridge_broker_up{topic!~"a=b"}', "tom_bridge_broker_up has no label topic"),
        ("sum by (reason) (rate(tom_bridge_retries_total[5m]))", "by: tom_bridge_retries_total has no label reason"),
        ("sum by (le) (rate(tom_bridge_request_seconds_count[5m]))", "by: tom_bridge_request_seconds_count has no label le"),
        ("tom_bridge_broker_up and on (topic) tom_bridge_lag_records", "on: tom_bridge_broker_up has no label topic"),
        ("stddev(tom_bridge_broker_up)", "no such metric: stddev"),
        ("sum(tom_bridge_broker_up", "parentheses do not match"),
    ],
)
def test_a_mistake_is_found(expr: str, complaint: str) -> None:
    assert complaints(expr) == [complaint]


def test_what_a_grouping_does_not_hold_is_not_its_business() -> None:
    expr = "sum by (reason) (tom_bridge_dead_letters_total) > 0 or sum by (why) (tom_bridge_retries_total offset 15m) > 0"

    assert complaints(expr) == []
    assert labels_of_the_result(expr) == set()


# alerts


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_asks_for_what_there_is(alert: dict[str, Any]) -> None:
    assert complaints(alert["expr"]) == []


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_says_what_to_do(alert: dict[str, Any]) -> None:
    assert set(alert) - {"for"} == {"alert", "expr", "labels", "annotations"}
    assert alert["alert"].startswith("TomBridge")
    assert re.fullmatch(r"\d+[mh]", alert.get("for", "1m"))
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert re.search(r": [a-z].{20,}", alert["annotations"]["summary"]), "what is the matter, a colon, what to do"
    assert alert["annotations"]["description"].endswith(".")


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_names_labels_that_it_has(alert: dict[str, Any]) -> None:
    named = set(re.findall(r"\$labels\.(\w+)", json.dumps(alert["annotations"])))

    assert named - labels_of_the_result(alert["expr"]) == set()
    assert named & {"destination", "instance"}, "which one?"


def test_there_is_an_alert_for_each_thing_that_can_go_wrong() -> None:
    assert {alert["alert"].removeprefix("TomBridge") for alert in ALERTS} == {
        *("NotScraped", "ConsumerGone", "NotConsuming", "DestinationDown", "BrokerDown"),
        *("LagGrowing", "OldestUnfinished", "DeadLetters", "ManyRefused"),
    }
    assert len({alert["alert"] for alert in ALERTS}) == len(ALERTS)


# the dashboard


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query["expr"][:60])
def test_a_query_asks_for_what_there_is(query: dict[str, Any]) -> None:
    assert complaints(query["expr"]) == []
    assert set(re.findall(r"\{\{\s*(\w+)\s*\}\}", query["legendFormat"])) - labels_of_the_result(query["expr"]) == set()


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query["expr"][:60])
def test_a_query_is_of_the_chosen_destinations(query: dict[str, Any]) -> None:
    asked = list(selectors(query["expr"]))

    assert asked
    assert query["expr"].count('destination=~"$destination"') == len(asked)


def test_every_metric_is_on_the_dashboard() -> None:
    asked = {name for query in QUERIES for name, _chosen in selectors(query["expr"])}
    shown = {
        one
        for one in Metric
        if any(name == one.exposed_as or (one.kind == "histogram" and name.startswith(one.exposed_as)) for name in asked)
    }

    assert set(Metric) - shown == set()


def test_datasource_and_destination_are_chosen_in_grafana() -> None:
    whole = dashboard()
    variables = {variable["name"]: variable for variable in whole["templating"]["list"]}
    chosen = {"type": "prometheus", "uid": "${datasource}"}

    assert set(variables) == {"datasource", "destination"}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    assert variables["destination"]["datasource"] == chosen
    found = re.fullmatch(r"label_values\((\w+), (\w+)\)", variables["destination"]["query"]["query"])
    assert found is not None
    assert found[2] in NAMED[found[1]]
    assert [panel["title"] for panel in PANELS if panel["datasource"] != chosen] == []
    assert [query["expr"] for query in QUERIES if query["datasource"] != chosen] == []
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(whole))) == {"datasource", "destination", "__rate_interval", "__all"}


def test_grafana_can_import_it() -> None:
    whole = dashboard()
    every = whole["panels"]

    assert whole["title"]
    assert whole["uid"]
    assert whole.get("id") is None, "an id is of one Grafana"
    assert whole["schemaVersion"] >= 38, "Grafana 10"
    assert len({panel["id"] for panel in every}) == len(every)
    assert {panel["type"] for panel in every} == {"row", "stat", "timeseries"}
    assert [panel["title"] for panel in PANELS if not panel["description"].endswith(".")] == []
    assert all(len({one["refId"] for one in panel["targets"]}) == len(panel["targets"]) > 0 for panel in PANELS)


def test_panels_do_not_lie_on_each_other() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} on {taken[x, y]}"
                taken[x, y] = panel["title"]
