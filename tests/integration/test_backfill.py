"""Many datums by one file, into real TOMs: each once, and unchanged."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import pytest

from bridge.events import PhotometryDatum, ReducedDatum, TomIdentity
from bridge.tom.backfill import BackfillWriter
from bridge.tom.data import DataWriter
from bridge.tom.matching import Matcher
from tests.support.backfilling import MANY, NIGHT, body, consume, curve, line, place, products_of, rows_of, send, stored
from tests.support.door import FaultyDoor
from tests.support.journal import Entry
from tests.support.world import World

TWO, THREE = "2.32.4", "3.1.0"
SCRIPTS = Path(__file__).parents[1] / "support" / "scripts"
both = pytest.mark.parametrize("version", [TWO, THREE])
everywhere = pytest.mark.parametrize(
    ("version", "on_postgres"),
    [(TWO, False), (THREE, False), (TWO, True), (THREE, True)],
    ids=["2-sqlite", "3-sqlite", "2-postgresql", "3-postgresql"],
)

Row = dict[str, Any]
Item = TypeVar("Item")


crosswise = pytest.mark.parametrize(("version", "on_postgres"), [(TWO, False), (THREE, True)], ids=["2-sqlite", "3-postgresql"])
"""Each version with one database; what differs by both is tested everywhere."""


@everywhere
def test_a_light_curve_comes_as_one_file_with_its_limits_source_and_exact_times(
    world: Callable[..., World], version: str, on_postgres: bool
):
    between = world(TWO, version, postgres=on_postgres)
    name = place(between.destination)
    send(between, body(name, curve(telescope="1.2 m", unit="AB")))

    said = consume(between, "products")

    assert (line(said)["outcome"], line(said)["written"], line(said)["by_file"]) == ("written", MANY, MANY)
    [product] = products_of(between.destination, name)
    assert product["product_id"].startswith("tom-bridge ")
    assert "https://elsewhere.example.org/targets/41/" in product["extra_data"]
    rows = rows_of(between.destination, name)
    assert len(rows) == MANY
    assert {row["data_product_pk"] for row in rows} == {product["pk"]}
    assert {row["source_name"] for row in rows} == {"Elsewhere"}
    by_time = {row["timestamp"]: row for row in rows}
    limit = by_time["2024-03-01T05:03:04.567894+00:00"]["value"]
    point = by_time["2024-03-01T03:03:04.567892+00:00"]["value"]
    if version == TWO:
        assert limit == {"filter": "r", "limit": 20.001, "telescope": "1.2 m", "unit": "AB"}
        assert point == {
            "error": 0.0125, "filter": "r", "magnitude": 17 + 1 / 3000, "telescope": "1.2 m", "unit": "AB",
        }  # fmt: skip
    else:
        assert (limit["brightness"], limit["limit"], limit["bandpass"], limit["value"]) == (None, 20.001, "r", {})
        assert (point["brightness"], point["brightness_error"], point["limit"]) == (17 + 1 / 3000, 0.0125, None)
        assert (point["telescope"], point["unit"], point["value"]) == ("1.2 m", "AB", {})
        sources = {row["source_location"] for row in rows}
        assert len(sources) == MANY
        assert all(source.startswith("https://elsewhere.example.org/targets/41/#datum=") for source in sources)


BASE = {"brightness": 18.0, "brightness_error": 1.0, "bandpass": "1", "telescope": "2", "instrument": "3"}
ODD: list[Row] = [
    {},
    {"brightness_error": 0.0},
    {"brightness": 0.0},
    {"brightness": -0.75, "unit": "Jy"},
    {"brightness": 1 / 3, "brightness_error": 1e-300},
    {"brightness": 5e-324, "limit": 1.7976931348623157e308, "exposure_time": 30.0},
    {"bandpass": "α"},
    {"bandpass": "g, 'r' or \"i\""},
    {"bandpass": "nan", "telescope": "None", "instrument": "N/A"},
    {"bandpass": "True", "telescope": "--", "instrument": "#"},
    {"bandpass": " g ", "telescope": "=1+1", "instrument": "a\tb\nc"},
    {"bandpass": "'g'", "telescope": "\\N", "instrument": "|"},
    {"reduction_version": "v1"},
    {"extra": {"night": 7, "good": True, "bad": None, "text": "007", "empty": "", "padded": " x "}},
    {"extra": {"night": 7.5, "good": False, "text": "1e5", "deep": {"b": [1, 2.0, "x"], "a": {}}}},
    {"extra": {"id": 12345678901234567890, "candid": "2459876543215015010", "text": "ü", "psf mag (AB)": 6.0}},
]
"""Points that a table is known to spoil."""
UNFIT: list[Row] = [
    {"extra": {"list": [1, 2, 3]}},
    {"extra": {"time": 60000.5, "source": "mine"}},
    {"extra": {"time.mask": 1.0}},
    {"extra": {"nan": 2.0}},
    {"extra": {"1": 3.0}},
    {"extra": {'a"b': 4.0}},
    {"extra": {"κ": 5.0}},
    {"extra": {"long": "x" * 20_000}},
    {"timestamp": datetime(2016, 12, 31, 23, 59, 59, 999999, UTC)},
]
"""Points that no file carries."""


def oddities() -> list[ReducedDatum]:
    moments = (NIGHT - timedelta(days=1, seconds=number) for number in range(100))
    return [
        PhotometryDatum(**({"timestamp": moment} | BASE | fields))
        for moment, fields in zip(moments, [*ODD, *UNFIT], strict=False)
    ]


@everywhere
def test_what_a_file_makes_is_what_the_same_datums_make_one_by_one(
    world: Callable[..., World], version: str, on_postgres: bool
):
    between = world(TWO, version, postgres=on_postgres)
    one, other = place(between.destination), place(between.destination)
    datums = [*curve(), *oddities()]
    send(between, body(one, datums))
    singly = line(consume(between, "datums"))
    send(between, body(other, datums))
    at_once = line(consume(between, "products"))

    assert [note for note in at_once.get("notes", []) if "not written by a file" in note] == []
    assert singly["written"] == at_once["written"] == len(datums)
    assert "by_file" not in singly
    assert at_once["by_file"] == len(datums) - len(UNFIT)
    by_hand, by_file = rows_of(between.destination, one), rows_of(between.destination, other)
    assert sum(row["data_product_pk"] is not None for row in by_file) == at_once["by_file"]
    if version == TWO:  # its processor does not give it
        assert {row["source_location"] for row in by_file if row["data_product_pk"]} == {""}
    ignored = {"source_location"} if version == TWO else set[str]()
    assert stored(by_file, but=ignored) == stored(by_hand, but=ignored)
    again = consume(between, "products", anew=True)
    assert again.outcomes == ["present", "present"]
    assert rows_of(between.destination, one) == by_hand
    assert rows_of(between.destination, other) == by_file


@crosswise
@pytest.mark.parametrize("order", [("datums", "products"), ("products", "datums")], ids="-".join)
def test_points_that_are_there_come_no_second_time_whichever_way_they_came(
    world: Callable[..., World], version: str, on_postgres: bool, order: tuple[str, str]
):
    between = world(TWO, version, postgres=on_postgres)
    name = place(between.destination)
    send(between, body(name, curve(MANY)))
    consume(between, order[0])
    send(between, body(name, curve(2 * MANY + 30)))  # it has grown
    said = consume(between, order[1])

    assert (line(said)["present"], line(said)["written"]) == (MANY, MANY + 30)
    assert line(said).get("by_file", 0) == (MANY + 30 if order[1] == "products" else 0)
    rows = rows_of(between.destination, name)
    assert len({row["timestamp"] for row in rows}) == len(rows) == 2 * MANY + 30
    for way in order:
        assert consume(between, way, anew=True).outcomes == ["present", "present"]
    assert rows_of(between.destination, name) == rows
    assert len(products_of(between.destination, name)) == 1


@both
def test_a_few_new_points_make_no_file(world: Callable[..., World], version: str):
    between = world(TWO, version)
    name = place(between.destination)
    send(between, body(name, curve(99)))
    assert "by_file" not in line(consume(between, "products"))
    send(between, body(name, curve(MANY)))
    said = consume(between, "products")

    assert (line(said)["present"], line(said)["written"]) == (99, 21)
    assert "by_file" not in line(said)
    assert products_of(between.destination, name) == []


@crosswise
def test_the_datums_of_a_file_that_the_tom_stored_before_it_died_are_written(
    world: Callable[..., World], version: str, on_postgres: bool
):
    between = world(TWO, version, postgres=on_postgres)
    name = place(between.destination)
    send(between, body(name, curve()))
    consume(between, "products")
    before = rows_of(between.destination, name)
    [product] = products_of(between.destination, name)
    between.destination.run_script(SCRIPTS / "remove_datums.py", {"product": product["pk"]})
    assert rows_of(between.destination, name) == []

    said = consume(between, "products", anew=True)

    assert line(said)["written"] == MANY
    assert any("is there already, but its datums are not" in note for note in line(said)["notes"])
    after = rows_of(between.destination, name)
    assert len(after) == MANY
    ignored = {"source_location"} if version == TWO else set[str]()
    assert stored(after, but=ignored) == stored(before, but=ignored)
    assert [found["pk"] for found in products_of(between.destination, name)] == [product["pk"]]
    assert consume(between, "products", anew=True).outcomes == ["present"]


@everywhere
def test_measurements_that_3_takes_for_one_stay_apart(world: Callable[..., World], version: str, on_postgres: bool):
    between = world(TWO, version, postgres=on_postgres)
    value = {"magnitude": 18.5, "error": 0.25, "filter": "r"}
    local = {"data_type": "photometry", "timestamp": NIGHT.isoformat(), "value": value, "source_name": "our own"}
    name = place(between.destination, local)
    later = NIGHT + timedelta(days=100)
    alike = [
        PhotometryDatum(timestamp=NIGHT, brightness=18.5, brightness_error=0.125, bandpass="r"),
        PhotometryDatum(timestamp=later, brightness=18.5, limit=21.0, bandpass="r"),
        PhotometryDatum(timestamp=later, brightness=18.75, limit=21.0, bandpass="r"),
        PhotometryDatum(timestamp=later, limit=21.0, bandpass="r"),
        PhotometryDatum(timestamp=later, limit=21.0, bandpass="r", telescope="B"),
        PhotometryDatum(timestamp=later, limit=21.0, bandpass="r", instrument="I"),
    ]
    send(between, body(name, [*curve(first=1), *alike, alike[-1]]))

    said = consume(between, "products")

    assert line(said)["written"] == MANY + len(alike)
    assert line(said)["present"] == 1
    assert line(said)["by_file"] == MANY + (len(alike) if version == TWO else 2)
    assert len(rows_of(between.destination, name)) == MANY + len(alike) + 1
    assert consume(between, "products", anew=True).outcomes == ["present"]
    assert len(rows_of(between.destination, name)) == MANY + len(alike) + 1


@pytest.mark.parametrize("on_postgres", [False, True], ids=["sqlite", "postgresql"])
def test_a_value_that_is_there_of_another_time_is_not_lost_in_2(world: Callable[..., World], on_postgres: bool):
    between = world(TWO, TWO, postgres=on_postgres)
    name = place(between.destination)
    steady = [point.model_copy(update={"timestamp": point.timestamp + timedelta(days=90)}) for point in curve(40)]
    send(between, body(name, curve()))
    consume(between, "products")
    send(between, body(name, [*curve(first=MANY), *steady]))

    said = consume(between, "products")

    assert (line(said)["written"], line(said)["by_file"]) == (MANY + 40, MANY)
    assert len({row["timestamp"] for row in rows_of(between.destination, name)}) == 2 * MANY + 40


def test_more_than_two_thousand_datums_make_three_files(world: Callable[..., World]):
    between = world(TWO, THREE)
    name = place(between.destination)
    send(between, body(name, curve(2_001)))

    assert line(consume(between, "products"))["by_file"] == 2_001
    assert [product["datums"] for product in products_of(between.destination, name)] == [667] * 3
    assert len(rows_of(between.destination, name)) == 2_001


def is_question(entry: Entry, about: str) -> bool:
    """Whether a request asks for many rows of something."""
    asked = dict(parse_qsl(entry.query))
    return entry.path == "/api/reduceddatums/" and about in asked and int(asked["limit"]) > 1_000


@both
def test_a_curve_of_several_events_is_read_once_and_one_file_of_it_as_a_whole(world: Callable[..., World], version: str):
    between = world(TWO, version)
    name = place(between.destination)
    send(between, *(body(name, curve((1 + event) * MANY)) for event in range(4)))  # each has what those before it have
    with FaultyDoor(between.destination.url) as door:
        said = consume(between, "products", door=door)

    assert [(line.get("by_file"), line.get("present", 0)) for line in said.lines] == [
        (MANY, before) for before in range(0, 4 * MANY, MANY)
    ]
    assert sum(is_question(entry, "target__id") for entry in door.journal) == 1
    assert sum(is_question(entry, "data_product__id") for entry in door.journal) == 1
    assert len({row["timestamp"] for row in rows_of(between.destination, name)}) == 4 * MANY


def in_turn(items: Iterable[Item], do: Callable[[Item], None]) -> None:
    for item in items:
        do(item)


@crosswise
def test_what_others_add_to_a_curve_between_two_events_is_seen(world: Callable[..., World], version: str, on_postgres: bool):
    between = world(TWO, version, postgres=on_postgres)
    name = place(between.destination)
    first, second = body(name, curve()), body(name, curve(2 * MANY))
    with between.at_destination() as session:
        known = Matcher(session, max_separation_arcsec=5.0).find(first.target)
        assert known is not None
        one_by_one = DataWriter(session=session, original_source=False, each=in_turn)
        files = BackfillWriter(session=session, one_by_one=one_by_one, original_source=False, each=in_turn)
        assert files.write_datums(first.datums, shared=first, known=known).by_file == MANY
        one_by_one.write_datums(second.datums[-7:], shared=second, known=known)

        written = files.write_datums(second.datums, shared=second, known=known)

    assert (written.present, written.by_file) == (MANY + 7, MANY - 7)
    assert {product["extra_data"].partition(" ")[0] for product in products_of(between.destination, name)} == {
        str(MANY), str(MANY - 7),
    }  # fmt: skip
    rows = rows_of(between.destination, name)
    assert len({row["timestamp"] for row in rows}) == len(rows) == 2 * MANY


@both
def test_what_was_read_of_a_curve_is_not_believed_for_long(world: Callable[..., World], version: str):
    between = world(TWO, version)
    name, now = place(between.destination), 0.0
    first, others = body(name, curve()), body(name, curve(2 * MANY)[MANY:])
    with between.at_destination() as session:
        known = Matcher(session, max_separation_arcsec=5.0).find(first.target)
        assert known is not None
        one_by_one = DataWriter(session=session, original_source=False, each=in_turn)
        files = BackfillWriter(session=session, one_by_one=one_by_one, original_source=False, each=in_turn, clock=lambda: now)
        assert files.write_datums(first.datums, shared=first, known=known).by_file == MANY
        [product] = products_of(between.destination, name)
        between.destination.run_script(SCRIPTS / "remove_datums.py", {"product": product["pk"]})
        one_by_one.write_datums(others.datums, shared=others, known=known)  # as many as were removed
        now = 31.0

        written = files.write_datums(first.datums, shared=first, known=known)

    assert (written.present, written.written) == (0, MANY)
    assert len({row["timestamp"] for row in rows_of(between.destination, name)}) == 2 * MANY


@crosswise
def test_two_sources_of_one_target_have_each_datum_once_in_2_and_each_its_own_in_3(
    world: Callable[..., World], version: str, on_postgres: bool
):
    between = world(TWO, version, postgres=on_postgres)
    name = place(between.destination)
    mine = body(name, curve())
    another = TomIdentity(name="Another", url="https://another.example.org/")
    theirs = mine.model_copy(update={"tom": another})
    between.consumer["accept_sources"] = [mine.tom.url, another.url]
    send(between, mine, theirs)
    with FaultyDoor(between.destination.url) as door:
        said = consume(between, "products", door=door)

    assert [line.get("written", 0) for line in said.lines] == ([MANY, 0] if version == TWO else [MANY, MANY])
    assert len(rows_of(between.destination, name)) == (MANY if version == TWO else 2 * MANY)
    assert sum(is_question(entry, "target__id") for entry in door.journal) >= 2  # the kept state is of the one source
    if version == TWO:
        assert not any(entry.kind == "datum" for entry in door.journal)


@both
def test_what_arrived_in_a_file_is_not_shared_on(world: Callable[..., World], version: str):
    between = world(TWO, version)
    name = place(between.destination)
    send(between, body(name, curve()))
    consume(between, "products")
    [product] = products_of(between.destination, name)

    said = between.run("share", "destination", name, "--to", f"stream:{between.topic}")

    assert said.code == 0
    assert f"{name}: {MANY} datums that came through the bridge are not shared on" in said.err
    assert b"reduced_datums" not in b"".join(record.record.value or b"" for record in between.read(between.topic)[1:])
    assert product["datums"] == MANY
