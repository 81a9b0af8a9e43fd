"""What comes again changes nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.site import Site
from tests.support.world import dump, seed

TWO, THREE = "2.32.4", "3.1.0"


def own(between: Site) -> dict[str, Any]:
    """Return all that the destination has of a site, primary keys and times of change included."""
    found = dump(between.destination)
    return {
        "targets": [row for row in found["targets"] if row["name"].startswith(between.prefix)],
        "datums": [row for row in found["datums"] if row["target"].startswith(between.prefix)],
        "lists": {name: members for name, members in found["target_lists"].items() if between.prefix in name},
    }


@pytest.mark.parametrize("version", [TWO, THREE])
def test_the_whole_topic_twice_more(site: Callable[..., Site], version: str):
    between = site(version, partitions=3)
    between.publish_data(range(8), events=2, datums=3)
    assert between.consume().code == 0
    between.assert_well()
    before = own(between)
    for _ in range(2):
        said = between.consume(anew=True)
        assert said.code == 0
        assert set(said.outcomes) == {"present"}
        assert len(said.outcomes) == 24
        assert own(between) == before
    between.assert_well()


@pytest.mark.parametrize("version", [TWO, THREE])
def test_dead_letters_twice(site: Callable[..., Site], version: str):
    between = site(version, partitions=3, consumer={"unmatched": "hold"})
    between.publish(*(between.datum_event(number, 3) for number in range(4)))
    assert between.consume().outcomes == ["refused"] * 4
    names = [between.target(number).name for number in range(4)]
    seed(between.destination, *({"fields": {"name": name, "type": "SIDEREAL", "ra": 0.0, "dec": 1.5}} for name in names[:1]))
    for number, name in enumerate(names[1:], 1):
        fields = {"name": name, "type": "SIDEREAL", "ra": round(0.01 * number, 4), "dec": 1.5}
        seed(between.destination, {"fields": fields})
    said = between.run("dead-letters", "replay", "destination", "--all")
    assert (said.code, said.out) == (0, "4 dead letters replayed: 4 written\n")
    before = own(between)
    assert len(before["datums"]) == 12

    again = between.run("dead-letters", "replay", "destination", "--all")
    assert again.code == 0
    assert own(between) == before

    # And the topic itself once more, now that the targets are there.
    assert set(between.consume(anew=True).outcomes) == {"present"}
    assert own(between) == before
