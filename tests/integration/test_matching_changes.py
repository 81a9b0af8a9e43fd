"""A consumer runs while people change the targets of its TOM: nothing is lost, misplaced or made twice."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bridge.consumer.destination import Destination
from bridge.events import ShareEvent
from bridge.tom import index, matches, matching
from bridge.tom.written import Written
from tests.support.living import Living, living
from tests.support.world import World, dump, target_of, unique

TWO, THREE = "2.32.4", "3.1.0"
names = unique("C")


@pytest.fixture(params=[TWO, THREE])
def tom(request: pytest.FixtureRequest, world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> Iterator[Living]:
    """The destination of a consumer that runs."""
    with living(world(TWO, request.param, **getattr(request.function, "consumer", {})), monkeypatch) as found:
        yield found


@pytest.fixture
def large(tom: Living, monkeypatch: pytest.MonkeyPatch) -> Living:
    """Such a destination, whose TOM is taken for one that is so large that an index of its names pays; it is read."""
    monkeypatch.setattr(index, "SLOW_SECONDS", 0.0)
    monkeypatch.setattr(index, "PAGE_ROWS", 7)
    monkeypatch.setattr(index, "OVERLAP_ROWS", 2)
    monkeypatch.setattr(matching, "FRESH_SECONDS", -1.0)  # no test is to wait for a second to be over
    tom.seed(next(names))
    for _ in range(index.LOOK_UPS + 1):
        assert tom.datum(next(names)) == "unmatched"
    assert tom.scans == 0, "all names have been read by now"
    return tom


def settings(**consumer: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give the consumer of a test other settings."""

    def mark(test: Callable[..., None]) -> Callable[..., None]:
        vars(test)["consumer"] = consumer
        return test

    return mark


def datums_of(tom: Living, name: str) -> int:
    return sum(row["target"] == name for row in dump(tom.between.destination)["datums"])


def test_a_known_target_costs_one_request_a_datum_and_no_other(tom: Living) -> None:
    name = next(names)
    tom.seed(name)
    assert tom.datum(name) == "written"

    for _ in range(3):
        assert tom.datum(name) == "written"
        assert tom.asked == ["POST api/reduceddatums/"]


def test_a_target_that_the_bridge_made_is_known_at_once(tom: Living) -> None:
    name = next(names)
    assert tom.target(name, f"alias {name}") == "written"

    assert tom.datum(name, f"alias {name}") == "written"

    assert tom.scans == 0
    assert datums_of(tom, name) == 1


@settings(backfill="products")
def test_it_costs_no_more_where_many_go_in_a_file(tom: Living) -> None:
    name = next(names)
    tom.seed(name)
    assert tom.datum(name) == "written"

    assert tom.datum(name) == "written"
    assert tom.asked == ["POST api/reduceddatums/"]


def test_names_of_which_nothing_is_left_to_compare_are_nobody_elses(tom: Living) -> None:
    dashes = f"{int(next(names)[1:]):b}".replace("0", "-").replace("1", "_")
    assert tom.target(dashes) == "written"

    assert tom.datum(f"{dashes}_") == "unmatched"


