"""What one reading of the topics, and what came after it, has about one target, in bounded memory."""

import heapq
import json
from collections import Counter
from typing import Any

from bridge.events import ShareBody, TargetIdentity, TargetShared, simplify_name
from bridge.observe.lightcurves import datum_rows
from bridge.observe.page.datums import Datums
from bridge.observe.page.lines import LONGEST_NAME, event_line, named, short, target_of
from bridge.observe.sightings import Sighting

__all__ = ["MOST_EVENTS", "Findings"]

MOST_EVENTS = 300
"""Events that are listed: those written last; all are counted."""
MOST_NAMES = 50
MOST_LABELS = 50
"""Sources, lists and data products that are told apart."""

_SHOWN_ELSEWHERE = {"name", "aliases", "primary_key", "extras"}


class Findings:
    """Events about a target, summed up; in whatever order they come, up to these bounds. Not for several threads.

    Parameters
    ----------
    asked
        The name that was asked for, simplified: what else an event with it calls the target is shown as a name.
    """

    def __init__(self, asked: str) -> None:
        self.event_count = 0
        self._asked = asked
        self._names: dict[str, None] = {}
        self._known: dict[str, Any] = {}
        self._known_from = (False, 0, 0, "", 0)
        self._events: list[tuple[int, int, str]] = []
        self._sources: Counter[tuple[str, str]] = Counter()
        self._lists: dict[str, None] = {}
        self._products: dict[str, dict[str, Any]] = {}
        self._pages: dict[str, None] = {}
        self._datums = Datums()

    def take(self, found: Sighting) -> None:
        """Take an event about the target."""
        body, consumed = found.event.body, found.consumed
        line = event_line(found)
        self.event_count += 1
        entry = (consumed.timestamp_ms, consumed.offset, json.dumps(line, ensure_ascii=False))
        if len(self._events) < MOST_EVENTS:
            heapq.heappush(self._events, entry)
        else:
            heapq.heappushpop(self._events, entry)
        tom = (short(body.tom.name), short(found.event.source))
        if tom in self._sources or len(self._sources) < MOST_LABELS:
            self._sources[tom] += 1
        target = target_of(body)
        if target is None:
            _add(self._lists, short(body.subject))
            return
        self._meet(body, target)
        place = (isinstance(body, TargetShared), consumed.timestamp_ms, consumed.offset, consumed.topic, consumed.partition)
        if place >= self._known_from:  # the last that says all of it, or if none does, the last
            self._known_from, self._known = place, _known(body, target)
        product = line.get("product")
        if product is not None and len(self._products) < MOST_LABELS:
            self._products[product["sha256"]] = product
        for row in datum_rows(found):
            self._datums.add(row)

    def document(self, about: dict[str, Any]) -> str:
        """Return it as JSON, with what else there is to say."""
        document = {
            **about,
            "names": [named(name) for name in self._names],
            "target": self._known,
            "pages": list(self._pages),
            "sources": [{"tom": tom, "source": source, "events": n} for (tom, source), n in self._sources.most_common()],
            "types": dict(self._datums.types),
            "lists": list(self._lists),
            "products": list(self._products.values()),
            "curve": self._datums.curve(),
            "event_count": self.event_count,
        }
        rest = json.dumps(document, ensure_ascii=False)
        events = ",".join(text for _time, _offset, text in sorted(self._events, reverse=True))
        return f'{rest[:-1]}, "events": [{events}], "points": {self._datums.points()}}}'

    def _meet(self, body: ShareBody, target: TargetIdentity) -> None:
        if self._asked in set(map(simplify_name, target.names)):
            for name in target.names:
                _add(self._names, short(name, LONGEST_NAME), MOST_NAMES)
        if target.primary_key is not None:
            _add(self._pages, body.tom.page(target.primary_key))
        if isinstance(body, TargetShared):
            for name in body.target_lists:
                _add(self._lists, short(name))


def _known(body: ShareBody, target: TargetIdentity) -> dict[str, Any]:
    values = {key: getattr(target, key) for key in type(target).model_fields if key not in _SHOWN_ELSEWHERE}
    known = {
        key: short(value) if isinstance(value, str) else value
        for key, value in values.items()
        if value is not None and value != ""
    }
    if isinstance(body, TargetShared):
        extras = list(body.target.extras.items())[:MOST_LABELS]
        known["extras"] = {short(key): short(value) for key, value in extras}
    return known


def _add(names: dict[str, None], name: str, most: int = MOST_LABELS) -> None:
    if len(names) < most:
        names[name] = None
