"""Events as the page sees them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from bridge.codecs import native
from bridge.codecs.record import ConsumedRecord, Record
from bridge.events import PhotometryDatum, ReducedDatumsShared, ShareBody, ShareEvent, Target, TargetShared, TomIdentity
from bridge.observe.sightings import Sighting, sightings

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
TOM = TomIdentity(name="My TOM", url="https://my-tom.org/")
OTHER = TomIdentity(name="Other TOM", url="https://other-tom.org/")
TOPIC = "tom.shares"


def address(topic: str) -> str:
    return f"kafka://broker.example.org/{topic}"


def target(name: str = "SN 2013dx", **more: Any) -> Target:
    return Target(name=name, **{"type": "SIDEREAL", "ra": 217.3, "dec": 15.8} | more)


def shared(name: str = "SN 2013dx", tom: TomIdentity = TOM, **more: Any) -> ShareBody:
    return TargetShared(tom=tom, target=target(name, **more))


def datums(count: int = 1, name: str = "SN 2013dx", first: int = 0, tom: TomIdentity = TOM, **more: Any) -> ShareBody:
    found = tuple(
        PhotometryDatum(timestamp=NOW + timedelta(minutes=number), **{"brightness": 18.0, "bandpass": "r"} | more)
        for number in range(first, first + count)
    )
    return ReducedDatumsShared(tom=tom, target=target(name).identity(), datums=found)


def consumed(record: Record, offset: int = 0, *, partition: int = 0, topic: str = TOPIC, ms: int = NOW_MS) -> ConsumedRecord:
    return ConsumedRecord(record=record, topic=topic, partition=partition, offset=offset, timestamp_ms=ms)


def record(body: ShareBody) -> Record:
    return native.encode(native.new_event(body, now=NOW))


def seen(event: ShareEvent) -> Sighting:
    return Sighting(event=event, consumed=consumed(Record(key=None, value=None, headers=())), topic_address=address(TOPIC))


def sighting(body: ShareBody, offset: int = 0, partition: int = 0) -> Sighting:
    [found] = sightings(consumed(record(body), offset, partition=partition), topic_address=address(TOPIC))
    assert isinstance(found, Sighting)
    return found
