"""What a consumer counts and measures: the closed list of its metrics, for Prometheus.

The list is data, so that docs/monitoring.md is generated from it and tests walk it. Nothing is built at import, and nothing is
process-wide: each `Metrics` has a registry of its own, and shows what is on the list and no more.

Label values are bounded. Destination, topic and partition come from the settings and the topics; outcomes, reasons and the
causes of a retry are codes that stand in the sources; methods are those that the bridge uses, statuses those that HTTP has. No
label ever carries what an event says: a name, a URL or a text of an error.
"""

import threading
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Literal

import prometheus_client as prometheus
from prometheus_client.metrics_core import Metric as Family

from bridge import __version__

__all__ = ["CONTENT_TYPE", "LABELS", "Kind", "Metric", "Metrics", "RetryCause"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of `Metrics.text`."""

Kind = Literal["counter", "gauge", "histogram"]
RetryCause = Literal["away", "alone", "asked"]

EVENT_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0)
"""From a duplicate that is recognised at once to an event that waited for a TOM over an outage."""
DELAY_SECONDS = (0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0, 604_800.0)
"""From a consumer that keeps up to one that was stopped for a week."""
REQUEST_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""From a small question to a data product that the TOM processes while we wait."""

LABELS: Mapping[str, str] = {
    "destination": "the consumer: the destination TOM's key in `DATA_SHARING`",
    "outcome": "how an event ended, as in its log line; of items: `written`, `present`, `refused`",
    "reason": "the code of the log line and the dead letter; empty where an event was simply written or was there",
    "why": "`away`: the whole TOM is away; `alone`: only this event fails; `asked`: somebody asked to wait "
    "(`Retry-After`, or `max_new_targets_per_hour` is reached)",
    "topic": "a subscribed topic",
    "partition": "the number of its partition",
    "method": "`GET`, `POST`, `PATCH`, `PUT` or `DELETE`",
    "status": "the HTTP status; `none` where no answer came",
    "version": "of tom-bridge",
}
"""Label -> its values."""


class Metric(Enum):
    """Every metric that there is. Each carries the label ``destination`` before its own.

    Attributes
    ----------
    exposed_as
        Its name, with its unit.
    kind
        What Prometheus takes it for.
    labels
        Names of its labels.
    about
        What it says, for an operator.
    buckets
        Upper bounds of a histogram.
    """

    EVENTS = (
        "tom_bridge_events_total",
        "counter",
        ("outcome", "reason"),
        "Events that came to their end, by outcome and reason.",
    )
    EVENT = (
        "tom_bridge_event_seconds",
        "histogram",
        ("outcome",),
        "Time from taking an event off the topic until its end, waiting and retries included; if it is read at all.",
        EVENT_SECONDS,
    )
    DELAY = (
        "tom_bridge_delay_seconds",
        "histogram",
        (),
        "Time from an event's publication (its Kafka timestamp) until its end, if it is read: how late the destination is.",
        DELAY_SECONDS,
    )
    ITEMS = (
        "tom_bridge_items_total",
        "counter",
        ("outcome",),
        "Items of events (a target, each reduced datum, a data product): written now, present already, or refused.",
    )
    DEAD_LETTERS = (
        "tom_bridge_dead_letters_total",
        "counter",
        ("reason",),
        "Dead letters that the broker has taken, by reason.",
    )
    RETRIES = (
        "tom_bridge_retries_total",
        "counter",
        ("why",),
        "Times that an event was begun again, by cause.",
    )
    IN_FLIGHT_EVENTS = (
        "tom_bridge_in_flight_events",
        "gauge",
        (),
        "Events that are taken off the topic and have not ended.",
    )
    IN_FLIGHT_BYTES = (
        "tom_bridge_in_flight_bytes",
        "gauge",
        (),
        "Size of the events that are taken off the topic and have not ended.",
    )
    LAG = (
        "tom_bridge_lag_records",
        "gauge",
        ("topic", "partition"),
        "Records of a partition of this replica that are not committed yet. Gone when the partition is.",
    )
    OLDEST_UNFINISHED = (
        "tom_bridge_oldest_unfinished_seconds",
        "gauge",
        (),
        "Time since the oldest event that has not ended was taken off the topic; 0 if there is none.",
    )
    DESTINATION_UP = (
        "tom_bridge_destination_up",
        "gauge",
        (),
        "1: the destination TOM answers; 0: it is away, and its events wait.",
    )
    BREAKER_OPENED = (
        "tom_bridge_breaker_opened_total",
        "counter",
        (),
        "Times that the destination TOM was found to be away.",
    )
    BROKER_UP = (
        "tom_bridge_broker_up",
        "gauge",
        (),
        "1: the Kafka broker can be reached; 0: it cannot.",
    )
    WRITER = (
        "tom_bridge_writer_held",
        "gauge",
        (),
        "1: this replica has the right to write targets at the destination; 0: another one has it, or none.",
    )
    PACE = (
        "tom_bridge_pace_requests",
        "gauge",
        (),
        "Requests that may be at the destination at a time: 1 at the polite pace, what goes fastest at full pace.",
    )
    COMMITS = (
        "tom_bridge_commits_total",
        "counter",
        (),
        "Commits of offsets that the broker has confirmed.",
    )
    REBALANCES = (
        "tom_bridge_rebalances_total",
        "counter",
        (),
        "Times that the partitions were shared out anew among the replicas.",
    )
    REQUEST = (
        "tom_bridge_request_seconds",
        "histogram",
        ("method", "status"),
        "Duration of HTTP requests to the destination TOM, by method and status.",
        REQUEST_SECONDS,
    )
    BUILD = (
        "tom_bridge_build_info",
        "gauge",
        ("version",),
        "Always 1; says that a consumer runs, and which version of tom-bridge it is.",
    )

    def __init__(
        self, exposed_as: str, kind: Kind, labels: tuple[str, ...], about: str, buckets: tuple[float, ...] = ()
    ) -> None:
        self.exposed_as = exposed_as
        self.kind: Kind = kind
        self.labels = ("destination", *labels)
        self.about = about
        self.buckets = buckets


class _Listed:
    """A registry without the ``_created`` samples, which are not on the list; the library's own switch is process-wide."""

    def __init__(self, registry: prometheus.CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Family]:
        """Yield what is shown; each family was made for this call."""
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family


class Metrics:
    """The metrics of one consumer. Any thread may call any method at any time; none waits for anything.

    Counters whose labels are known start at 0. A gauge is shown once its value is known.

    Parameters
    ----------
    destination
        The consumer's name.
    """

    def __init__(self, *, destination: str) -> None:
        self._destination = destination
        self._registry = prometheus.CollectorRegistry(auto_describe=True)
        self._counters: dict[Metric, prometheus.Counter] = {}
        self._gauges: dict[Metric, prometheus.Gauge] = {}
        self._histograms: dict[Metric, prometheus.Histogram] = {}
        self._lock = threading.Lock()
        self._up: bool | None = None
        for metric in Metric:
            self._build(metric)
        self._start()

    def ended(self, *, outcome: str, reason: str, seconds: float, delay_seconds: float | None) -> None:
        """Count an event that came to its end.

        Parameters
        ----------
        outcome, reason
            As in the log line; the reason may be empty.
        seconds
            From taking it off the topic until now.
        delay_seconds
            From its Kafka timestamp until now; None if that is not known. Clocks differ: less than 0 counts as 0.
        """
        self._count(Metric.EVENTS, outcome=outcome, reason=reason)
        self._observe(Metric.EVENT, seconds, outcome=outcome)
        if delay_seconds is not None:
            self._observe(Metric.DELAY, delay_seconds)

    def passed_over(self, *, reason: str, events: int) -> None:
        """Count events that were passed over without being read: they took no time, and nobody waited for them."""
        self._count(Metric.EVENTS, events, outcome="skipped", reason=reason)

    def items(self, *, written: int, present: int, refused: int) -> None:
        """Count the items of an event."""
        self._count(Metric.ITEMS, written, outcome="written")
        self._count(Metric.ITEMS, present, outcome="present")
        self._count(Metric.ITEMS, refused, outcome="refused")

    def dead_letter(self, *, reason: str) -> None:
        """Count a dead letter that the broker has taken."""
        self._count(Metric.DEAD_LETTERS, reason=reason)

    def retried(self, *, why: RetryCause) -> None:
        """Count that an event is begun again.

        Parameters
        ----------
        why
            ``away``: the whole TOM is; ``alone``: only this event fails; ``asked``: somebody asked to wait.
        """
        self._count(Metric.RETRIES, why=why)

    def in_flight(self, *, events: int, size_bytes: int) -> None:
        """Note how many events are taken and have not ended, and their size."""
        self._set(Metric.IN_FLIGHT_EVENTS, events)
        self._set(Metric.IN_FLIGHT_BYTES, size_bytes)

    def lag(self, *, topic: str, partition: int, records: int) -> None:
        """Note how many records of a partition are not committed yet."""
        self._set(Metric.LAG, max(records, 0), topic=topic, partition=str(partition))

    def forget_lag(self, *, topic: str, partition: int) -> None:
        """Show a partition no longer: it is another replica's now. Does nothing if it was never shown."""
        self._gauges[Metric.LAG].remove(self._destination, topic, str(partition))

    def oldest_unfinished(self, *, seconds: float) -> None:
        """Note how long ago the oldest event that has not ended was taken; 0 if there is none."""
        self._set(Metric.OLDEST_UNFINISHED, max(seconds, 0.0))

    def destination_up(self, *, up: bool) -> None:
        """Note whether the destination answers; each change to "away" is counted, a first one too."""
        with self._lock:
            if not up and self._up is not False:
                self._count(Metric.BREAKER_OPENED)
            self._up = up
            self._set(Metric.DESTINATION_UP, up)

    def broker_up(self, *, up: bool) -> None:
        """Note whether the broker can be reached."""
        self._set(Metric.BROKER_UP, up)

    def writer(self, *, held: bool) -> None:
        """Note whether this replica has the right to write targets now."""
        self._set(Metric.WRITER, held)

    def pace(self, *, requests: int) -> None:
        """Note how many requests may be at the destination at a time."""
        self._set(Metric.PACE, requests)

    def committed(self) -> None:
        """Count a commit that the broker has confirmed."""
        self._count(Metric.COMMITS)

    def rebalanced(self) -> None:
        """Count that the partitions were shared out anew."""
        self._count(Metric.REBALANCES)

    def request(self, *, method: str, status: int | None, seconds: float) -> None:
        """Note a request to the TOM.

        Parameters
        ----------
        method
            Of HTTP.
        status
            Of the answer; None if none came.
        seconds
            Until the answer, or until it was given up.
        """
        self._observe(Metric.REQUEST, seconds, method=method, status="none" if status is None else str(status))

    def text(self) -> bytes:
        """Return everything in the text format of Prometheus; see `CONTENT_TYPE`."""
        return prometheus.generate_latest(_Listed(self._registry))

    def _build(self, metric: Metric) -> None:
        match metric.kind:
            case "counter":
                self._counters[metric] = prometheus.Counter(
                    metric.exposed_as, metric.about, metric.labels, registry=self._registry
                )
            case "gauge":
                self._gauges[metric] = prometheus.Gauge(metric.exposed_as, metric.about, metric.labels, registry=self._registry)
            case "histogram":
                self._histograms[metric] = prometheus.Histogram(
                    metric.exposed_as, metric.about, metric.labels, buckets=metric.buckets, registry=self._registry
                )

    def _start(self) -> None:
        """Show at 0 what is known beforehand: Prometheus sees an increase only of what it has seen before."""
        self.items(written=0, present=0, refused=0)
        causes: tuple[RetryCause, ...] = ("away", "alone", "asked")
        for why in causes:
            self._count(Metric.RETRIES, 0, why=why)
        for metric in (Metric.BREAKER_OPENED, Metric.COMMITS, Metric.REBALANCES):
            self._count(metric, 0)
        self._set(Metric.BUILD, 1, version=__version__)

    def _count(self, metric: Metric, amount: int = 1, **labels: str) -> None:
        self._counters[metric].labels(destination=self._destination, **labels).inc(amount)

    def _set(self, metric: Metric, value: float, **labels: str) -> None:
        self._gauges[metric].labels(destination=self._destination, **labels).set(value)

    def _observe(self, metric: Metric, seconds: float, **labels: str) -> None:
        self._histograms[metric].labels(destination=self._destination, **labels).observe(max(seconds, 0.0))
