"""The index of all names at real TOMs, on SQLite and PostgreSQL: it has all that the account sees, or it is not believed."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from bridge.events import simplify_name
from bridge.settings import TomEntry
from bridge.tom import index
from bridge.tom.index import LOOK_UPS, NameIndex
from bridge.tom.names import names_of
from bridge.tom.session import TomSession
from tests.support.living import SCRIPT
from tests.support.world import World, seed, unique

TWO, THREE = "2.32.4", "3.1.0"
names = unique("I")
PLACES = [(TWO, False), (THREE, False), (TWO, True), (THREE, True)]


class Meanwhile:
    """What happens at the TOM between two of our requests."""

    def __init__(self) -> None:
        self.requests = 0
        self._after: dict[int, Callable[[], object]] = {}

    def after(self, number: int, do: Callable[[], object]) -> None:
        """Do something after so many more requests."""
        self._after[self.requests + number] = do

    def __call__(self, _method: str, _status: int | None, _seconds: float) -> None:
        self.requests += 1
        if do := self._after.pop(self.requests, None):
            do()


@pytest.fixture(params=PLACES, ids=lambda place: f"{place[0]}{'-postgres' if place[1] else ''}")
def between(request: pytest.FixtureRequest, world: Callable[..., World]) -> World:
    """A destination with some targets."""
    version, postgres = request.param
    found = world(TWO, version, postgres=postgres)
    make(found, *(next(names) for _ in range(12)))
    return found


@pytest.fixture
def meanwhile() -> Meanwhile:
    """What happens between requests."""
    return Meanwhile()


@pytest.fixture
def session(between: World, meanwhile: Meanwhile) -> Iterator[TomSession]:
    """The consumer's account."""
    entry = TomEntry.model_validate(between.settings()["DATA_SHARING"]["destination"])
    with closing(TomSession("destination", entry, observe=meanwhile)) as found:
        found.connect()
        yield found


@pytest.fixture
def names_index(session: TomSession, monkeypatch: pytest.MonkeyPatch) -> NameIndex:
    """An index that is read at once, in small pages."""
    monkeypatch.setattr(index, "PAGE_ROWS", 5)
    monkeypatch.setattr(index, "OVERLAP_ROWS", 2)
    found = NameIndex(session)
    found.timed(1.0)
    for _ in range(LOOK_UPS - 1):
        assert not found.consult()
    return found


def make(between: World, *wanted: str, owners: tuple[str, ...] = ("alice", "bridge")) -> list[int]:
    targets = [
        {
            "fields": {"name": f"SN {name}", "type": "SIDEREAL", "ra": 1.0, "dec": 2.0},
            "aliases": [f"ZTF-{name}"],
            "owners": owners,
        }
        for name in wanted
    ]
    made = seed(between.destination, *targets)
    return [made[f"SN {name}"] for name in wanted]


def change(between: World, what: str, name: str, argument: Any = None) -> None:
    between.destination.run_script(SCRIPT, [[what, f"SN {name}", argument]])


def owners(found: NameIndex, *wanted: str) -> set[int]:
    return found.owners(map(simplify_name, wanted))


def test_it_knows_every_name_that_the_account_sees(between: World, session: TomSession, names_index: NameIndex) -> None:
    name, hidden = next(names), next(names)
    [pk] = make(between, name)
    make(between, hidden, owners=("alice",))

    assert names_index.consult()

    assert names_index.is_complete(within_seconds=0.0)
    assert owners(names_index, f"sn-{name}") == owners(names_index, f"ztf {name}") == {pk}
    assert owners(names_index, f"SN {hidden}", f"ZTF{hidden}", next(names)) == set()
    rows = session.get_ok("api/targets/", {"limit": 10_000})["results"]
    known = [(row["id"], names_of(row)) for row in rows]
    assert all(target_id in names_index.owners([name]) for target_id, names in known for name in names)


def test_a_target_that_is_new_is_added_and_one_more_of_another_writer(between: World, names_index: NameIndex) -> None:
    assert names_index.consult()
    for _ in range(3):
        one, other = next(names), next(names)
        made = make(between, one, other)

        assert names_index.is_complete(within_seconds=-1.0)
        assert owners(names_index, one, other) == set()
        assert owners(names_index, f"SN {one}", f"ZTF{other}") == set(made)


