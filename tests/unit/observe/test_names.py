"""The names of a target: the same in whatever order events tell them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.events import TargetIdentity, simplify_name
from bridge.observe import names
from bridge.observe.names import TargetNames

SPELLINGS = ["SN 2024abc", "sn2024ABC", "AT 2024abc", "ZTF24x", "ztf-24X", "(433) Eros", "433 eros", "M31", ""]


def target(name: str, *aliases: str) -> TargetIdentity:
    return TargetIdentity(name=name, type="SIDEREAL", aliases=aliases)


@st.composite
def targets(draw: st.DrawFn) -> TargetIdentity:
    name, *aliases = draw(st.lists(st.sampled_from(SPELLINGS[:-1]), min_size=1, max_size=4))
    return target(name, *aliases)


def met(asked: str, found: list[TargetIdentity]) -> TargetNames:
    known = TargetNames(asked)
    for each in found:
        known.meet(each)
    return known


@given(st.data(), st.sampled_from(SPELLINGS), st.lists(targets(), max_size=6), st.integers(1, 4))
def test_the_order_of_events_does_not_matter(data: st.DataObject, asked: str, found: list[TargetIdentity], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(names, "MOST_NAMES", most)
        one, other = met(asked, found), met(asked, data.draw(st.permutations(found)))

    assert one.all == other.all
    assert [one.is_about(each) for each in found] == [other.is_about(each) for each in found]
    assert len(one) == len(one.all) <= most


@given(st.sampled_from(SPELLINGS), st.lists(targets(), max_size=6))
def test_they_are_those_that_events_with_the_very_name_have(asked: str, found: list[TargetIdentity]) -> None:
    mine = [set(map(simplify_name, each.names)) for each in found if simplify_name(asked) in map(simplify_name, each.names)]

    assert met(asked, found).all == {simplify_name(asked)}.union(*mine)


def test_an_event_under_an_alias_is_about_it_and_one_of_a_third_target_is_not() -> None:
    known = TargetNames("SN 2024abc")

    assert known.meet(target("AT 2024abc", "sn2024ABC"))
    assert not known.meet(target("AT 2024abc", "ZTF24x"))
    assert known.is_about(target("at2024abc"))
    assert not known.is_about(target("ZTF24x"))
    assert "AT-2024-abc" in known


def test_it_says_whether_there_are_more_names() -> None:
    known = TargetNames("A")

    assert [known.meet(target("A")), known.meet(target("a", "B")), known.meet(target("B", "A"))] == [False, True, False]


def test_any_number_of_names_and_any_length_takes_bounded_memory() -> None:
    known = met("A", [target("A", *(f"B{number}" for number in range(n, n + 100))) for n in range(0, 1000, 100)])
    long = met("A", [target("A", "B" * 501, "B" * 500)])

    assert len(known) == names.MOST_NAMES
    assert long.all == {"a", "b" * 500}
