"""Files that a real TOM does not take, or of which it makes something else: their datums come one by one, each once."""

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from bridge.demo.toms import Tom
from tests.support.backfilling import MANY, body, consume, curve, line, place, products_of, rows_of, send, settings
from tests.support.door import FaultyDoor
from tests.support.exchange import Seen
from tests.support.faults import Hang, Reset, Status
from tests.support.world import Toms, World

TWO, THREE = "2.32.4", "3.1.0"
both = pytest.mark.parametrize("version", [TWO, THREE])


REFUSES = """
from tom_dataproducts.data_processor import DataProcessor

class Refuses(DataProcessor):
    def process_data(self, data_product):
        raise ValueError("not by files")
"""
ALTERS = """
from tom_dataproducts.processors.photometry_processor import PhotometryProcessor

class Alters(PhotometryProcessor):
    def process_data(self, data_product):
        return [(time, value | ({"magnitude": value["magnitude"] + 1} if "magnitude" in value else {}), source)
                for time, value, source in super().process_data(data_product)]
"""
MAKES_NOTHING = """
from tom_dataproducts.data_processor import DataProcessor

class MakesNothing(DataProcessor):
    pass
"""
ALTERS_LATER = """
from tom_dataproducts.processors.photometry_processor import PhotometryProcessor

class AltersLater(PhotometryProcessor):
    def process_data(self, data_product):
        made = super().process_data(data_product)
        if any(value.get("magnitude", 0) > 17.045 for _time, value, _source in made):
            made = [(time, value | {"filter": "z"}, source) for time, value, source in made]
        return made
"""
DROPS = """
from tom_dataproducts.processors.photometry_processor import PhotometryProcessor

class Drops(PhotometryProcessor):
    def process_data(self, data_product):
        return [(time, value, source) for time, value, source in super().process_data(data_product)
                if value.get("magnitude") != 99]
"""


def stubborn(toms: Toms, version: str, text: str) -> Tom:
    """Return a TOM with a photometry processor of its own."""
    kind = text.partition("class ")[2].partition("(")[0]
    tom = toms.get(kind.lower(), version, settings={"DATA_PROCESSORS": {"photometry": f"custom_code.own.{kind}"}})
    (tom.dir / "custom_code" / "own.py").write_text(text)
    return tom


@both
@pytest.mark.parametrize("text", [REFUSES, ALTERS, MAKES_NOTHING], ids=["refuses", "alters", "makes-nothing"])
def test_a_tom_that_makes_something_else_of_files_gets_each_datum_once(
    world: Callable[..., World], toms: Toms, version: str, text: str
):
    between = world(TWO, version)
    between.destination = stubborn(toms, version, text)
    name, others = place(between.destination), [place(between.destination) for _ in range(3)]
    send(between, body(name, curve()))
    said = consume(between, "products")

    assert (line(said)["outcome"], line(said)["written"]) == ("written", MANY)
    assert "by_file" not in line(said)
    [note] = line(said)["notes"]
    assert note.startswith(f"{MANY} datums were not written by a file: ")
    assert products_of(between.destination, name) == []
    rows = rows_of(between.destination, name)
    assert {row["data_product_pk"] for row in rows} == {None}
    assert len({row["timestamp"] for row in rows}) == len(rows) == MANY
    first = next(row["value"] for row in rows if row["timestamp"] == "2024-03-01T03:03:04.567892+00:00")
    assert first["magnitude" if version == TWO else "brightness"] == 17 + 1 / 3000

    send(between, *(body(other, curve(101)) for other in others))
    said = consume(between, "products")
    asked = [bool(line.get("notes")) for line in said.lines]
    assert sum(asked) == (3 if text == REFUSES else 1)  # it learns
    assert said.outcomes == ["written"] * 3


@both
def test_a_datum_that_a_tom_drops_of_a_later_file_is_missed_and_comes_alone(
    world: Callable[..., World], toms: Toms, version: str
):
    between = world(TWO, version)
    between.destination = stubborn(toms, version, DROPS)
    name = place(between.destination)
    points = curve(2 * MANY)
    points[MANY + 60] = points[MANY + 61].model_copy(
        update={"brightness": 99.0, "timestamp": points[MANY + 60].timestamp, "limit": None}
    )
    send(between, body(name, points[:MANY]), body(name, points))

    said = consume(between, "products")

    assert [(line["by_file"], line["written"]) for line in said.lines] == [(MANY, MANY), (MANY - 1, MANY)]
    rows = rows_of(between.destination, name)
    assert len({row["timestamp"] for row in rows}) == len(rows) == 2 * MANY


@both
def test_a_tom_that_makes_something_else_of_a_later_file_is_found_out_by_some_of_its_rows(
    world: Callable[..., World], toms: Toms, version: str
):
    between = world(TWO, version)
    between.destination = stubborn(toms, version, ALTERS_LATER)
    name = place(between.destination)
    send(between, *(body(name, curve(MANY, first=event * MANY)) for event in range(3)))

    said = consume(between, "products")

    assert [(line.get("by_file", 0), line["written"], bool(line.get("notes"))) for line in said.lines] == [
        (MANY, MANY, False), (0, MANY, True), (0, MANY, False),
    ]  # fmt: skip
    assert [product["datums"] for product in products_of(between.destination, name)] == [MANY]
    rows = rows_of(between.destination, name)
    assert len({row["timestamp"] for row in rows}) == len(rows) == 3 * MANY


