"""TOMs that pass on to each other: what goes round comes to rest, and is nowhere twice."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from bridge.demo.ports import free_port
from bridge.demo.toms import Tom
from tests.support.ingest import Ingest
from tests.support.relaying import Relay, TopicEnd, next_datum, settled, wait_for
from tests.support.world import USERS, Toms, World, dump, target_of, unique

VERSIONS = {"a": "2.32.4", "b": "3.1.0", "c": "2.32.4", "d": "3.1.0"}
RING = (("a", "b"), ("b", "c"), ("c", "a"))
GROUPS = {number: f"Circle {number}" for number in (1, 2, 3)}
"""What a group of that number may see goes out to topics of that number."""
MOST_ROUNDS = 5
CSV = b"time,magnitude,error,filter\n60000.5,17.25,0.05,r\n60001.5,17.75,0.05,r\n60002.5,18.25,0.05,g\n"
names = unique("SN 2042r")


@dataclass
class Circle:
    """TOMs with the emitter, and consumers between them.

    Parameters
    ----------
    toms
        By letter.
    group
        What it may see goes out; consumers let it see what they make.
    ways
        Consumers' worlds, by whence and whither.
    """

    toms: Mapping[str, Tom]
    group: str
    ways: Mapping[tuple[str, str], World]

    def ingest(self, letter: str) -> Ingest:
        return Ingest(self.toms[letter], username="alice", password=USERS["alice"])

    def ends(self) -> dict[str, int]:
        """Return how many events each topic has, once all there is to tell has been published."""
        for letter, tom in self.toms.items():
            wait_for(lambda tom=tom: settled(tom), f"{letter} has published everything")
        ends = {}
        for world in self.ways.values():
            with TopicEnd(world, world.topic) as end:
                ends[world.topic] = end.offset()
        return ends

    def dumps(self) -> dict[str, dict[str, Any]]:
        return {letter: dump(tom) for letter, tom in self.toms.items()}

    def rounds(self) -> int:
        """Let events travel until nothing moves; return how many rounds they moved in."""
        before = self.ends()
        for number in range(MOST_ROUNDS):
            for world in self.ways.values():
                said = world.consume()
                assert (said.code, said.outcomes.count("dead_lettered")) == (0, 0), said.err
            after = self.ends()
            if after == before:
                return number
            before = after
        raise AssertionError(f"still moving after {MOST_ROUNDS} rounds: {before}")

    def assert_at_rest(self) -> None:
        """Assert that a further round moves nothing, and changes nothing in any TOM."""
        ends, dumps = self.ends(), self.dumps()
        assert self.rounds() == 0
        assert self.ends() == ends
        assert self.dumps() == dumps


@pytest.fixture(scope="module")
def circles(
    toms: Toms, broker: tuple[str, Callable[[str], None]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Circle]]:
    """Make circles: ``circles(number, hub=..., ways=...)``. Hubs are other TOMs than those that are none."""
    url, create_topic = broker
    made: dict[str, Tom] = {}
    topics = set[str]()

    def create_once(topic: str) -> None:
        if topic not in topics:
            topics.add(topic)
            create_topic(topic)

    with ExitStack() as running:

        def tom(role: str, version: str, *, hub: bool) -> Tom:
            if role not in made:
                port = free_port()
                sharing = {
                    f"circle-{number}": {
                        "BASE_URL": url, "SOURCE_URL": f"http://127.0.0.1:{port}/", "USER_TOPICS": [f"{role}.{number}"],
                        "EMIT": "all", "EMIT_GROUPS": [group], "HUB": hub,
                    }
                    for number, group in GROUPS.items()
                }  # fmt: skip
                found = toms.get(
                    role,
                    version,
                    groups=list(GROUPS.values()),
                    apps=["bridge.emitter"],
                    settings={"DATA_SHARING": sharing, "TOM_BRIDGE": {"QUIET_SECONDS": 0.3}},
                    port=port,
                )
                running.callback(found.stop)
                running.enter_context(Relay(found, found.dir / "relay.log"))
                made[role] = found
            return made[role]

        def make(number: int, *, hub: bool, ways: Sequence[tuple[str, str]]) -> Circle:
            kind = "hub" if hub else "ring"
            letters = dict.fromkeys(letter for way in ways for letter in way)
            members = {letter: tom(f"{kind}-{letter}", VERSIONS[letter], hub=hub) for letter in letters}
            for letter in letters:
                create_once(f"{kind}-{letter}.{number}")
            home = tmp_path_factory.mktemp("circle")
            worlds = {
                (whence, whither): World(
                    home=home,
                    stream_url=url,
                    create_topic=create_once,
                    source=members[whence],
                    destination=members[whither],
                    consumer={"accept_sources": ["*"], "groups": [GROUPS[number]]},
                    topic=f"{kind}-{whence}.{number}",
                )
                for whence, whither in ways
            }
            return Circle(toms=members, group=GROUPS[number], ways=worlds)

        yield make


def ingest_all_kinds(circle: Circle, letter: str) -> str:
    """Make a target with an alias, a list, two datums and a data product that is processed to three; return its name."""
    ingest, name = circle.ingest(letter), next(names)
    pk = ingest.create_target_by_form(
        name, 10.0, -5.0, aliases=[f"{name} alias"], extras={"host": "M 31"}, groups=[circle.group]
    )
    ingest.patch_target_by_api(pk, lists=[f"list of {name}"])
    for _ in range(2):
        ingest.post_datum_by_api(pk, **next_datum())
    ingest.upload_by_api(pk, f"{name.replace(' ', '-')}.csv", CSV)
    return name


def times(dumped: Mapping[str, Any], name: str) -> Counter[str]:
    """Return the times of a target's datums."""
    return Counter(row["timestamp"] for row in dumped["datums"] if row["target"] == name)


