"""Hermes messages at real TOMs of both versions: a person finds there what the message says, and where it came from."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from bridge.codecs.record import Record
from bridge.demo.toms import TOM_VERSIONS
from tests.support.hermes_corpus import CASES, USUAL, Case
from tests.support.hermes_world import address, as_sent, has_target, here, listening
from tests.support.world import GROUP, Said, Toms, World, dump, seed, target_of, unique

TWO, THREE = "2.32.4", "3.1.0"
READ = [case for case in CASES.values() if "ends" not in case.expected]
NOT_READ = [case for case in CASES.values() if "ends" in case.expected]
OTHER_TOM = "other-tom"
"""What the consumer of the corpus is called: a message of the bridge's own in it is addressed to that one."""
each_read = pytest.mark.parametrize("case", READ, ids=lambda case: case.name)
each_not_read = pytest.mark.parametrize("case", NOT_READ, ids=lambda case: case.name)
tags = unique("H")


# --- what TOM Toolkit stores otherwise than a person expects, as docs/operators.md says


NOT_MADE = {"orbit_in_part"}
"""Cases whose target no version makes: it requires a number that is missing."""
WORDS_OF_TWO = {
    "brightness": "magnitude", "brightness_error": "error", "bandpass": "filter",
    "flux_unit": "flux_units", "wavelength_unit": "wavelength_units",
}  # fmt: skip
"""Keys of 2.x's values, where they differ from 3.x's columns."""
RENAMED_BY_THREE = {name: f"original_{name}" for name in ("brightness_error", "exposure_time", "flux_error")}
"""What a row says in a key of 3.x's own that is no such thing there: an error that is no number."""


def why_not_stored(version: str, datum: Mapping[str, Any]) -> str:
    """Return why a version stores no such datum; empty, if it does."""
    if version == TWO and datum["data_type"] == "astrometry":
        return "tom_error"
    if version == THREE and datum["data_type"] == "photometry" and "bandpass" not in datum:
        return "unstorable"
    return ""


