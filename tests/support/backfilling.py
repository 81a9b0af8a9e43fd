"""Light curves for backfill: events that carry them into a real TOM, and what became of them there."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from bridge.codecs.native import encode, new_event
from bridge.demo.toms import Tom
from bridge.events import PhotometryDatum, ReducedDatum, ReducedDatumsShared, ShareBody, Target, TomIdentity
from tests.support.door import FaultyDoor
from tests.support.world import Said, World, dump, seed, unique

__all__ = ["MANY", "NIGHT", "body", "consume", "curve", "line", "place", "products_of", "rows_of", "send", "settings", "stored"]

ELSEWHERE = TomIdentity(name="Elsewhere", url="https://elsewhere.example.org/")
NIGHT = datetime(2024, 3, 1, 2, 3, 4, 567891, tzinfo=UTC)
MANY = 120
"""Datums that are enough for a file."""
_names = unique("BF")

Row = dict[str, Any]


def curve(count: int = MANY, *, first: int = 0, **fields: Any) -> list[ReducedDatum]:
    """Return points of a light curve, each of another time and brightness; every third is a limit."""
    points: list[ReducedDatum] = []
    for number in range(first, first + count):
        measured = (
            {"limit": 20 + number / 3000} if number % 3 == 0 else {"brightness": 17 + number / 3000, "brightness_error": 0.0125}
        )
        moment = NIGHT + timedelta(hours=number, microseconds=number)
        points.append(PhotometryDatum(timestamp=moment, bandpass="gr"[number % 2], **measured, **fields))
    return points


def body(name: str, datums: list[ReducedDatum]) -> ReducedDatumsShared:
    """Return an event's body about a target of that name."""
    target = Target(name=name, type="SIDEREAL", ra=10.0, dec=20.0, primary_key=41)
    return ReducedDatumsShared(tom=ELSEWHERE, target=target.identity(), datums=tuple(datums))


def place(tom: Tom, *datums: Row) -> str:
    """Make a target that the consumer may write to, and return its name."""
    name = next(_names)
    seed(tom, {"fields": {"name": name, "type": "SIDEREAL", "ra": 10.0, "dec": 20.0}, "datums": list(datums)})
    return name


def send(between: World, *bodies: ShareBody) -> None:
    """Publish an event for each body."""
    between.publish(*(encode(new_event(one, now=datetime.now(UTC))) for one in bodies))


def consume(between: World, backfill: str, *, anew: bool = False, door: FaultyDoor | None = None) -> Said:
    """Consume up to the topic's end with this setting, through a door if there is one."""
    between.consumer |= {"backfill": backfill, "pace": "full"}  # what goes one by one here is much
    between.group += anew
    said = between.run("consume", "destination", "--drain", settings=settings(between, door))
    assert said.code == 0, said
    return said


def settings(between: World, door: FaultyDoor | None) -> Row:
    """Return a configuration in which the destination is behind a door, if there is one."""
    found = between.settings()
    if door is not None:
        found["DATA_SHARING"]["destination"]["BASE_URL"] = door.url
    return found


def line(said: Said) -> Row:
    """Return the one line of the log that is about an event."""
    [only] = said.lines
    return only


def rows_of(tom: Tom, name: str) -> list[Row]:
    """Return a target's datums from a TOM's database."""
    return list(dump(tom, target=name)["datums"])


def products_of(tom: Tom, name: str) -> list[Row]:
    """Return a target's data products from a TOM's database."""
    return list(dump(tom, target=name)["data_products"])


def stored(rows: list[Row], *, but: Collection[str] = ()) -> list[str]:
    """Return what is stored of each datum but where it is, as texts that show a number's type."""
    ignored = {"pk", "target", "data_product", "data_product_pk", *but}
    return sorted(repr(sorted((key, _deep(value)) for key, value in row.items() if key not in ignored)) for row in rows)


def _deep(value: Any) -> Any:
    return sorted((key, _deep(item)) for key, item in value.items()) if isinstance(value, dict) else value