@settings(unmatched="create")
def test_a_target_that_is_gone_before_its_data_are_written_costs_none(tom: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    name, create = next(names), Destination._create_from_identity

    def create_and_lose(self: Destination, event: ShareEvent, body: Any) -> Written:
        made = create(self, event, body)
        tom.change("delete", name)
        return made

    monkeypatch.setattr(Destination, "_create_from_identity", create_and_lose)

    assert tom.datum(name) == "invisible_target"


def test_a_target_that_is_deleted_has_no_match_any_more(tom: Living) -> None:
    name = next(names)
    tom.seed(name)
    assert tom.datum(name) == "written"

    tom.change("delete", name)

    assert tom.datum(name) == "unmatched"
    assert tom.datum(name) == "unmatched"


@settings(unmatched="create")
def test_a_target_that_is_deleted_is_made_anew_if_it_is_to_be(tom: Living) -> None:
    name = next(names)
    tom.seed(name)
    assert tom.datum(name) == "written"

    tom.change("delete", name)

    assert tom.datum(name) == "written"
    assert target_of(dump(tom.between.destination), name)
    assert datums_of(tom, name) == 1


def test_data_of_a_target_that_was_merged_into_another_go_there(tom: Living) -> None:
    one, other = next(names), next(names)
    for name in (one, other):
        tom.seed(name)
    assert tom.datum(one) == "written"

    tom.change("merge", one, other)

    assert tom.datum(one) == "written"
    assert tom.datum(one) == "written"
    assert datums_of(tom, other) == 3


def test_a_target_that_was_renamed_is_noticed_when_it_is_no_longer_believed(
    tom: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, later = next(names), next(names)
    tom.seed(name)
    assert tom.datum(name) == "written"
    monkeypatch.setattr(matches, "BELIEVE_SECONDS", -1.0)

    tom.change("rename", name, later)
    assert tom.datum(name) == "unmatched"
    tom.seed(name)

    assert tom.datum(name) == "written"
    assert (datums_of(tom, later), datums_of(tom, name)) == (1, 1)


def test_a_position_that_was_mended_counts_at_once(tom: Living) -> None:
    name = next(names)
    tom.seed(name)
    assert tom.datum(name) == "written"
    assert tom.datum(name, dec=-20.0) == "target_mismatch"

    tom.change("move", name, -20.0)

    assert tom.datum(name, dec=-20.0) == "written"


def test_a_target_that_may_not_be_changed_is_refused_and_not_looked_for_over_and_over(tom: Living) -> None:
    name = next(names)
    tom.seed(name)
    assert tom.datum(name) == "written"

    tom.change("only_show", name, "bridge")

    for _ in range(2):
        assert tom.datum(name) == "target_not_changeable"
        assert tom.scans == 0
    tom.change("hide", name, "bridge")
    assert tom.datum(name) == "unmatched"


def test_a_small_tom_is_asked_for_each_name_and_never_read(tom: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "SLOW_SECONDS", 60.0)  # it is small, however long it takes on a machine that is busy
    for _ in range(2 * index.LOOK_UPS):
        name = next(names)
        assert tom.datum(name, f"alias {name}") == "unmatched"
        assert tom.scans == 2
        assert not any("offset" in request for request in tom.asked)


def test_names_are_not_read_by_who_has_the_right_to_write_targets(tom: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "SLOW_SECONDS", 0.0)
    for _ in range(index.LOOK_UPS + 2):
        assert tom.target(next(names)) == "written"
        assert not any("offset" in request for request in tom.asked)

    assert tom.datum(next(names)) == "unmatched"
    assert any("offset" in request for request in tom.asked)


def test_an_unmatched_event_costs_a_large_tom_no_scan(large: Living) -> None:
    for _ in range(3):
        name = next(names)
        assert large.datum(name, f"alias {name}") == "unmatched"
        assert large.scans == 0
        assert len(large.asked) <= 3, large.asked


def test_a_target_that_the_bridge_makes_at_a_large_tom_is_asked_for_and_then_known_at_once(large: Living) -> None:
    name = next(names)

    assert large.target(f"SN 2031{name}", f"ZTF31{name}") == "written"

    assert large.scans == 2, "nobody else has made it meanwhile, whatever the spelling"
    for event_name in (f"sn2031{name}", f"ztf-31{name}"):
        assert large.datum(event_name) == "written"
        assert large.scans == 0
    assert large.target(f"SN2031{name}", f"ZTF31{name}") == "present"
    assert large.scans == 0


def test_a_target_that_is_new_since_then_is_found_however_it_is_spelled(large: Living) -> None:
    for pattern in ("SN 2031{}", "S-N-2-0-3-1-{}", "s_n_2031({})"):
        name = next(names)
        large.seed(pattern.format(name))
        assert large.datum(f"sn2031{name}") == "written"
        assert large.scans == 0


def test_an_alias_or_name_that_is_new_since_then_is_found_if_it_is_spelled_as_people_do(large: Living) -> None:
    one, other, alias, name = next(names), next(names), next(names), next(names)
    for each in (one, other):
        large.seed(each)
    assert large.datum(one) == large.datum(other) == "written"

    large.change("alias", one, f"ZTF 31{alias}")
    large.change("rename", other, f"SN-2031{name}")

    assert large.datum(f"ztf31{alias}") == "written"
    assert large.datum(f"SN 2031{name}") == "written"
    assert (datums_of(large, one), datums_of(large, f"SN-2031{name}")) == (2, 2)
    assert large.datum(f"SN 2031{name}", f"ZTF31{alias}") == "ambiguous_target"


def test_what_an_index_cannot_know_is_never_made_twice_and_found_with_the_next(
    large: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, alias = next(names), next(names)
    large.seed(known)
    assert large.datum(known) == "written"
    large.change("alias", known, "-".join(alias))
    assert large.datum(alias) == "unmatched", "nobody spells it like that: this is what is missed for ten minutes"

    assert large.target(alias) == "present", "before a target is made, the TOM is asked with its own normalisation"

    other = next(names)
    large.change("alias", known, "-".join(other))
    assert large.datum(other) == "unmatched"
    monkeypatch.setattr(index, "LIFE_SECONDS", 0.0)
    monkeypatch.setattr(index, "LIFE_TO_READING", 0.0)
    assert large.datum(other) == "written"


def test_a_target_that_is_gone_from_a_large_tom_has_no_match(large: Living) -> None:
    name, kept = next(names), next(names)
    for each in (name, kept):
        large.seed(each)
        assert large.datum(each) == "written"

    large.change("delete", name)

    assert large.datum(name) == "unmatched"
    assert large.scans == 0, "it is known which one is gone"
    assert large.datum(kept) == "written"


def test_an_index_that_lost_count_is_not_believed(large: Living) -> None:
    gone, new = next(names), next(names)
    large.seed(gone)
    assert large.datum(gone) == "written"

    large.change("delete", gone)
    large.seed("-".join(new))

    assert large.datum(new) == "written"


def test_a_target_that_the_account_comes_to_see_is_found(large: Living) -> None:
    name = next(names)
    large.seed("-".join(name), owners=["alice"])
    assert large.datum(name) == "unmatched"

    large.change("show", "-".join(name), "bridge")

    assert large.datum(name) == "written"


def test_a_session_that_ended_is_no_empty_tom(large: Living) -> None:
    name, new = next(names), next(names)
    large.seed(name)
    assert large.datum(next(names)) == "unmatched"

    large.change("end_sessions")

    assert large.datum(name) == "written"
    large.change("end_sessions")
    assert large.datum(new) == "unmatched"
    assert large.datum(new) == "unmatched"
    assert large.scans == 0, "the index is still there"


def test_several_targets_of_a_large_tom_are_ambiguous(large: Living) -> None:
    one, other = next(names), next(names)
    for each in (one, other):
        large.seed(each)
    assert large.datum(next(names)) == "unmatched"

    assert large.datum(one, other) == "ambiguous_target"
    assert large.target(one, other) == "ambiguous_target"
    assert large.scans == 0
