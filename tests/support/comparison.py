"""A destination compared with the topic: what the topic says has to be there once, in order, seen by those it is for."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from bridge.codecs.native import decode
from bridge.codecs.record import ConsumedRecord
from bridge.errors import Poison
from bridge.events import ShareEvent
from tests.support.world import GROUP

__all__ = ["differences", "list_names", "readable_events"]

Datum = tuple[str, float]
"""Time and brightness."""


def readable_events(records: Iterable[ConsumedRecord]) -> list[ShareEvent]:
    """Return the events of those records that can be read, in the order of their partitions."""
    events = []
    for record in sorted(records, key=lambda record: (record.partition, record.offset)):
        try:
            events.append(decode(record.record))
        except Poison:
            continue
    return events


def list_names(events: Iterable[ShareEvent]) -> set[str]:
    """Return the names of the lists that these events' targets have to be in."""
    return {f"Imported from {event.body.tom.name}" for event in events}


def differences(
    events: list[ShareEvent],
    found: Mapping[str, Any],
    *,
    prefix: str,
    in_order: bool = True,
    missing: Iterable[str] = (),
) -> list[str]:
    """Return what is wrong at a destination.

    Parameters
    ----------
    events
        Of the topic, in its order.
    found
        What the destination has, from `dump`.
    prefix
        With which the names of all targets of the topic begin.
    in_order
        Whether the datums of one event have to be there before those of the next; those of one go beside each other.
    missing
        Names of targets of which nothing but the target itself is to be there.
    """
    wanted = _datums_of(events) | {name: {} for name in missing}
    targets = [target for target in found["targets"] if target["name"].startswith(prefix)]
    counted = Counter(target["name"] for target in targets)
    wrong = [f"{name}: {counted[name]} targets" for name in wanted.keys() | counted.keys() if counted[name] != 1]
    wrong += [f"{t['name']}: invisible" for t in targets if t["groups"] != [GROUP] or t["owners"] != ["bridge"]]
    lists = list_names(events)
    wrong += [f"{t['name']}: in lists {t['lists']}" for t in targets if len(t["lists"]) != 1 or t["lists"][0] not in lists]
    rows: dict[str, list[Datum]] = defaultdict(list)
    for row in sorted(found["datums"], key=lambda row: row["pk"]):
        value = row["value"]
        rows[row["target"]].append((row["timestamp"], value.get("brightness", value.get("magnitude"))))
    for name, datums in wanted.items():
        if sorted(rows[name]) != sorted(datums):
            twice = [value for value, count in Counter(rows[name]).items() if count > 1]
            absent = datums.keys() - set(rows[name])
            wrong.append(f"{name}: {len(rows[name])} datums instead of {len(datums)}; twice {twice}, absent {absent}")
        elif in_order and (came := [datums[datum] for datum in rows[name]]) != sorted(came):
            wrong.append(f"{name}: the datums of events out of order: {came}, {rows[name]}")
    return wrong


def _datums_of(events: Iterable[ShareEvent]) -> dict[str, dict[Datum, int]]:
    """Return for each target its datums, and of each the number of the first event that has it."""
    wanted: dict[str, dict[Datum, int]] = {}
    for number, event in enumerate(events):
        body: Any = event.body
        datums = wanted.setdefault(body.target.name, {})
        for datum in getattr(body, "datums", ()):
            datums.setdefault((datum.timestamp.isoformat(timespec="microseconds"), datum.brightness), number)
    return wanted
