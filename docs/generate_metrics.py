"""Write docs/monitoring.md from the list of metrics and config/alerts.yml: ``python docs/generate_metrics.py``."""  # noqa: INP001

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from bridge.metrics import LABELS, Metric

__all__ = ["page"]

PATH = Path(__file__).with_name("monitoring.md")
ALERTS = PATH.parent.parent / "config" / "alerts.yml"

HEAD = """\
# Monitoring a consumer

<!-- Written by docs/generate_metrics.py from bridge/metrics.py and config/alerts.yml. Do not edit. -->

A consumer tells what it does over HTTP: metrics for Prometheus, and two pages for whatever starts and restarts services. What
happened to one event is in the log and in the dead letters; see [for operators](operators.md).

## Switch it on

    tom-bridge consume not-my-tom --http 127.0.0.1:9464

Then `/metrics`, `/healthz` and `/readyz` answer at that address, to `GET` and `HEAD`. `0.0.0.0:9464` stands for all addresses
of the machine, `[::1]:9464` is IPv6, and port 0 takes one that is free. Each consumer, and each replica, needs a port of its
own; if the port is taken, the consumer does not start (exit code 2). Without `--http` nothing listens.

The pages need no login and are not encrypted. They carry no secrets and nothing of what events say, but names of topics and
of the destination. Use an address that only your own machines reach, or put a proxy before it.

Who watches cannot disturb the consumer: a client that says nothing for 5 seconds, or takes more than 15 in all, is cut off,
and at most 32 are served at a time.

## `/healthz` and `/readyz`

Both answer with JSON: `ok`, and facts about the consumer. The status is 200 if `ok` is true, else 503.

| page | the question | `ok` is true if | if it is not |
| --- | --- | --- | --- |
| `/healthz` | does it live? | the consumer's loop turns | restart it |
| `/readyz` | can it work now? | it is in its group, reaches the broker, and the TOM is not away | see its facts; no restart |

A TOM or a broker that is away makes a consumer not ready, never dead: it waits, and goes on by itself. So let only `/healthz`
restart it. For Kubernetes, with `--http 0.0.0.0:9464`:

```yaml
livenessProbe:
  httpGet: {path: /healthz, port: 9464}
  periodSeconds: 20
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: 9464}
```

By hand:

    $ curl -s http://127.0.0.1:9464/readyz

## Prometheus

In `prometheus.yml`, with the job named `tom-bridge`, as the alerts expect it:

```yaml
rule_files: [alerts.yml]
scrape_configs:
  - job_name: tom-bridge
    static_configs:
      - targets: ["127.0.0.1:9464"]
```

## Metrics

The list is closed: there are no others. Counters begin at 0 when a consumer starts. A gauge is there once its value is known,
so "no data" means unknown, and never 0.

"""

AFTER_METRICS = """
A histogram has the series `_bucket` (with the label `le`), `_sum` and `_count`, so `tom_bridge_request_seconds_count` is the
number of requests.

| label | its values |
| --- | --- |
"""

AFTER_LABELS = """
The values are bounded. Reasons are the codes in the sources of the bridge, all of which are in [for operators](operators.md);
no label carries a name, a URL or a text from an event.

Some questions and how to ask them:

| question | query |
| --- | --- |
| How far behind is it? | `sum by (destination) (tom_bridge_lag_records)` |
| How late do events arrive? | `histogram_quantile(0.95, sum by (le) (rate(tom_bridge_delay_seconds_bucket[5m])))` |
| Why is nothing written? | `sum by (outcome, reason) (rate(tom_bridge_events_total[5m]))` |
| What does the TOM answer? | `sum by (method, status) (rate(tom_bridge_request_seconds_count[5m]))` |
| How much is written in an hour? | `sum by (destination) (increase(tom_bridge_items_total{outcome="written"}[1h]))` |

A series of `tom_bridge_events_total` or `tom_bridge_dead_letters_total` begins with its first event, at 1, and Prometheus sees
no increase in that. The alert on dead letters finds the first one all the same; the dashboard shows their number instead of an
increase.

TOM Toolkit 2.x answers a datum that it has already with status 500. Such requests are no failures, and the datum counts as
present.

## Dashboard

[config/grafana-dashboard.json](../config/grafana-dashboard.json) is for Grafana 10 or later: *Dashboards*, *New*, *Import*, and
the file's content. The Prometheus and the destinations are chosen at the top.

## Alerts

[config/alerts.yml](../config/alerts.yml) has rules for Prometheus; copy it beside `prometheus.yml`. The numbers in it fit a
quiet stream, and are yours to change.

"""


def page() -> str:
    """Return the whole page."""
    metrics, labels, alerts = ("".join(f"{line}\n" for line in lines) for lines in (_metrics(), _labels(), _alerts()))
    return f"{HEAD}{metrics}{AFTER_METRICS}{labels}{AFTER_LABELS}{alerts}"


def _metrics() -> Iterator[str]:
    yield "| metric | type | labels | meaning |"
    yield "| --- | --- | --- | --- |"
    for metric in Metric:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        yield f"| `{metric.exposed_as}` | {metric.kind} | {labels} | {metric.about} |"


def _labels() -> Iterator[str]:
    for label, values in LABELS.items():
        yield f"| `{label}` | {values} |"


def _alerts() -> Iterator[str]:
    yield "| alert | severity | after | what it says |"
    yield "| --- | --- | --- | --- |"
    for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            says = re.sub(r"\{\{ \$(?:labels\.)?(\w+)[^}]*\}\}", r"*\1*", rule["annotations"]["summary"])
            yield f"| `{rule['alert']}` | {rule['labels']['severity']} | {rule.get('for', 'at once')} | {says} |"


if __name__ == "__main__":
    PATH.write_text(page(), encoding="utf-8")
