"""What a record says of itself before it is read: the same as after, or nothing."""

import json
from typing import Any

import pytest

from bridge import schemas
from bridge.codecs.label import MOST_ADDRESS_BYTES, MOST_LABEL_BYTES, Address, address_of, label_of, label_texts
from bridge.codecs.native import encode
from bridge.codecs.record import Headers

SOURCE, TYPE = b"https://tom.example.org/", b"tom.target.shared.v1"
VERSION: tuple[str, bytes] = ("ce_specversion", b"1.0")
EVENTS = schemas.example_events()


@pytest.mark.parametrize("name", EVENTS)
def test_a_label_says_what_the_event_says(name: str) -> None:
    event = EVENTS[name]
    record = encode(event)

    assert label_of(record.headers) == (event.source.encode(), event.type.encode())
    assert label_texts(record.headers)["subject"] == event.body.subject


def test_of_a_name_that_is_there_twice_the_first_counts() -> None:
    headers = (VERSION, ("ce_source", SOURCE), ("ce_type", TYPE), ("ce_source", b"other"), ("ce_type", b"other"), VERSION)

    assert label_of(headers) == (SOURCE, TYPE)
    assert label_texts(headers)["source"] == SOURCE.decode()


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (VERSION, ("ce_type", TYPE)),
        (VERSION, ("ce_source", SOURCE)),
        (VERSION, ("ce_source", b""), ("ce_type", TYPE)),
        (("ce_source", SOURCE), ("ce_type", TYPE)),
        (("ce_specversion", b"2.0"), ("ce_source", SOURCE), ("ce_type", TYPE)),
        (("ce_specversion", b"2.0"), VERSION, ("ce_source", SOURCE), ("ce_type", TYPE)),
        (VERSION, ("ce_source", SOURCE + MOST_LABEL_BYTES * b"x"), ("ce_type", TYPE)),
    ],
)
def test_what_is_no_label_of_cloudevents_says_nothing(headers: Headers) -> None:
    assert label_of(headers) is None


def test_a_header_that_is_no_text_can_be_shown_all_the_same() -> None:
    assert label_texts((("ce_id", b"\xff"), ("_id", b"x"))) == {"id": "\N{REPLACEMENT CHARACTER}"}


def body(**more: Any) -> bytes:
    return json.dumps({"tom": {"name": "T", "url": "https://tom.example.org/"}, **more}).encode()


@pytest.mark.parametrize(
    ("value", "address"),
    [
        (body(destinations=["a-tom"]), Address(destinations=("a-tom",))),
        (body(destinations=[]), Address(destinations=())),
        (body(destinations=None), Address(destinations=None)),
        (
            body(destinations=["https://A-TOM.org"], hops=["https://b.org"]),
            Address(destinations=("https://a-tom.org/",), hops=("https://b.org/",)),
        ),
        # of a field that is inside another nobody speaks here
        (body(target={"destinations": 7}), Address(destinations=None)),
    ],
)
def test_where_an_event_has_been_and_for_whom_it_is_stands_in_its_body(value: bytes, address: Address) -> None:
    assert address_of(value) == address


@pytest.mark.parametrize(
    "value",
    [
        body(),
        body(hops=["https://b.org/"]),
        body(destinations=["a-tom"])[:-1],
        body(destinations="a-tom"),
        body(destinations=[1]),
        body(destinations=["https://user:hunter2@a-tom.org/"]),
        body(destinations=["a-tom"], hops="b"),
        b'["destinations"]',
        b"\xff" + body(destinations=["a-tom"]),
        b"[" * 100_000 + b'"destinations"',
        body(destinations=["a-tom"], title="x" * MOST_ADDRESS_BYTES),
        b"",
    ],
)
def test_what_does_not_say_or_is_not_in_order_is_left_to_a_reader(value: bytes) -> None:
    assert address_of(value) is None
