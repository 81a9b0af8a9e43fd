"""One line for each event: whatever is in it, it can be written as JSON, and it is short."""

import json

from hypothesis import given

from bridge.codecs.record import Record
from bridge.events import ListMember, PhotometryDatum, ReducedDatumsShared, ShareEvent, TargetListShared
from bridge.observe.page.lines import LONGEST_NAME, event_line, short
from bridge.observe.sightings import sightings
from bridge.observe.tables import latest_brightness
from tests.unit.observe.page.seen import NOW, TOM, address, consumed, datums, record, seen, shared, sighting, target
from tests.unit.observe.shared import events as small_events
from tests.unit.strategies import events as any_events


@given(any_events() | small_events())
def test_a_line_is_json_and_short_whatever_the_event(event: ShareEvent) -> None:
    line = event_line(seen(event))

    assert json.loads(json.dumps(line, allow_nan=False)) == line
    assert len(json.dumps(line)) < 30_000


def test_a_line_says_what_is_shared_and_by_whom() -> None:
    line = event_line(sighting(shared(aliases=("GRB 130702A",)), offset=7, partition=3))

    assert (line["kind"], line["target"], line["linked"]) == ("targets", "SN 2013dx", True)
    assert (line["tom"], line["source"]) == ("My TOM", "https://my-tom.org/")
    assert (line["topic"], line["partition"], line["offset"]) == ("tom.shares", 3, 7)
    assert line["time"] == "2026-11-25T12:00:00.000000Z"


def test_the_youngest_brightness_is_shown_with_its_unit_in_one_spelling() -> None:
    latest = event_line(sighting(datums(3, brightness_error=0.1)))["latest"]

    assert latest == {
        "time": "2026-11-25T12:02:00.000000Z",
        "value": 18.0,
        "error": 0.1,
        "limit": False,
        "bandpass": "r",
        "unit": "mag",
    }


def test_of_several_at_one_moment_the_same_is_shown_as_on_a_terminal() -> None:
    same = [PhotometryDatum(timestamp=NOW, brightness=18.0 + number, bandpass=name) for number, name in enumerate("gri")]
    found = event_line(sighting(ReducedDatumsShared(tom=TOM, target=target().identity(), datums=tuple(same))))["latest"]

    assert latest_brightness(same).startswith(f"{found['bandpass']} {found['value']:g}")


def test_a_limit_is_shown_as_one() -> None:
    datum = PhotometryDatum(timestamp=NOW, limit=20.5, brightness_error=1.0)
    latest = event_line(sighting(ReducedDatumsShared(tom=TOM, target=target().identity(), datums=(datum,))))["latest"]

    assert (latest["value"], latest["limit"], latest["error"]) == (20.5, True, None)


def test_a_list_names_some_of_its_members_and_counts_them_all() -> None:
    members = (ListMember(name="x" * 600), *(ListMember(name=f"T{number}") for number in range(99)))
    line = event_line(sighting(TargetListShared(tom=TOM, name="L", members=members)))

    assert (line["list"], len(line["members"]), line["member_count"]) == ("L", 20, 100)
    assert line["members"][:2] == [{"name": "x" * LONGEST_NAME + "…", "linked": False}, {"name": "T0", "linked": True}]
    assert "linked" not in line


def test_an_endless_name_is_cut_and_leads_nowhere() -> None:
    line = event_line(sighting(shared("x" * 10_000)))

    assert line["target"] == "x" * LONGEST_NAME + "…"
    assert "linked" not in line


def test_hostile_texts_are_handed_on_as_they_are_for_the_page_to_show_as_text() -> None:
    name = "<img src=x onerror=alert(1)>\u202e\x1b[31m"

    assert event_line(sighting(shared(name)))["target"] == name


def test_what_nobody_can_read_is_a_line_too() -> None:
    [found] = sightings(consumed(Record(key=b"k", value=b"{", headers=())), topic_address=address("t"))
    line = event_line(found)

    assert (line["kind"], line["reason"]) == ("unreadable", "no_headers")
    assert "not a share event" in line["detail"]


def test_a_record_without_a_time_has_none() -> None:
    [found] = sightings(consumed(record(shared()), ms=0), topic_address=address("t"))

    assert event_line(found)["time"] is None


def test_short_texts_stay() -> None:
    assert (short("abc", 3), short("abcd", 3)) == ("abc", "abc…")
