"""Reading what a consumer says of itself: the ``/metrics`` of its ``--http`` address."""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from bridge.metrics import Metric

__all__ = ["Report", "read_report", "scrape"]

SECONDS = 3.0
"""How long a consumer may take at each step of its answer."""
MOST_BYTES = 1_000_000
"""Of an answer."""
MOST_ENDS = 50
"""Outcomes and reasons that are shown of one consumer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a replica of a consumer says, since it was started.

    Parameters
    ----------
    ends
        Events that came to their end, by outcome and reason.
    numbers
        Single values: of gauges and counters that have no labels of their own.
    trouble
        Why it says nothing.
    """

    ends: Mapping[tuple[str, str], int] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    trouble: str = ""


_NUMBERS = {
    Metric.IN_FLIGHT_EVENTS: "in_flight",
    Metric.OLDEST_UNFINISHED: "oldest_seconds",
    Metric.DESTINATION_UP: "destination_up",
    Metric.WRITER: "writer",
}


def scrape(host: str, port: int, *, destination: str) -> Report:
    """Ask a consumer; never raises.

    Parameters
    ----------
    host, port
        Its ``--http`` address.
    destination
        Its name.
    """
    connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
    try:
        connection.request("GET", "/metrics", headers={"Connection": "close"})
        answer = connection.getresponse()
        body = answer.read(MOST_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        return Report(trouble=f"does not answer ({why.lower()})")
    finally:
        connection.close()
    if answer.status != 200 or len(body) > MOST_BYTES:
        return Report(trouble=f"gives no metrics (status {answer.status}, {len(body):,} bytes)")
    return read_report(body.decode(errors="replace"), destination=destination)


def read_report(text: str, *, destination: str) -> Report:
    """Return what metrics in Prometheus' text format say of a consumer."""
    ends: dict[tuple[str, str], int] = {}
    numbers: dict[str, float] = {}
    try:
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    except (ValueError, KeyError, IndexError):
        return Report(trouble="gives what are no metrics")
    names: dict[str, Any] = {metric.exposed_as: number for metric, number in _NUMBERS.items()}
    for sample in samples:
        if sample.labels.get("destination") != destination:
            continue
        if sample.name == Metric.EVENTS.exposed_as and sample.value and len(ends) < MOST_ENDS:
            ends[sample.labels.get("outcome", ""), sample.labels.get("reason", "")] = int(sample.value)
        elif sample.name in names:
            numbers[names[sample.name]] = sample.value
    if not ends and not numbers:
        return Report(trouble=f"is no consumer for {destination}")
    return Report(ends=ends, numbers=numbers)
