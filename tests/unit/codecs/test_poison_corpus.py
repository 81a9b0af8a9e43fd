"""The corpus of tests/data/poison, and what chance makes of bytes, headers and valid records: an event, Poison or Ignored."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from bridge.codecs.native import Ignored, decode, encode, to_structured
from bridge.codecs.record import Record
from bridge.errors import Poison
from bridge.events import EVENT_TYPES, RESERVED_TYPES, ShareEvent
from tests.support import poison
from tests.support.poison import CASES, CASES_BUILT, Case
from tests.unit import strategies

DOCS = Path(__file__).parents[3] / "docs"
PYTHON = re.compile(r"Traceback|Error\b|\bsys\.|\binstance of\b|\bdict|<class|0x[0-9a-f]{6}|[a-z]+_[a-z]+\(")
"""What a person who knows no Python need not see."""


def end_of(record: Record) -> tuple[str, str, str]:
    """Return what became of a record, with reason and detail; anything but an event, Poison and Ignored comes out as it is."""
    try:
        return "read", decode(record).type, ""
    except Poison as error:
        return "poison", error.reason, error.detail
    except Ignored as error:
        return "ignored", "", str(error)


def assert_for_a_person(detail: str) -> None:
    assert 0 < len(detail) < 2_000
    assert detail.isprintable()
    assert not PYTHON.search(detail), detail


# --- the corpus


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_case_comes_to_the_end_that_the_manifest_says(case: Case) -> None:
    ends, reason, detail = end_of(case.record)

    assert ends == case.ends
    if ends == "poison":
        assert (reason, case.says in detail) == (case.reason, True), detail


@pytest.mark.parametrize("case", [case for case in CASES.values() if case.ends == "poison"], ids=lambda case: case.name)
def test_each_reason_is_in_the_operators_table_and_each_detail_is_for_a_person(case: Case) -> None:
    _ends, reason, detail = end_of(case.record)

    assert f"`{reason}`" in (DOCS / "operators.md").read_text(encoding="utf-8")
    assert_for_a_person(detail)


@pytest.mark.parametrize("case", [case for case in CASES.values() if case.ends == "poison"], ids=lambda case: case.name)
def test_no_detail_repeats_the_payload(case: Case) -> None:
    _ends, _reason, detail = end_of(case.record)
    payload = (case.value or b"")[:100_000].decode(errors="replace").replace(poison.SOURCE, "")

    assert "hunter2" not in detail
    assert [detail[at : at + 16] for at in range(len(detail) - 15) if detail[at : at + 16] in payload] == []


def test_the_corpus_has_every_reason_of_poison() -> None:
    page = (DOCS / "operators.md").read_text(encoding="utf-8")
    table = page.partition("### Reasons in the record")[2].partition("###")[0]
    told = {code for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for code in re.findall(r"`(\w+)`", row)}

    of_hermes = {"hermes_format"}  # its cases are in tests/data/hermes
    assert {case.reason for case in CASES.values() if case.ends == "poison"} == told - of_hermes


def test_every_file_of_the_corpus_is_used() -> None:
    used = {about["value"] for about in poison.MANIFEST.values() if "value" in about} | {"manifest.toml", "good.json"}

    assert {path.name for path in poison.FOLDER.iterdir()} == used - {"none"}


MEGABYTES, SECONDS = 600, 5.0
BOUNDED = f"""
import json, resource, sys, time
from tests.support.poison import CASES, CASES_BUILT
from bridge.codecs.native import Ignored, decode
from bridge.errors import Poison
records = {{name: CASES[name].record for name in sorted(CASES_BUILT)}}
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {MEGABYTES} * 1_000_000, resource.RLIM_INFINITY))
for name, record in records.items():
    started = time.process_time()
    try:
        decode(record)
        end = "read"
    except (Poison, Ignored) as error:
        end = error.reason
    print(json.dumps([name, end, time.process_time() - started]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to a limit of memory")
def test_what_is_large_takes_bounded_time_and_memory() -> None:
    """A megabyte of ``{}`` for datums took a gigabyte and five seconds once, and 15 MB of it all of a machine."""
    ran = subprocess.run(
        [sys.executable, "-c", BOUNDED], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False
    )
    said = [json.loads(line) for line in ran.stdout.splitlines()]

    assert ran.returncode == 0, ran.stderr
    assert {name: end for name, end, _seconds in said} == {name: CASES[name].reason or "read" for name in CASES_BUILT}
    assert {name: seconds for name, _end, seconds in said if seconds > SECONDS} == {}


def lists_of(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every part of a schema of pydantic's core that is one of our lists, which are tuples."""
    if isinstance(schema, dict):
        if schema.get("type") == "tuple":
            yield schema
        for inner in schema.values():
            yield from lists_of(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from lists_of(inner)


@pytest.mark.parametrize("model", EVENT_TYPES.values(), ids=lambda model: model.__name__)
def test_each_list_of_an_event_is_read_up_to_the_first_that_is_wrong(model: type[BaseModel]) -> None:
    """Else complaints about the others take all memory."""
    found = list(lists_of(model.__pydantic_core_schema__))

    assert found
    assert [part for part in found if not part.get("fail_fast")] == []


# --- chance

SECOND_IDS = ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "_id", "_format", "content-type", "ce_", "x"]
attribute_values = st.sampled_from(
    [text.encode() for text in (*poison.USUAL.values(), *EVENT_TYPES, *RESERVED_TYPES, "tom.target.shared.v", "1.", "٣")]
)
any_headers = st.lists(
    st.tuples(st.sampled_from(SECOND_IDS) | st.text(max_size=6), attribute_values | st.binary(max_size=30)), max_size=14
).map(tuple)
MORE = settings(max_examples=150)


@MORE
@given(st.none() | st.binary(max_size=80), any_headers)
def test_any_bytes_with_any_headers(value: bytes | None, headers: tuple[tuple[str, bytes], ...]) -> None:
    ends, _reason, detail = end_of(Record(key=None, value=value, headers=headers))

    assert ends in {"poison", "ignored"}
    assert_for_a_person(detail)


@MORE
@given(any_headers)
def test_a_valid_value_with_any_headers(headers: tuple[tuple[str, bytes], ...]) -> None:
    ends, _reason, detail = end_of(Record(key=None, value=poison.GOOD, headers=(*headers, *poison.good_record().headers)))

    if ends != "read":
        assert_for_a_person(detail)


def flipped(value: bytes, bits: list[int]) -> bytes:
    changed = bytearray(value)
    for bit in bits:
        changed[bit // 8 % len(changed)] ^= 1 << bit % 8
    return bytes(changed)


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where something stands in a document."""
    items = document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


@st.composite
def mutated(draw: st.DrawFn) -> Record:
    """A valid record, damaged in one of the ways in which records are damaged."""
    record = encode(draw(strategies.events()))
    assert record.value is not None
    value, headers = record.value, list(record.headers)
    way = draw(st.sampled_from(["flip", "cut", "delete", "replace", "twice", "splice", "header flip", "header gone"]))
    if way == "flip":
        value = flipped(value, draw(st.lists(st.integers(0, len(value) * 8 - 1), min_size=1, max_size=4)))
    elif way == "cut":
        value = value[: draw(st.integers(0, len(value) - 1))]
    elif way == "splice":
        at, length = draw(st.integers(0, len(value))), draw(st.integers(0, 10))
        value = (
            value[:at]
            + draw(st.binary(max_size=6) | st.sampled_from([b"\\ud83d", b"1e999", b"NaN", b"[", b"}"]))
            + value[at + length :]
        )
    elif way in {"delete", "replace", "twice"}:
        document = json.loads(value)
        *path, last = draw(st.sampled_from(list(places(document))))
        holder = document
        for key in path:
            holder = holder[key]
        if way == "delete":
            del holder[last]
        elif way == "replace":
            holder[last] = draw(strategies.documents)
        elif isinstance(holder, dict):
            holder["TWICE"] = holder[last]
        value = json.dumps(document).replace('"TWICE"', json.dumps(str(last))).encode()
    else:
        at = draw(st.integers(0, len(headers) - 1))
        name, content = headers.pop(at)
        if way == "header flip" and content:
            headers.insert(at, (name, flipped(content, [draw(st.integers(0, len(content) * 8 - 1))])))
    return Record(key=record.key, value=value, headers=tuple(headers))


@MORE
@given(mutated())
def test_a_damaged_record_is_an_event_or_told_to_a_person(record: Record) -> None:
    ends, _reason, detail = end_of(record)

    if ends != "read":
        assert_for_a_person(detail)


@MORE
@given(mutated())
def test_what_can_be_read_can_be_written_again(record: Record) -> None:
    try:
        event: ShareEvent = decode(record)
    except (Poison, Ignored):
        return

    assert decode(encode(event)) == event
    assert decode(Record(key=None, value=to_structured(event).encode(), headers=())) == event