def products(dumped: Mapping[str, Any], name: str) -> list[tuple[str, int]]:
    """Return content of a target's data products, and how many datums came of each."""
    return [(row["sha256"], row["datums"]) for row in dumped["data_products"] if row["target"] == name]


def has_all_once(dumped: Mapping[str, Any], original: Mapping[str, Any], name: str) -> None:
    """Assert that a TOM has a target as the first one has it, with each datum and product once."""
    target = target_of(dumped, name)
    assert target["aliases"] == [f"{name} alias"]
    assert f"list of {name}" in target["lists"]
    assert times(dumped, name) == times(original, name)
    assert products(dumped, name) == products(original, name)


def test_in_a_ring_of_ordinary_toms_nothing_is_passed_on(circles: Callable[..., Circle]):
    circle = circles(1, hub=False, ways=RING)
    name = ingest_all_kinds(circle, "a")
    circle.ends()
    original = dump(circle.toms["a"])
    assert sum(times(original, name).values()) == 5

    assert circle.rounds() <= 1

    dumps = circle.dumps()
    has_all_once(dumps["b"], original, name)
    assert name not in [target["name"] for target in dumps["c"]["targets"]]
    assert dumps["a"] == original
    circle.assert_at_rest()


def test_in_a_ring_of_hubs_everything_goes_round_once_and_comes_to_rest(circles: Callable[..., Circle]):
    circle = circles(1, hub=True, ways=RING)
    name = ingest_all_kinds(circle, "a")
    circle.ends()
    original = dump(circle.toms["a"])

    rounds = circle.rounds()

    dumps = circle.dumps()
    has_all_once(dumps["b"], original, name)
    has_all_once(dumps["c"], original, name)
    assert dumps["a"] == original
    assert rounds <= 3
    circle.assert_at_rest()


@pytest.mark.parametrize("hub", [False, True], ids=["ordinary", "hubs"])
def test_a_local_change_to_an_imported_target_goes_out(circles: Callable[..., Circle], hub: bool):
    circle = circles(2, hub=hub, ways=RING)
    name = ingest_all_kinds(circle, "a")
    circle.rounds()
    at_b = circle.ingest("b")
    pk = target_of(dump(circle.toms["b"]), name)["id"]

    at_b.patch_target_by_api(pk, aliases=[f"{name} of b"])
    datum = next_datum()
    at_b.post_datum_by_api(pk, **datum)
    circle.rounds()

    dumps = circle.dumps()
    at_c = target_of(dumps["c"], name)
    assert f"{name} of b" in at_c["aliases"]
    new = [row for row in times(dumps["c"], name).elements() if row.startswith(datum["timestamp"][:16])]
    assert len(new) == 1
    at_a = target_of(dumps["a"], name)
    assert (f"{name} of b" in at_a["aliases"]) is hub
    assert max(times(dumps["a"], name).values()) == 1
    assert sum(times(dumps["a"], name).values()) == 5 + hub
    circle.assert_at_rest()


def test_what_comes_by_two_independent_ways_is_there_once(circles: Callable[..., Circle]):
    circle = circles(3, hub=True, ways=(("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")))
    name = ingest_all_kinds(circle, "a")
    circle.ends()
    original = dump(circle.toms["a"])

    circle.rounds()

    dumps = circle.dumps()
    has_all_once(dumps["d"], original, name)
    circle.assert_at_rest()
