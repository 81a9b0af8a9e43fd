"""What was shared about a target: found by its names, in whatever order events tell them, in bounded memory."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.events import (
    ListMember,
    ReducedDatumsShared,
    ShareBody,
    ShareEvent,
    TargetIdentity,
    TargetListShared,
    TargetShared,
    simplify_name,
)
from bridge.observe.page import dossier as module
from bridge.observe.page import findings
from bridge.observe.page.dossier import Dossier, ReadSoFar
from tests.unit.observe.page.seen import OTHER, TOM, datums, seen, shared, sighting, target
from tests.unit.observe.shared import NAMES
from tests.unit.observe.shared import events as small_events

COMPLETE = ReadSoFar("complete")


def document_of(found: Dossier) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(found.document(), parse_constant=pytest.fail)
    return document


def read_through(found: Dossier, bodies: list[Any]) -> None:
    """Read a topic for a target, and once more as long as it wants that."""
    while True:
        for offset, body in enumerate(bodies):
            found.read(sighting(body, offset))
        found.done(COMPLETE)
        if not found.wants_reading:
            return
        found.begin_anew()


def read(*bodies: Any, name: str = "SN 2013dx") -> dict[str, Any]:
    found = Dossier(name)
    read_through(found, list(bodies))
    return document_of(found)


def names(document: dict[str, Any]) -> list[str]:
    return [each["name"] for each in document["names"]]


def test_names_are_compared_as_tom_toolkit_compares_them_and_aliases_count() -> None:
    bodies = (shared(aliases=("GRB 130702A",)), datums(name="grb_130702a"), datums(name="GRB 1307"), shared("sn2013DX"))

    assert read(*bodies)["event_count"] == 3
    assert names(read(*bodies)) == ["SN 2013dx", "GRB 130702A", "sn2013DX"]
    assert read(*bodies, name="GRB-130702A")["event_count"] == 3


def test_an_alias_is_followed_one_step_and_no_farther() -> None:
    bodies = (shared("A", aliases=("B",)), shared("B", aliases=("C",)), shared("C"))

    assert read(*bodies, name="A")["event_count"] == 2
    assert names(read(*bodies, name="A")) == ["A", "B"]


def test_events_under_an_alias_that_stand_before_the_one_that_gives_it_belong_to_the_target() -> None:
    bodies = (datums(2, name="GRB 130702A"), shared("another"), shared(aliases=("GRB 130702A",)))

    assert read(*bodies)["event_count"] == 2
    assert len(read(*bodies)["points"]) == 2


def test_the_topics_are_read_once_more_only_if_something_was_passed_over() -> None:
    found = Dossier("SN 2013dx")
    found.read(sighting(shared("another"), 0))
    found.read(sighting(shared(aliases=("GRB 130702A",)), 1))
    found.read(sighting(datums(name="GRB 130702A"), 2))
    found.done(COMPLETE)
    assert not found.wants_reading
    found.saw(sighting(shared(aliases=("GRB 130702A",)), 3))
    assert not found.wants_reading
    found.saw(sighting(shared(aliases=("AT 2013dx",)), 4))
    assert found.wants_reading


def test_more_names_than_can_be_remembered_count_as_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PASSED", 5)
    found = Dossier("A")
    for number in range(10):
        found.read(sighting(shared(f"T{number}"), number))
    found.read(sighting(shared("A", aliases=("B",)), 10))
    found.done(COMPLETE)

    assert found.wants_reading


def test_what_was_found_stays_in_sight_while_the_topics_are_read_once_more() -> None:
    found = Dossier("A")
    bodies = [datums(name="B"), datums(name="A", first=5), shared("A", aliases=("B",))]
    for offset, body in enumerate(bodies):
        found.read(sighting(body, offset))
    found.done(COMPLETE)
    versions = {found.version}
    assert document_of(found)["event_count"] == 2
    found.begin_anew()
    found.read(sighting(bodies[0], 0))
    versions.add(found.version)
    assert document_of(found)["event_count"] == 2
    found.done(COMPLETE)

    assert len(versions) == 2
    assert document_of(found)["event_count"] == 1  # what this reading had


@dataclass
class Told:
    """What a dossier, or whoever knows all, says of a target."""

    titles: set[str]
    names: set[str]
    points: int
    count: int


def told(document: dict[str, Any]) -> Told:
    titles = {event["title"] for event in document["events"]}
    return Told(titles, set(names(document)), len(document["points"]), document["event_count"])


def truth(bodies: list[ShareBody], asked: str) -> Told:
    """Return what belongs to a target, by looking at everything twice."""

    def target_names(body: ShareBody) -> set[str]:
        if isinstance(body, TargetListShared):
            return {simplify_name(member.name) for member in body.members}
        found: TargetIdentity = body.target  # type: ignore[attr-defined]
        return set(map(simplify_name, found.names))

    telling = [body for body in bodies if not isinstance(body, TargetListShared) and simplify_name(asked) in target_names(body)]
    known = {simplify_name(asked)}.union(*(target_names(body) for body in telling))
    about = [body for body in bodies if target_names(body) & known]
    points = {
        (body.tom.url, datum.timestamp) for body in about if isinstance(body, ReducedDatumsShared) for datum in body.datums
    }
    shown = {name for body in telling for name in body.target.names}  # type: ignore[attr-defined]
    return Told({body.title for body in about}, shown, len(points), len(about))


@st.composite
def topics(draw: st.DrawFn) -> list[ShareBody]:
    """Events about a few targets that share names, each with a title of its own, in any order."""
    found: list[ShareBody] = []
    for number in range(draw(st.integers(0, 8))):
        kind = draw(st.sampled_from(["target", "target", "datums", "datums", "list"]))
        name, *aliases = draw(st.lists(st.sampled_from("ABCD"), min_size=1, max_size=3, unique=True))
        tom, title = draw(st.sampled_from([TOM, OTHER])), f"event {number}"
        if kind == "list":
            members = (ListMember(name=name), *(ListMember(name=alias) for alias in aliases))
            found.append(TargetListShared(tom=tom, title=title, name="L", members=members))
        elif kind == "target":
            found.append(TargetShared(tom=tom, title=title, target=target(name, aliases=tuple(aliases))))
        else:
            body = datums(draw(st.integers(1, 3)), name, draw(st.integers(0, 3)), tom)
            identity = target(name, aliases=tuple(aliases)).identity()
            found.append(body.model_copy(update={"title": title, "target": identity}))
    return draw(st.permutations(found))


@given(topics(), st.sampled_from("Ab"), st.data())
def test_what_belongs_to_a_target_does_not_depend_on_the_order_nor_on_when_it_came(
    bodies: list[ShareBody], asked: str, data: st.DataObject
) -> None:
    """Some are there when the reading begins; those who follow the topics may be behind that, and go on at any moment."""
    found, count = Dossier(asked), len(bodies)
    there, live = data.draw(st.integers(0, count)), data.draw(st.integers(0, count))
    live = min(live, there)
    for offset in range(there):
        found.read(sighting(bodies[offset], offset))
        while live < count and data.draw(st.booleans()):
            found.saw(sighting(bodies[live], live))
            live += 1
    found.done(COMPLETE)
    for offset in range(live, count):
        found.saw(sighting(bodies[offset], offset))
    if found.wants_reading:
        found.begin_anew()
        read_through(found, bodies)

    assert told(document_of(found)) == truth(bodies, asked)


def test_a_list_with_the_target_in_it_belongs_to_it() -> None:
    body = TargetListShared(tom=TOM, name="Supernovae", members=(ListMember(name="SN2013dx"), ListMember(name="x")))
    document = read(body, TargetListShared(tom=TOM, name="Others", members=(ListMember(name="x"),)))

    assert (document["event_count"], document["lists"]) == (1, ["Supernovae"])


def test_what_is_known_of_the_target_is_what_its_last_event_says() -> None:
    bodies = (shared(extras={"redshift": "0.1"}), shared(ra=1.5, extras={"redshift": "0.145"}), datums())

    assert (read(*bodies)["target"]["ra"], read(*bodies)["target"]["dec"]) == (1.5, 15.8)
    assert read(*bodies)["target"]["extras"] == {"redshift": "0.145"}
    assert read(datums())["target"]["ra"] == 217.3


def test_its_pages_at_source_toms_are_named() -> None:
    assert read(shared(primary_key=4))["pages"] == ["https://my-tom.org/targets/4/"]


def test_what_comes_in_while_the_topics_are_read_is_neither_lost_nor_there_twice() -> None:
    found = Dossier("SN 2013dx")
    found.saw(sighting(datums(1, first=1), offset=1))  # the reading brings it, too
    found.saw(sighting(datums(1, first=5), offset=5))
    for offset in range(3):
        found.read(sighting(datums(1, first=offset), offset))
    found.done(COMPLETE)
    found.saw(sighting(datums(1, first=2), offset=2))  # the page was still behind the reading
    found.saw(sighting(datums(1, first=6), offset=6))

    assert document_of(found)["event_count"] == 5
    assert len(document_of(found)["points"]) == 5


def test_the_events_that_are_listed_are_those_written_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "MOST_EVENTS", 3)
    document = read(*(datums(4, first=4 * number) for number in range(6)))

    assert ([event["offset"] for event in document["events"]], document["event_count"]) == ([5, 4, 3], 6)


def test_a_dossier_that_was_forgotten_and_is_made_anew_has_another_version() -> None:
    assert len({Dossier("A").version for _ in range(5)}) == 5


def test_hostile_numbers_of_names_lists_and_filters_are_bounded() -> None:
    found = Dossier("A")
    for number in range(300):
        aliases = tuple(f"alias {number} {n}" for n in range(20))
        found.read(
            sighting(shared("A", aliases=aliases, primary_key=number + 1, extras={f"k{n}": "x" * 5000 for n in range(99)}))
        )
    found.done(COMPLETE)

    assert len(found._names) <= 100
    assert len(found.document()) < 500_000


def test_a_name_that_is_cut_leads_nowhere() -> None:
    document = read(shared("A", aliases=("x" * 600, "B")), name="A")

    assert [each["linked"] for each in document["names"]] == [True, False, True]


@given(st.lists(small_events(), max_size=8), st.sampled_from(NAMES))
def test_whatever_is_shared_the_document_is_json(found: list[ShareEvent], name: str) -> None:
    dossier = Dossier(name)
    for event in found:
        dossier.read(seen(event))
    dossier.done(COMPLETE)

    assert document_of(dossier)["event_count"] <= len(found)