def as_stored(version: str, datums: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the datums that a person expects as a version stores them, in the form of `found_datums`."""
    stored: list[dict[str, Any]] = []
    seen: list[dict[str, Any]] = []
    for datum in datums:
        if why_not_stored(version, datum):
            continue
        fields = {**datum, "timestamp": datetime.fromisoformat(datum["timestamp"]).isoformat(timespec="microseconds")}
        extra = fields.pop("extra", {})
        if version == TWO:
            row = {WORDS_OF_TWO.get(key, key): value for key, value in fields.items()} | extra
        else:
            row = fields | {RENAMED_BY_THREE.get(key, key): value for key, value in extra.items()}
        if row in seen:  # two equal rows are one datum
            continue
        seen.append(row)
        is_similar = version == THREE and _is_similar(row, seen[:-1])
        stored.append({**row, "reduction_version": "tom-bridge"} if is_similar else row)
    return stored


def _is_similar(row: Mapping[str, Any], before: list[dict[str, Any]]) -> bool:
    """Whether 3.x takes a datum for one that it has, unless it gets a version of its own. Limits are never taken so."""
    keys = ("target", "data_type", "timestamp", "brightness", "bandpass", "flux", "wavelength", "instrument")
    return bool({"brightness", "flux"} & row.keys()) and any(all(row.get(k) == one.get(k) for k in keys) for one in before)


# --- the corpus: how it is sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A case under names of its own, so that one TOM can take all of them."""

    case: Case
    record: Record
    uuid: str
    names: Mapping[str, str]
    """Names in the corpus -> names at the TOM."""

    def expected(self, what: str) -> list[dict[str, Any]]:
        """Return the targets or datums that a person expects."""
        found: list[dict[str, Any]] = json.loads(json.dumps(self.case.expected[what]))
        for thing in found:
            for key in {"name", "target"} & thing.keys():
                thing[key] = self.names[thing[key]]
            if "aliases" in thing:
                thing["aliases"] = [self.names[alias] for alias in thing["aliases"]]
        return found

    def to_be_there(self) -> list[str]:
        """Return the names of targets of which the message says too little to make them."""
        made = [target["name"] for target in self.expected("targets") if target["type"] != "SIDEREAL" or "ra" in target]
        return sorted({datum["target"] for datum in self.expected("datums")} - set(made))


def send(case: Case) -> Sent:
    """Return a case as it is published: with names and, where Hermes gives it one, a uuid of its own."""
    tag, uuid, value = next(tags), uuid4(), case.record.value
    known: dict[str, str] = {}

    def own(name: Any) -> Any:
        if not isinstance(name, str):
            known[str(name)] = str(name)
            return name
        bare = name.strip()
        known[bare] = f"{tag}x {bare}"
        return name.replace(bare, known[bare]) if bare else name

    if case in READ:
        message = json.loads(value or b"")
        tables = [table for table in message["data"].values() if isinstance(table, list)]
        for row in [row for table in tables for row in table if isinstance(row, dict)]:
            row |= {key: own(row[key]) for key in {"name", "target_name", "photometryId"} & row.keys()}
            if "aliases" in row:
                row["aliases"] = (
                    [own(name) for name in row["aliases"]] if isinstance(row["aliases"], list) else own(row["aliases"])
                )
        value = json.dumps(message).encode()
    usual = tuple((name, uuid.bytes if name == "_id" else content) for name, content in USUAL)
    headers = usual if case.record.headers == USUAL else case.record.headers
    record = Record(key=None, value=value, headers=headers)
    return Sent(case=case, record=record, uuid=case.expected.get("uuid", str(uuid)), names=known)


# --- the corpus: how it is found


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """The corpus in a TOM."""

    version: str
    between: World
    sent: Mapping[str, Sent]
    stored: Mapping[str, Any]
    lines: Mapping[str, dict[str, Any]]
    """What the log says of each case."""
    letters: Mapping[str, dict[str, str]]
    """The dead letters, by case."""

    def target(self, name: str) -> dict[str, Any]:
        """Return all that a target has."""
        found = target_of(self.stored, name)
        return {key: value for key, value in found.items() if value not in (None, "", [], {}) and key not in NOT_SAID}

    def rows(self, case: Case) -> list[dict[str, Any]]:
        """Return the datums of a case's targets."""
        return [row for row in self.stored["datums"] if row["target"] in self.sent[case.name].names.values()]


NOT_SAID = {"id", "created", "modified", "permissions", "shared_by"}
"""Fields of a target that no message says."""


def found_datums(version: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each datum with all that it has, in one dictionary."""
    found = []
    for row in rows:
        value = dict(row["value"])
        if version == THREE:
            extra = value.pop("value")
            value = {key: item for key, item in value.items() if item not in (None, "", [])} | extra
            if "error" in value:
                value["flux_error"] = value.pop("error")
            if re.fullmatch("tom-bridge [0-9a-f]{12}", value.get("reduction_version", "")):
                value["reduction_version"] = "tom-bridge"
        found.append({"target": row["target"], "data_type": row["data_type"], "timestamp": row["timestamp"], **value})
    return found


def rounded(thing: Any) -> Any:
    """Return numbers to fourteen digits: the last ones differ by how a person calculates."""
    if isinstance(thing, dict):
        return {key: rounded(value) for key, value in thing.items()}
    if isinstance(thing, list):
        return [rounded(value) for value in thing]
    return float(f"{thing:.14g}") if isinstance(thing, float) else thing


def in_order(things: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted((rounded(thing) for thing in things), key=lambda thing: json.dumps(thing, sort_keys=True))


def consume_as_other_tom(between: World) -> Said:
    settings = between.settings()
    settings["DATA_SHARING"][OTHER_TOM] = settings["DATA_SHARING"].pop("destination")
    settings["consumers"] = {OTHER_TOM: settings["consumers"]["destination"]}
    said = between.run("consume", OTHER_TOM, "--drain", settings=settings)
    assert said.code == 0, said
    return said


@pytest.fixture(scope="module", params=TOM_VERSIONS)
def ingested(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    toms: Toms,
    broker: tuple[str, Callable[[str], None]],
) -> Ingested:
    """The corpus, read by one consumer in one run."""
    url, create_topic = broker
    source, destination = toms.get("source", TWO), toms.get("destination", request.param)
    home = tmp_path_factory.mktemp("hermes")
    between = listening(World(home=home, stream_url=url, create_topic=create_topic, source=source, destination=destination))
    sent = {name: send(case) for name, case in CASES.items()}
    seed(destination, *(here(name) for one in sent.values() if one.case in READ for name in one.to_be_there()))
    between.publish(*(one.record for one in sent.values()))
    said = consume_as_other_tom(between)
    by_value = {one.record.value: name for name, one in sent.items()}
    places = {consumed.place: by_value[consumed.record.value] for consumed in between.read(between.topic)}
    assert len(said.lines) == len(CASES)
    return Ingested(
        version=request.param,
        between=between,
        sent=sent,
        stored=dump(destination),
        lines={places[f"{line['topic']}[{line['partition']}]@{line['offset']}"]: line for line in said.lines},
        letters={places[letter["origin"]]: letter for letter in between.dead_letters()},
    )


# --- the corpus in real TOMs


@each_read
def test_targets_are_what_a_person_expects(ingested: Ingested, case: Case) -> None:
    sent = ingested.sent[case.name]
    submitter = case.expected["imported_from"].replace("hermes.test", ingested.between.topic)
    expected, found = [], []
    for target in sent.expected("targets"):
        if target["name"] in sent.to_be_there():  # it was here before: its names are added, and nothing else
            assert ingested.target(target["name"])["aliases"] == target["aliases"]
            assert "lists" not in ingested.target(target["name"])
        elif case.name in NOT_MADE:
            assert not has_target(ingested.stored, target["name"])
        else:
            extra = {"shared_from": submitter} if ingested.version == THREE else {}
            whole = {**target, **extra, "groups": [GROUP], "owners": ["bridge"], "aliases": sorted(target.get("aliases", []))}
            whole["lists"] = sorted([*whole.pop("target_lists", []), f"Imported from {submitter}"])
            expected.append({key: value for key, value in whole.items() if value != []})
            found.append(ingested.target(target["name"]))

    assert in_order(found) == in_order(expected)
    made = {name for name in sent.names.values() if has_target(ingested.stored, name)}
    assert made == {*sent.to_be_there(), *(target["name"] for target in expected)}


@each_read
def test_datums_are_what_a_person_expects(ingested: Ingested, case: Case) -> None:
    sent = ingested.sent[case.name]
    expected = as_stored(ingested.version, sent.expected("datums"))

    assert in_order(found_datums(ingested.version, ingested.rows(case))) == in_order(expected)


@each_read
def test_datums_say_which_topic_and_message_they_came_from(ingested: Ingested, case: Case) -> None:
    origin = f"{address(ingested.between)}?message={ingested.sent[case.name].uuid}"
    rows = ingested.rows(case)

    assert {row["source_name"] for row in rows} <= {f"Hermes:{ingested.between.topic}"}
    assert [row["source_location"] for row in rows if not re.fullmatch(
        f"{re.escape(origin)}#datum=[0-9a-f]{{32}}", row["source_location"]
    )] == []  # fmt: skip
    assert len({(row["target"], row["source_location"]) for row in rows}) == len(rows)


@each_read
def test_one_dead_letter_names_all_that_was_not_written(ingested: Ingested, case: Case) -> None:
    datums = ingested.sent[case.name].expected("datums")
    reasons = [(datum["target"], why_not_stored(ingested.version, datum)) for datum in datums]
    expected = case.expected.get("refused", []) + [[f"{target}, datum", reason] for target, reason in reasons if reason]
    letter = ingested.letters.get(case.name, {})

    items = [[re.sub(r" \d+ \(.*", "", item), reason] for item, reason, _detail in json.loads(letter.get("items", "[]"))]
    assert sorted(items) == sorted(expected)
    assert ingested.lines[case.name]["outcome"] == (
        "refused" if case.name in NOT_MADE else "partial" if expected else "written"
    )  # fmt: skip
    assert letter.get("reason", "") == ("incomplete_target" if case.name in NOT_MADE else items[0][1] if expected else "")


@each_not_read
def test_what_is_no_message_for_a_tom_is_a_dead_letter_or_skipped(ingested: Ingested, case: Case) -> None:
    line = ingested.lines[case.name]
    ends, reason = case.expected["ends"], case.expected["reason"]
    if ends == "poison" and reason != "hermes_format":
        reason = "no_headers"  # where both languages are spoken, nobody knows which it was to be

    assert (line["outcome"], line["reason"]) == ("refused" if ends == "poison" else "skipped", reason)
    assert ingested.letters.get(case.name, {}).get("reason") == (reason if ends == "poison" else None)


def test_a_second_delivery_and_a_second_topic_add_nothing(ingested: Ingested, tmp_path_factory: pytest.TempPathFactory) -> None:
    first = ingested.between
    second = listening(
        World(
            home=tmp_path_factory.mktemp("second"),
            stream_url=first.stream_url,
            create_topic=first.create_topic,
            source=first.source,
            destination=first.destination,
        )
    )
    before = dump(first.destination)
    records = [ingested.sent[case.name].record for case in READ]

    first.publish(*records)
    again = consume_as_other_tom(first)
    second.publish(*(as_sent(json.loads(record.value or b"")) for record in records))
    elsewhere = consume_as_other_tom(second)

    for said in (again, elsewhere):
        assert len(said.outcomes) == len(READ)
        assert set(said.outcomes) == {"present", "partial", "refused"}
        assert sum(line.get("written", 0) for line in said.lines) == 0
    assert dump(first.destination) == before
