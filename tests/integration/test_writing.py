"""What is written into real TOMs of both versions, also where a TOM makes it hard."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bridge import blobs
from bridge.codecs.native import encode, new_event
from bridge.codecs.record import Record
from bridge.consumer.destination import Destination
from bridge.consumer.hands import Hands
from bridge.consumer.pace import Pace
from bridge.consumer.turns import Turns
from bridge.consumer.work import Current
from bridge.demo.compare import measurements
from bridge.events import (
    DataProduct,
    DataProductShared,
    OtherDatum,
    PhotometryDatum,
    ReducedDatum,
    ReducedDatumsShared,
    ReferencedContent,
    ShareBody,
    ShareEvent,
    Target,
    TargetShared,
    TomIdentity,
)
from bridge.settings import ConsumerSettings
from bridge.tom.session import TomSession
from bridge.translate.targets import PLACEHOLDER, creation
from tests.support.backfilling import settings as behind
from tests.support.door import FaultyDoor
from tests.support.exchange import Seen
from tests.support.faults import Status
from tests.support.world import World, dump, seed, target_of, unique

TWO, THREE = "2.32.4", "3.1.0"
ELSEWHERE = TomIdentity(name="Elsewhere", url="https://elsewhere.example.org/")
FARTHER = TomIdentity(name="Farther", url="https://farther.example.org/")
NIGHT = datetime(2024, 3, 1, 2, 3, 4, 567890, tzinfo=UTC)
both = pytest.mark.parametrize("version", [TWO, THREE])
names = unique("W")


def star(name: str, **fields: Any) -> Target:
    return Target.model_validate({"name": name, "type": "SIDEREAL", "ra": 10.0, "dec": 20.0, "primary_key": 1, **fields})


def send(between: World, *bodies: ShareBody) -> list[ShareEvent]:
    events = [new_event(body, now=datetime.now(UTC)) for body in bodies]
    between.publish(*(encode(event) for event in events))
    return events


def datums_of(name: str, *datums: ReducedDatum) -> ReducedDatumsShared:
    return ReducedDatumsShared(tom=ELSEWHERE, target=star(name).identity(), datums=datums)


def shared(target: Target, *lists: str) -> TargetShared:
    return TargetShared(tom=ELSEWHERE, submitter="carol", target=target, target_lists=lists)


@both
def test_two_different_measurements_stay_two(world: Callable[..., World], version: str):
    between = world(TWO, version)
    name = next(names)
    point = PhotometryDatum(timestamp=NIGHT, brightness=18.5, brightness_error=0.1, bandpass="r", telescope="A", unit="AB")
    like_it = [
        point,
        point.model_copy(update={"telescope": "B"}),
        point.model_copy(update={"brightness_error": 0.2}),
        point.model_copy(update={"limit": 20.0}),
        point.model_copy(update={"limit": 20.0, "brightness": 18.75}),
        point.model_copy(update={"extra": {"airmass": 1.5}}),
        PhotometryDatum(timestamp=NIGHT, limit=21.0, bandpass="r"),
        PhotometryDatum(timestamp=NIGHT, limit=21.0, bandpass="r", telescope="B"),
    ]
    seed(between.destination, {"fields": {"name": name, "type": "SIDEREAL", "ra": 10.0, "dec": 20.0}})
    send(between, datums_of(name, *like_it, point))

    assert between.consume().outcomes == ["written"]

    after = dump(between.destination)
    assert len(measurements(after, name)["photometry", False]) == len(like_it)
    assert between.consume(anew=True).outcomes == ["present"]
    assert dump(between.destination) == after


def test_a_measurement_from_another_source_stays_beside_an_equal_one_in_3(world: Callable[..., World]):
    between = world(TWO, THREE)
    name = next(names)
    value = {"magnitude": 18.5, "error": 0.1, "filter": "r"}
    local = {"data_type": "photometry", "timestamp": NIGHT.isoformat(), "value": value, "source_name": "our own"}
    seed(between.destination, {"fields": {"name": name, "type": "SIDEREAL"}, "datums": [local]})
    send(between, datums_of(name, PhotometryDatum(timestamp=NIGHT, brightness=18.5, brightness_error=0.1, bandpass="r")))

    assert between.consume().outcomes == ["written"]
    rows = [row for row in dump(between.destination)["datums"] if row["target"] == name]
    assert sorted(row["source_name"] for row in rows) == ["Elsewhere", "our own"]


@both
def test_what_is_inside_a_value_cannot_change_what_the_datum_is(world: Callable[..., World], version: str):
    between = world(TWO, version)
    name, victim = next(names), next(names)
    ids = seed(between.destination, *({"fields": {"name": n, "type": "SIDEREAL"}} for n in (name, victim)))
    lies = {
        "target": ids[victim], "target_id": ids[victim], "id": 1, "data_type": "spectroscopy", "timestamp": "1999-01-01",
        "source_name": "liar", "source_location": "nowhere", "data_product": 1, "value": {"x": 1}, "mag": 3.0, "band": "z",
    }  # fmt: skip
    send(between, datums_of(name, PhotometryDatum(timestamp=NIGHT, brightness=18.5, bandpass="r", extra=lies)))

    said = between.consume()

    assert said.outcomes == ["written"]
    [row] = [row for row in dump(between.destination)["datums"] if row["target"] in {name, victim}]
    assert (row["target"], row["data_type"], row["source_name"]) == (name, "photometry", "Elsewhere")
    assert row["timestamp"] == NIGHT.isoformat(timespec="microseconds")
    assert row["source_location"].startswith("https://elsewhere.example.org/targets/1/#datum=")
    stored = row["value"].get("value", {}) if version == THREE else row["value"]
    assert set(map(str, lies.values())) <= set(map(str, stored.values()))
    if version == THREE:
        assert any("'source_name' is stored as 'original_source_name'" in note for note in said.lines[0]["notes"])


def begin(between: World, target: Target, *lists: str, **kept: Any) -> None:
    """Begin to create a target as an event from elsewhere does, as if the consumer had died in the middle, and the TOM."""
    provenance = {"shared_from": ELSEWHERE.name, "shared_by": "carol"}
    request = creation(target, lists=lists, permissions="PRIVATE", groups=[], provenance=provenance)
    assert (request.body["ra"] == PLACEHOLDER) == (target.ra == 0.0)
    with between.at_destination() as session:
        assert session.post("api/targets/", {**request.body, **kept}).status == 201


@both
@pytest.mark.parametrize("lists", [[], ["Zeros", "Imported from Elsewhere"], ["Imported from Farther"]])
def test_a_zero_that_a_crash_left_as_a_placeholder_is_set_right(world: Callable[..., World], version: str, lists: list[str]):
    between = world(TWO, version)
    target = star(next(names), ra=0.0, dec=0.0, extras={"k": "v"}, aliases=(next(names),))
    send(between, shared(target, "Zeros"))
    begin(between, target, *lists, **({} if lists else {"targetextra_set": [], "aliases": []}))
    # 2.x does not tell whose it is; that it is in another source's list does.
    is_own = version == THREE or "Imported from Farther" not in lists

    assert between.consume().outcomes == ["written"]

    found = target_of(dump(between.destination), target.name)
    assert (found["ra"], found["dec"]) == (0.0, 0.0)
    assert found["extras"] == {"k": "v"}
    assert found["aliases"] == list(target.aliases)
    assert found["lists"] == sorted({"Zeros", *lists, *(["Imported from Elsewhere"] if is_own else [])})


@both
def test_a_target_that_another_source_made_is_not_taken_for_ones_own(world: Callable[..., World], version: str):
    """2.x does not tell where a target came from, and this one is what the second event would make, to the last digit."""
    between = world(TWO, version, accept_sources=["*"])
    one, other = (TomIdentity(name=next(names), url=f"https://{which}.example.org/") for which in ("one", "other"))
    target = star(next(names))
    bodies = [
        TargetShared(tom=other, target=star(next(names), primary_key=2)),  # so that its list is there, and known, already
        TargetShared(tom=one, target=target),
        TargetShared(tom=other, target=target.model_copy(update={"extras": {"k": "theirs"}})),
    ]
    send(between, *bodies)

    assert between.consume().outcomes == ["written", "written", "present"]

    after = dump(between.destination)
    assert target_of(after, target.name)["lists"] == [f"Imported from {one.name}"]
    assert target_of(after, target.name)["extras"] == {}
    assert between.consume(anew=True).outcomes == ["present"] * 3
    assert dump(between.destination) == after


@both
def test_a_list_for_all_does_not_say_who_made_a_target(world: Callable[..., World], version: str):
    between = world(TWO, version, accept_sources=["*"], imported_list_for="all")
    target = star(next(names))
    theirs = TargetShared(tom=FARTHER, target=target.model_copy(update={"extras": {"k": "theirs"}}))
    send(between, shared(target), theirs)

    assert between.consume().outcomes == ["written", "written"]

    after = dump(between.destination)
    assert target_of(after, target.name)["lists"] == ["Imported from Elsewhere", "Imported from Farther"]
    assert target_of(after, target.name)["extras"] == {}
    assert between.consume(anew=True).outcomes == ["present", "present"]
    assert dump(between.destination) == after


@both
def test_a_list_that_the_event_itself_names_does_not_say_that_another_source_made_it(world: Callable[..., World], version: str):
    between = world(TWO, version)
    target = star(next(names), extras={"k": "v"})
    send(between, shared(target, "Imported from Farther"))
    begin(between, target, "Imported from Farther", targetextra_set=[])

    assert between.consume().outcomes == ["written"]

    found = target_of(dump(between.destination), target.name)
    assert found["lists"] == ["Imported from Elsewhere", "Imported from Farther"]
    assert found["extras"] == {"k": "v"}


def alone(session: TomSession, settings: ConsumerSettings) -> Destination:
    """Return a destination that nobody else writes to."""
    current = Current()
    turns = Turns(current=current, lease=None, concurrent=False, pace=Pace("polite", most=1))
    return Destination(session, settings, turns=turns, hands=Hands(0, current=current))


@both
def test_a_target_that_the_tom_left_half_made_is_completed(world: Callable[..., World], version: str):
    between = world(TWO, version)
    settings = ConsumerSettings.model_validate(between.settings()["consumers"]["destination"])
    listed = f"Listed {next(names)}"
    first, second, third = (
        star(next(names), primary_key=n, aliases=(next(names),), extras={"k": str(n)}, ra=float(n)) for n in range(3)
    )
    now = datetime.now(UTC)
    with between.at_destination() as session:
        destination = alone(session, settings)
        for target in (first, second):
            assert destination.write(new_event(shared(target, listed), now=now)).end == "written"
        # Somebody makes a second list of that name, which the TOM trips over after target, aliases and extras.
        make = f"from tom_targets.models import TargetList; TargetList.objects.create(name={listed!r})"
        between.destination.manage("shell", "-c", make)
        outcome = destination.write(new_event(shared(third, listed), now=now))

    assert outcome.end == "partial"
    assert [failure.item for failure in outcome.failures] == [f"list {listed!r}"]
    found = target_of(dump(between.destination), third.name)
    assert found["aliases"] == list(third.aliases)
    assert found["extras"] == {"k": "2"}
    assert found["lists"] == ["Imported from Elsewhere"]


@both
def test_a_list_whose_name_exists_twice_is_named_and_the_rest_is_written(world: Callable[..., World], version: str):
    between = world(TWO, version)
    twice, once, target = f"Twice {next(names)}", f"Once {next(names)}", star(next(names))
    make = f"from tom_targets.models import TargetList\nfor _ in range(2): TargetList.objects.create(name={twice!r})"
    between.destination.manage("shell", "-c", make)
    send(between, shared(target, twice, once))

    assert between.consume().outcomes == ["partial"]
    assert target_of(dump(between.destination), target.name)["lists"] == ["Imported from Elsewhere", once]
    assert [letter["reason"] for letter in between.dead_letters()] == ["ambiguous_list"]


def product(file: bytes, name: str = "points.csv", **fields: Any) -> DataProduct:
    whole = {
        "name": name, "data_product_type": "photometry", "size": len(file), "sha256": blobs.sha256(file),
        "content": blobs.pack(file), "datums": (PhotometryDatum(timestamp=NIGHT, brightness=18.0, bandpass="r"),),
    }  # fmt: skip
    return DataProduct.model_validate(whole | fields)


@both
def test_a_file_that_the_tom_cannot_process_leaves_its_datums(world: Callable[..., World], version: str):
    between = world(TWO, version)
    name = next(names)
    seed(between.destination, {"fields": {"name": name, "type": "SIDEREAL"}})
    send(between, DataProductShared(tom=ELSEWHERE, target=star(name), product=product(b"no table at all\n")))

    assert between.consume().outcomes == ["partial"]
    after = dump(between.destination)
    assert [row["brightness"] for row in measurements(after, name)["photometry", False]] == [18.0]
    assert not any(row["target"] == name for row in after["data_products"])
    assert [letter["reason"] for letter in between.dead_letters()] == ["product_not_processed"]

    between.consume(anew=True)
    assert dump(between.destination) == after


@pytest.fixture
def file_server(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "large.png").write_bytes(bytes(range(256)) * 8000)
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/large.png"
        server.shutdown()
        thread.join()


def test_a_file_elsewhere_is_fetched_only_from_where_it_is_allowed(world: Callable[..., World], file_server: str):
    content = bytes(range(256)) * 8000
    large = product(
        content, name="large.png", data_product_type="image_file", content=ReferencedContent(url=file_server), datums=()
    )
    for allowed, outcome in (([], "refused"), ([file_server.rpartition("/")[0]], "written")):
        between = world(TWO, THREE, fetch_from=allowed)
        name = next(names)
        seed(between.destination, {"fields": {"name": name, "type": "SIDEREAL"}})
        send(between, DataProductShared(tom=ELSEWHERE, target=star(name), product=large))
        assert between.consume().outcomes == [outcome]
        stored = [row["sha256"] for row in dump(between.destination)["data_products"] if row["target"] == name]
        assert stored == ([] if outcome == "refused" else [large.sha256])


@both
@pytest.mark.parametrize("fault", [Status(500), Status(500, after_write=True)], ids=str)
def test_what_is_added_to_a_target_is_there_though_the_tom_fails_on_each_first_request(
    world: Callable[..., World], version: str, fault: Status
):
    between, name = world(TWO, version, imported_list_for="all"), next(names)
    seed(between.destination, {"fields": {"name": name, "type": "SIDEREAL", "ra": 1.0, "dec": 2.0}})
    send(between, shared(star(name, aliases=(f"{name} b", f"{name} c"), ra=1.0, dec=2.0), f"List of {name}"))
    asked: set[bytes] = set()

    def is_first(seen: Seen) -> bool:
        is_new = seen.method == "PATCH" and seen.body not in asked
        asked.add(seen.body)
        return is_new

    with FaultyDoor(between.destination.url) as door:
        rule = door.on(is_first, fault)
        said = between.run("consume", "destination", "--drain", settings=behind(between, door))

    assert (said.code, said.outcomes, rule.applied) == (0, ["written"], 4)
    found = target_of(dump(between.destination), name)
    assert sorted(found["aliases"]) == [f"{name} b", f"{name} c"]
    assert sorted(found["lists"]) == ["Imported from Elsewhere", f"List of {name}"]


@both
def test_a_session_that_ended_is_renewed_and_nothing_is_written_as_nobody(world: Callable[..., World], version: str):
    between = world(TWO, version)
    settings = ConsumerSettings.model_validate(between.settings()["consumers"]["destination"])
    first, second, third = (star(next(names), primary_key=n) for n in range(3))
    bodies = [shared(first), shared(second), datums_of(first.name, PhotometryDatum(timestamp=NIGHT, limit=20.0, bandpass="r"))]
    later = datetime.now(UTC) + timedelta(hours=1)
    clock = [0.0]
    with between.at_destination() as session:
        session._clock = lambda: clock[0]
        destination = alone(session, settings)
        for body in bodies:
            assert destination.write(new_event(body, now=later)).end == "written"
            end = "from django.contrib.sessions.models import Session; Session.objects.all().delete()"
            between.destination.manage("shell", "-c", end)
            clock[0] += 3600
        assert destination.write(new_event(datums_of(third.name, bodies[2].datums[0]), now=later)).reason == "unmatched"
    after = dump(between.destination)
    assert {tuple(target_of(after, target.name)["owners"]) for target in (first, second)} == {("bridge",)}


def test_a_group_that_the_account_is_not_in_is_a_setting_to_change(world: Callable[..., World]):
    between = world(TWO, THREE, groups=["Collaboratoin"])
    send(between, shared(star(next(names))))
    before = dump(between.destination)

    said = between.consume()

    assert said.code == 1 or "groups: the account is in no group Collaboratoin" in said.err
    assert dump(between.destination) == before, "the TOM would have made a group of that name"


def test_a_dry_run_says_what_would_be_written_and_changes_nothing(world: Callable[..., World]):
    between = world(TWO, THREE)
    name, known = next(names), next(names)
    seed(between.destination, {"fields": {"name": known, "type": "SIDEREAL"}})
    point = PhotometryDatum(timestamp=NIGHT, limit=20.0, bandpass="r")
    send(between, shared(star(name)), datums_of(known, point))
    before = dump(between.destination)

    said = between.consume("--dry-run")

    assert said.lines[0]["detail"] == f"create target {name!r}"
    assert said.lines[1]["detail"].startswith("1 datums into target")
    assert dump(between.destination) == before
    assert between.consume().outcomes == ["written", "written"], "a dry run commits nothing"


def test_a_record_that_is_no_share_event_is_a_dead_letter_with_its_bytes_and_the_next_one_flows(world: Callable[..., World]):
    between = world(TWO, THREE)
    poison = Record(key=b"k", value=b"\xff\xfe not json", headers=(("_format", b"blob"), ("mine", b"\x00\x01")))
    between.publish(poison)
    send(between, shared(star(next(names))))

    assert sorted(between.consume().outcomes) == ["refused", "written"]

    [letter] = between.read(between.dead_letter_topic)
    assert (letter.record.key, letter.record.value) == (poison.key, poison.value)
    assert letter.record.headers[: len(poison.headers)] == poison.headers
    assert between.dead_letters()[0]["origin"].startswith(f"{between.topic}[")


@both
def test_what_came_through_the_bridge_is_not_shared_back(world: Callable[..., World], version: str):
    there = world(TWO, version)
    name = next(names)
    point = {"data_type": "photometry", "timestamp": NIGHT.isoformat(), "value": {"magnitude": 18.5, "filter": "r"}}
    seed(there.source, {"fields": {"name": name, "type": "SIDEREAL", "ra": 1.0, "dec": 2.0}, "datums": [point]})
    there.share(name)
    assert there.consume().code == 0
    back = world(TWO, version)
    back.source, back.destination = there.destination, there.source
    before = dump(back.destination)
    grant = (
        "from guardian.shortcuts import assign_perm; from django.contrib.auth.models import User; "
        "from tom_targets.models import Target; alice = User.objects.get(username='alice'); "
        f"target = Target.objects.get(name={name!r}); assign_perm('tom_targets.view_target', alice, target)"
    )
    back.source.manage("shell", "-c", grant)

    said = back.share(name)

    assert "1 datums that came through the bridge are not shared on" in said.err
    back.consume()
    assert [row for row in dump(back.destination)["datums"] if row["target"] == name] == [
        row for row in before["datums"] if row["target"] == name
    ]


@both
def test_a_name_without_letters_or_digits_matches_nothing(world: Callable[..., World], version: str):
    between = world(TWO, version)
    ceres, eros = next(names), next(names)
    seed(between.destination, {"fields": {"name": ceres, "type": "SIDEREAL"}, "aliases": [f"--{'-' * int(ceres[1:])}"]})
    target = Target(name=eros, type="SIDEREAL", aliases=("-",), primary_key=1)
    point = PhotometryDatum(timestamp=NIGHT, brightness=18.0, bandpass="r")
    send(between, ReducedDatumsShared(tom=ELSEWHERE, target=target.identity(), datums=(point,)))

    assert [line["reason"] for line in between.consume().lines] == ["unmatched"]


def test_lists_are_left_alone_where_they_are_not_accepted(world: Callable[..., World]):
    between = world(TWO, THREE, accept=["targets"])
    target = star(next(names))
    send(between, shared(target, "Somebody's list"))

    assert between.consume().outcomes == ["written"]
    assert target_of(dump(between.destination), target.name)["lists"] == ["Imported from Elsewhere"]


def test_a_text_that_reads_as_no_number_does_not_break_the_tom(world: Callable[..., World]):
    between = world(TWO, THREE, postgres=True)
    name = next(names)
    seed(between.destination, {"fields": {"name": name, "type": "SIDEREAL"}})
    broken = [
        OtherDatum(data_type=kind, timestamp=NIGHT, value={"magnitude": "NaN", "filter": "g"})
        for kind in ("photometry", "Photometry")
    ]
    send(between, datums_of(name, *broken, PhotometryDatum(timestamp=NIGHT, brightness=18.0, bandpass="r")))

    assert between.consume().outcomes == ["partial"]
    assert [row["brightness"] for row in measurements(dump(between.destination), name)["photometry", False]] == [18.0]
    with between.at_destination() as session:
        assert session.get("api/reduceddatums/", {"limit": 10}).ok