def test_targets_that_are_new_are_found_behind_one_that_was_deleted_and_beside_some_that_were_changed(
    between: World, names_index: NameIndex
) -> None:
    old, gone, new = next(names), next(names), next(names)
    make(between, old)
    assert names_index.consult()
    make(between, gone)
    change(between, "delete", gone)
    change(between, "move", old, 3.0)

    [pk] = make(between, new)

    assert names_index.is_complete(within_seconds=-1.0)
    assert owners(names_index, f"SN{new}") == {pk}


def test_an_index_that_has_too_many_targets_is_given_up(between: World, names_index: NameIndex) -> None:
    name = next(names)
    make(between, name)
    assert names_index.consult()
    change(between, "delete", name)

    assert names_index.is_complete(within_seconds=3600.0), "nothing has been asked"
    assert not names_index.is_complete(within_seconds=-1.0)
    assert not names_index.is_complete(within_seconds=3600.0)


def test_one_that_we_know_to_be_gone_or_have_made_ourselves_counts(between: World, names_index: NameIndex) -> None:
    name = next(names)
    [pk] = make(between, name)
    assert names_index.consult()
    change(between, "delete", name)
    names_index.drop(pk)
    [made] = make(between, f"new {name}")
    names_index.add(made, [simplify_name(f"SN new {name}")])

    assert names_index.is_complete(within_seconds=-1.0)
    assert owners(names_index, f"SN {name}") == set()
    assert owners(names_index, f"snnew{name}") == {made}


def test_one_that_the_account_comes_to_see_is_not_overlooked(between: World, names_index: NameIndex) -> None:
    name = next(names)
    make(between, name, owners=("alice",))
    make(between, next(names))
    assert names_index.consult()

    change(between, "show", name, "bridge")

    assert not names_index.is_complete(within_seconds=-1.0) or owners(names_index, f"SN {name}")


def test_targets_that_come_while_names_are_read_are_in_it(between: World, meanwhile: Meanwhile, names_index: NameIndex) -> None:
    name = next(names)
    meanwhile.after(2, lambda: make(between, name))

    assert names_index.consult()

    assert names_index.is_complete(within_seconds=-1.0)
    assert owners(names_index, f"SN {name}")


def test_what_is_read_while_a_target_goes_is_not_believed(
    between: World, session: TomSession, meanwhile: Meanwhile, names_index: NameIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = next(names)
    make(between, gone, *(next(names) for _ in range(5)))
    monkeypatch.setattr(index, "PAGE_ROWS", session.get_ok("api/targets/", {"limit": 1})["count"] - 1)
    meanwhile.after(1, lambda: change(between, "delete", gone))

    assert not names_index.consult()


def test_it_is_read_where_look_ups_are_slow_and_many(session: TomSession, meanwhile: Meanwhile) -> None:
    found = NameIndex(session)
    before = meanwhile.requests
    for seconds in (index.SLOW_SECONDS / 2, index.SLOW_SECONDS / 2):
        found.timed(seconds)
        for _ in range(LOOK_UPS):
            assert not found.consult()
    assert meanwhile.requests == before, "a TOM that is quick is not read"

    found.timed(index.SLOW_SECONDS)

    assert found.consult()


def test_look_ups_that_are_far_apart_are_not_worth_it(session: TomSession, meanwhile: Meanwhile) -> None:
    now = [0.0]
    found = NameIndex(session, clock=lambda: now[0])
    found.timed(1.0)
    before = meanwhile.requests
    for _ in range(3 * LOOK_UPS):
        now[0] += index.LIFE_SECONDS / (LOOK_UPS - 2)
        assert not found.consult()

    assert meanwhile.requests == before


def test_an_index_is_believed_for_its_time_and_read_anew_before_it_is_over(session: TomSession, meanwhile: Meanwhile) -> None:
    now = [1000.0]
    found = NameIndex(session, clock=lambda: now[0])
    found.timed(1.0)
    for _ in range(LOOK_UPS):
        found.consult()
    before = meanwhile.requests
    now[0] += 0.7 * index.LIFE_SECONDS
    assert found.consult()
    assert meanwhile.requests == before

    now[0] += 0.2 * index.LIFE_SECONDS
    for _ in range(LOOK_UPS):
        assert found.consult()
    assert meanwhile.requests > before
    assert found.is_complete(within_seconds=0.0)

    now[0] += 1.1 * index.LIFE_SECONDS
    assert not found.consult(), "nobody has asked for a long time"
    assert not found.is_complete(within_seconds=1e9)
