"""The table: columns that stand below each other, in any terminal, whatever the texts are."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from bridge.codecs.native import new_event
from bridge.codecs.record import ConsumedRecord, Record
from bridge.events import PhotometryDatum, ShareEvent, Target, TargetShared, TomIdentity
from bridge.observe.sightings import Sighting, Unreadable
from bridge.observe.tables import heading, latest_brightness, line, width_of
from bridge.schemas import example_events
from tests.unit import strategies as anything

MADE = datetime(2026, 11, 23, 4, 30, 1, 999_999, tzinfo=UTC)
RECORD = ConsumedRecord(record=Record(key=None, value=None, headers=()), topic="t", partition=0, offset=3, timestamp_ms=1)
NARROWEST = 80
"""Below this, columns are no longer cut."""

HOSTILE = [
    "\x1b[2J\x1b]0;pwn\x07", "\x9b31mred", "\r\nforged line", "a\nb", "\u202egnp.exe", "\x00", "\u200b", "\u200e\u200f",
    "\x7f\x08\x08", "\x85", "\U000e0041tag", "\ud800", "\u2066\u2069", "\ufeff",
]  # fmt: skip


def seen(event: ShareEvent) -> Sighting:
    return Sighting(event=event, consumed=RECORD, topic_address="kafka://localhost/t")


def target(name: str, *, tom: str = "My TOM") -> ShareEvent:
    body = TargetShared(tom=TomIdentity(name=tom, url="https://my-tom.org/"), target=Target(name=name, type="SIDEREAL"))
    return new_event(body, now=MADE)


def test_the_examples_as_a_person_sees_them() -> None:
    lines = [heading(110), *(line(seen(event), 110) for event in example_events().values())]

    assert lines == [
        "time (UTC)           source           type            target              datums  latest brightness",
        "2026-11-23 04:30:00  tom.example.org  target          SN 2024abc",
        "2026-11-23 04:30:00  tom.example.org  target          (433) Eros",
        "2026-11-23 04:30:00  tom.example.org  target_list                                 list Nearby supernovae, 2…",
        "2026-11-23 04:30:00  tom.example.org  reduced_datums  SN 2024abc          5       r 18.25 ± 0.05 AB mag",
        "2026-11-23 04:30:00  tom.example.org  data_product    SN 2024abc          2       r 18.31 ± 0.05",
    ]


def test_in_a_terminal_of_80_columns_every_column_has_its_place() -> None:
    assert [heading(80), line(seen(example_events()["reduced_datums"]), 80)] == [
        "time (UTC)   source      type            target        datums  latest brightness",
        "11-23 04:30  tom.examp…  reduced_datums  SN 2024abc    5       r 18.25 ± 0.05 A…",
    ]


def test_what_nobody_can_read_is_a_line_that_says_where_and_why() -> None:
    found = line(Unreadable(consumed=RECORD, reason="bad_json", detail="the value is not JSON: \x1b[2J"), None)

    assert re.split(r"  +", found) == [
        "1970-01-01 00:00:00",
        "unreadable",
        "t[0]@3",
        "bad_json: the value is not JSON: \\x1b[2J",
    ]


def test_without_a_terminal_nothing_is_cut() -> None:
    name = "a name " * 30

    assert name.strip() in line(seen(target(name.strip())), None)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("width", [None, 100])
def test_no_text_of_others_reaches_a_terminal_as_more_than_a_text(text: str, width: int | None) -> None:
    unreadable = Unreadable(consumed=RECORD, reason="bad_event", detail=text)
    lines = (
        [line(unreadable, width)]
        if "\x00" in text or "\ud800" in text
        else [line(seen(target(f"x{text}")), width), line(unreadable, width)]
    )

    assert [found for found in lines if not found.isprintable()] == []


@given(anything.events(), st.integers(NARROWEST, 250) | st.none())
def test_every_event_is_one_line_within_the_terminal(event: ShareEvent, width: int | None) -> None:
    found = line(seen(event), width)

    assert found.isprintable()
    assert width is None or width_of(found) <= width


@given(st.text(st.characters(categories=["L", "M", "N", "P", "S"]), min_size=1).filter(str.strip), st.integers(NARROWEST, 150))
def test_columns_stand_below_each_other_whatever_a_name_is_written_in(name: str, width: int) -> None:
    plain, other = (line(seen(target(each)), width) for each in ("x", name))
    at = heading(width).index("target")

    assert plain[at] == "x"
    assert other[:at] == plain[:at]


@pytest.mark.parametrize("text", ["SN 2024abc", "é", "e\u0301", "超新星", "한", "Ω", "(433) Eros"])
def test_widths_are_those_that_rich_has(text: str) -> None:
    assert width_of(text) == cell_len(text)


def test_marks_that_take_no_column_do_not_pile_up() -> None:
    assert len(line(seen(target("a" + "\u0301" * 1_000)), 100)) < 200


def photometry(day: int, **about: Any) -> PhotometryDatum:
    return PhotometryDatum(timestamp=datetime(2026, 11, day, tzinfo=UTC), **about)


@pytest.mark.parametrize(
    ("datums", "expected"),
    [
        ([], ""),
        ([photometry(1, brightness=18.123456789)], "18.1235"),
        ([photometry(2, brightness=17.0, bandpass="r", unit="AB mag"), photometry(1, brightness=16.0)], "r 17 AB mag"),
        ([photometry(1, brightness=1.5e-15, brightness_error=2.25e-17, unit="Jy")], "1.5e-15 ± 2.2e-17 Jy"),
        ([photometry(1, brightness=3.0), photometry(2, limit=20.5, bandpass="g")], "g limit 20.5"),
        ([photometry(1, brightness=0.0, brightness_error=0.0)], "0 ± 0"),
    ],
)
def test_the_latest_brightness_is_the_newest_one_or_its_limit(datums: list[PhotometryDatum], expected: str) -> None:
    assert latest_brightness(datums) == expected
