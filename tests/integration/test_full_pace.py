"""At full pace the datums of one event go beside each other into real TOMs: each once, also those that look alike."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.codecs.native import encode, new_event
from bridge.events import PhotometryDatum, ReducedDatumsShared, TargetIdentity, TomIdentity
from tests.support.world import World, dump, seed, unique

TWO, THREE = "2.32.4", "3.1.0"
ELSEWHERE = TomIdentity(name="Elsewhere", url="https://elsewhere.example.org/")
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
names = unique("SN 2051f")
pairs = pytest.mark.parametrize(("version", "on_postgres"), [(TWO, False), (THREE, False), (TWO, True)])


def curve() -> tuple[PhotometryDatum, ...]:
    """Return 240 points: at each time two bands, and in one of these two values, of which one is there twice."""
    moments = [BEGIN + timedelta(minutes=number) for number in range(60)]
    return tuple(
        PhotometryDatum(timestamp=moment, brightness=15.0 + number / 100 + more, bandpass=band)
        for number, moment in enumerate(moments)
        for band, more in (("g", 0.0), ("r", 0.0), ("r", 0.5), ("r", 0.5))
    )


def points(rows: list[dict[str, Any]]) -> Counter[tuple[object, ...]]:
    """Return how often each point is there: time, band and brightness."""
    return Counter(
        (datetime.fromisoformat(row["timestamp"]), row["value"]["filter"], row["value"]["magnitude"])
        if "filter" in row["value"]
        else (datetime.fromisoformat(row["timestamp"]), row["value"]["bandpass"], row["value"]["brightness"])
        for row in rows
    )


@pairs
def test_each_datum_of_an_event_is_written_once(world: Callable[..., World], version: str, on_postgres: bool):
    between = world(TWO, version, postgres=on_postgres, pace="full", concurrent_writes=on_postgres)
    name = next(names)
    seed(between.destination, {"fields": {"name": name, "type": "SIDEREAL", "ra": 1.0, "dec": 2.0}})
    datums = curve()
    target = TargetIdentity(name=name, type="SIDEREAL", ra=1.0, dec=2.0)
    between.publish(encode(new_event(ReducedDatumsShared(tom=ELSEWHERE, target=target, datums=datums), now=datetime.now(UTC))))

    first, second = between.consume(), between.consume(anew=True)

    [line], [again] = first.lines, second.lines
    assert (line["outcome"], line["written"], line["present"]) == ("written", 180, 60)
    assert (again["outcome"], again["written"], again["present"]) == ("present", 0, 240)
    expected = {(datum.timestamp, datum.bandpass, datum.brightness): 1 for datum in datums}
    assert points([row for row in dump(between.destination)["datums"] if row["target"] == name]) == expected