@pytest.fixture
def behind(world: Callable[..., World]) -> Iterator[Callable[[str], tuple[World, FaultyDoor]]]:
    """Make a topic to a TOM behind a door."""
    doors = []

    def make(version: str) -> tuple[World, FaultyDoor]:
        between = world(TWO, version)
        doors.append(FaultyDoor(between.destination.url).__enter__())
        return between, doors[-1]

    yield make
    for door in doors:
        door.__exit__(None, None, None)


def is_upload(seen: Seen) -> bool:
    return seen.kind == "product" and seen.method == "POST"


def uploads(door: FaultyDoor) -> int:
    return sum(entry.kind == "product" and entry.method == "POST" for entry in door.journal)


@both
def test_a_proxy_that_finds_the_file_too_large_costs_nothing_but_time(
    behind: Callable[[str], tuple[World, FaultyDoor]], version: str
):
    between, door = behind(version)
    name = place(between.destination)
    send(between, body(name, curve()))
    door.on(is_upload, Status(413))

    said = line(consume(between, "products", door=door))

    assert (said["outcome"], said["written"]) == ("written", MANY)
    assert "HTTP 413" in said["notes"][0]
    assert len(rows_of(between.destination, name)) == MANY
    assert uploads(door) == 1


@both
def test_what_a_tom_has_made_otherwise_of_a_file_is_removed_also_if_it_went_away_in_the_middle(
    world: Callable[..., World], toms: Toms, version: str
):
    between = world(TWO, version)
    between.destination = stubborn(toms, version, ALTERS)
    name, points = place(between.destination), [point for point in curve(300) if point.limit is None]
    send(between, body(name, points))
    with FaultyDoor(between.destination.url) as door:
        door.on(lambda seen: "data_product__id" in seen.query, Status(503), times=1)

        said = line(consume(between, "products", door=door))

    assert (said["outcome"], said["written"]) == ("written", len(points))
    assert products_of(between.destination, name) == []
    rows = rows_of(between.destination, name)
    assert {row["data_product_pk"] for row in rows} == {None}
    assert len({row["timestamp"] for row in rows}) == len(rows) == len(points)


def test_a_file_that_nobody_can_vouch_for_any_more_stays_and_is_told_of(world: Callable[..., World], toms: Toms):
    between = world(TWO, TWO)
    between.destination = stubborn(toms, TWO, ALTERS)
    name, points = place(between.destination), [point for point in curve(300) if point.limit is None]
    send(between, body(name, points))
    with FaultyDoor(between.destination.url) as door:
        door.on(is_upload, Reset(after_write=True), times=1)  # so that the file is found when it is sent again

        said = line(consume(between, "products", door=door))

    assert (said["outcome"], said["written"]) == ("partial", len(points))
    assert [letter["reason"] for letter in between.dead_letters()] == ["backfill_not_removed"]
    [product] = products_of(between.destination, name)
    rows = rows_of(between.destination, name)
    assert sum(row["data_product_pk"] is None for row in rows) == len(points)
    assert sum(row["data_product_pk"] == product["pk"] for row in rows) == len(points)


@both
@pytest.mark.parametrize(
    "fault", [Reset(after_write=True), Status(502, after_write=True), Status(500, after_write=True)], ids=str
)
def test_a_file_whose_answer_is_lost_is_not_sent_twice(
    behind: Callable[[str], tuple[World, FaultyDoor]], version: str, fault: Reset | Status
):
    between, door = behind(version)
    name = place(between.destination)
    send(between, body(name, curve()))
    door.on(is_upload, fault, times=1)

    said = line(consume(between, "products", door=door))

    assert (said["outcome"], said["present"]) == ("present", MANY)
    rows = rows_of(between.destination, name)
    assert len({row["timestamp"] for row in rows}) == len(rows) == MANY
    assert len(products_of(between.destination, name)) == 1
    assert uploads(door) == 1


@both
def test_a_consumer_that_is_killed_before_it_hears_of_its_file_finds_it(
    behind: Callable[[str], tuple[World, FaultyDoor]], version: str
):
    between, door = behind(version)
    name = place(between.destination)
    send(between, body(name, curve()))
    door.on(is_upload, Hang(after_write=True), times=1)
    between.consumer["backfill"] = "products"
    config = between.write_config(settings(between, door))
    command = [sys.executable, "-m", "bridge", "consume", "destination", "--config", str(config)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as consumer:
        door.journal.wait_for(lambda entries: any(e.kind == "product" and e.tom_status == 201 for e in entries), 60)
        consumer.kill()

    said = line(consume(between, "products", anew=True, door=door))

    assert (said["outcome"], said["present"]) == ("present", MANY)
    assert len(rows_of(between.destination, name)) == MANY
    assert len(products_of(between.destination, name)) == 1
    assert uploads(door) == 1
