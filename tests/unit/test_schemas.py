"""JSON Schemas, examples and AsyncAPI: they equal the models, and the files in schemas/ equal them."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from bridge import schemas
from bridge.codecs.native import decode, encode, from_structured
from bridge.events import EVENT_TYPES, ShareEvent
from tests.unit import strategies

SCHEMAS = Path(__file__).parents[2] / "schemas"
EXAMPLES = schemas.example_events()
VALIDATORS = {
    event_type: Draft202012Validator(schemas.json_schema(event_type), format_checker=Draft202012Validator.FORMAT_CHECKER)
    for event_type in EVENT_TYPES
}


def complaints(event_type: str, body: Any) -> list[str]:
    return [f"{error.json_path}: {error.message[:200]}" for error in VALIDATORS[event_type].iter_errors(body)]


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_each_schema_is_a_valid_schema_that_knows_its_name(event_type: str) -> None:
    schema = schemas.json_schema(event_type)
    Draft202012Validator.check_schema(schema)

    assert schema["$id"] == f"urn:tom-bridge:schema:{event_type}"
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


def test_the_format_checker_really_checks_times() -> None:
    body = json.loads(encode(EXAMPLES["reduced_datums"]).value or b"")
    body["datums"][0]["timestamp"] = "yesterday"

    assert complaints("tom.reduced_datums.shared.v1", body) != []


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_is_valid_by_its_schema_and_by_its_model(name: str) -> None:
    document = json.loads((SCHEMAS / "examples" / f"{name}.json").read_text(encoding="utf-8"))

    assert complaints(document["type"], document["data"]) == []
    assert from_structured(document) == EXAMPLES[name] == decode(encode(EXAMPLES[name]))


@given(strategies.events())
def test_every_event_that_we_write_is_valid_by_its_schema(event: ShareEvent) -> None:
    assert complaints(event.type, json.loads(encode(event).value or b"")) == []


@pytest.mark.parametrize("data_type", ["photometry", "spectroscopy", "astrometry", "notes"])
def test_a_raw_value_is_valid_by_the_schema_whatever_its_data_type(data_type: str) -> None:
    raw = {"data_type": data_type, "timestamp": "2024-01-02T00:00:00Z", "value": {"magnitude": "18.25"}}
    body = json.loads(encode(EXAMPLES["reduced_datums"]).value or b"") | {"datums": [raw]}

    assert complaints("tom.reduced_datums.shared.v1", body) == []


@pytest.mark.parametrize(
    "broken",
    [
        {"tom": {"name": "x"}},
        {"target": {"name": "a", "type": "PLANET"}},
        {"target": {"name": "", "type": "SIDEREAL"}},
        {"datums": []},
        {"datums": [{"data_type": "photometry", "brightness": 1.0}]},
        {"datums": [{"timestamp": "2024-01-02T00:00:00Z", "brightness": 1.0}]},
    ],
)
def test_what_the_model_refuses_the_schema_refuses(broken: dict[str, Any]) -> None:
    body = json.loads(encode(EXAMPLES["reduced_datums"]).value or b"") | broken

    assert complaints("tom.reduced_datums.shared.v1", body) != []


def test_there_is_an_example_of_everything_that_is_shared() -> None:
    assert {event.type for event in EXAMPLES.values()} == set(EVENT_TYPES)
    datums = EXAMPLES["reduced_datums"].body.datums  # type: ignore[attr-defined]
    assert {datum.data_type for datum in datums} == {"photometry", "spectroscopy", "astrometry", "polarimetry"}
    assert any(datum.brightness is None for datum in datums if datum.data_type == "photometry")


def test_the_examples_are_the_same_every_time() -> None:
    assert dict(schemas.documents()) == dict(schemas.documents())


def test_the_files_in_schemas_are_what_the_models_say() -> None:
    assert schemas.out_of_date(SCHEMAS) == []


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return shutil.copytree(SCHEMAS, tmp_path / "schemas")


def test_a_changed_file_is_found(copy: Path) -> None:
    path = copy / "examples" / "data_product.json"
    path.write_text(path.read_text(encoding="utf-8") + " ", encoding="utf-8")

    assert schemas.out_of_date(copy) == ["examples/data_product.json"]


def test_a_missing_file_is_found(copy: Path) -> None:
    (copy / "asyncapi.json").unlink()

    assert schemas.out_of_date(copy) == ["asyncapi.json"]


def test_a_file_too_many_is_found(copy: Path) -> None:
    (copy / "examples" / "old.json").write_text("{}")

    assert schemas.out_of_date(copy) == ["examples/old.json"]


def test_a_folder_with_nothing_in_it_lacks_every_file(tmp_path: Path) -> None:
    assert schemas.out_of_date(tmp_path) == [name for name, _text in schemas.documents()]


def references(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        if isinstance(document.get("$ref"), str):
            yield document["$ref"]
        for value in document.values():
            yield from references(value)
    elif isinstance(document, list):
        for value in document:
            yield from references(value)


def look_up(reference: str, path: Path) -> Any:
    file, _, pointer = reference.partition("#")
    document = json.loads((path.parent / file if file else path).read_text(encoding="utf-8"))
    for part in filter(None, pointer.split("/")):
        document = document[part.replace("~1", "/").replace("~0", "~")]
    return document


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.json")), ids=lambda path: path.name)
def test_every_reference_leads_somewhere(path: Path) -> None:
    found = list(references(json.loads(path.read_text(encoding="utf-8"))))

    assert found or path.name == "tom.target.shared.v1.json"
    assert all(isinstance(look_up(reference, path), dict) for reference in found)


def test_the_asyncapi_document_describes_every_type_and_every_header() -> None:
    document = json.loads((SCHEMAS / "asyncapi.json").read_text(encoding="utf-8"))
    messages = document["components"]["messages"]
    headers = {name for name, _value in encode(EXAMPLES["data_product"]).headers}

    assert document["asyncapi"].startswith("3.")
    assert set(messages) == set(EVENT_TYPES)
    assert set(document["channels"]["shares"]["messages"]) == set(EVENT_TYPES)
    for event_type, message in messages.items():
        assert set(message["headers"]["properties"]) == headers
        assert look_up(message["payload"]["schema"]["$ref"], SCHEMAS / "asyncapi.json")["$id"].endswith(event_type)
