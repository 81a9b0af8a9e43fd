"""Filters select what somebody who reads the events' JSON datum by datum would select."""

import json
import math
import operator
import re
from datetime import datetime
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bridge.codecs.native import to_structured
from bridge.errors import Misconfigured
from bridge.events import ShareEvent
from bridge.observe.filters import Where
from tests.unit import strategies as anything
from tests.unit.observe.shared import BANDPASSES, BRIGHTNESSES, NAMES, SOURCES, SPOTS, TIMES, TOM_NAMES, TOPIC, events

COMPARE: dict[str, Any] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

# --- expressions as nested tuples, written by rules of the tests' own

Tree = tuple[Any, ...]
RADII = [
    ("1", "mas", 0.001),
    ("5", "arcsec", 5.0),
    ("0.5", "arcmin", 30.0),
    ("1e1", "deg", 36_000.0),
    ("180", "degrees", 648_000.0),
]
POOLS: dict[str, list[Any]] = {
    "type": ["target", "target_list", "reduced_datums", "data_product"],
    "source": [
        *SOURCES,
        TOPIC,
        *TOM_NAMES,
        "my tom",
        "my-tom.org",
        "My-TOM.org/",
        "127.0.0.1:8001/tom",
        "https://nobody.org/",
    ],
    "target": [*NAMES, "SN-2024-ABC", "nobody"],
    "bandpass": [*BANDPASSES, "z"],
    "brightness": [*BRIGHTNESSES, 18.0],
    "time": TIMES,
    "shared": TIMES,
}
ORDERED = ("brightness", "time", "shared")


@st.composite
def conditions(draw: st.DrawFn, field: str = "") -> Tree:
    field = field or draw(st.sampled_from([*sorted(POOLS), "cone"]))
    if field == "cone":
        return ("cone", draw(st.sampled_from(SPOTS)), draw(st.sampled_from(RADII)))
    if draw(st.booleans()):
        values = draw(st.lists(st.sampled_from(POOLS[field]), min_size=1, max_size=3))
        return (draw(st.sampled_from(["in", "not in"])), field, values)
    signs = sorted(COMPARE) if field in ORDERED else ["=", "!="]
    return (draw(st.sampled_from(signs)), field, [draw(st.sampled_from(POOLS[field]))])


trees = st.recursive(
    conditions(),
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner),
        st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3)),
    ),
    max_leaves=6,
)


def written(tree: Tree, draw: Any) -> str:
    """Write a tree, with as many parentheses and spaces as somebody may like."""
    kind = tree[0]
    keyword = kind.upper() if draw(st.booleans()) else kind
    gap = draw(st.sampled_from([" ", "  ", "\n"]))
    if kind == "not":
        return f"{keyword}{gap}({written(tree[1], draw)})"
    if kind in {"and", "or"}:
        return f"{gap}{keyword} ".join(f"({written(part, draw)})" for part in tree[1])
    if kind == "cone":
        (ra, dec), (number, unit, _scale) = tree[1:]
        return f"cone({ra},{gap}{dec},{number}{draw(st.sampled_from(['', ' ']))}{unit})"
    if kind in {"in", "not in"}:
        return f"{tree[1]} {keyword}{gap}({', '.join(value(item, draw) for item in tree[2])})"
    tight = draw(st.sampled_from(["", " "]))
    return f"{tree[1]}{tight}{kind}{tight}{value(tree[2][0], draw)}"


def value(item: Any, draw: Any) -> str:
    if isinstance(item, float):
        return repr(item)
    text = item.strftime("%Y-%m-%dT%H:%MZ") if isinstance(item, datetime) else item
    if re.fullmatch(r"[\w.:/-]+", text) and text != "and" and draw(st.booleans()):
        return text
    quote = draw(st.sampled_from("\"'"))
    return quote + text.replace("\\", "\\\\").replace(quote, f"\\{quote}") + quote


# --- what they mean, read off the JSON


def selected(tree: Tree, document: dict[str, Any]) -> dict[str, Any] | None:
    """Return the document with the datums of which the tree is true."""
    data = document["data"]
    holder = data.get("product", data)
    if not holder.get("datums"):
        return document if is_true(tree, document, None) else None
    kept = [datum for datum in holder["datums"] if is_true(tree, document, datum)]
    holder["datums"] = kept
    return document if kept else None


def is_true(tree: Tree, document: dict[str, Any], datum: dict[str, Any] | None) -> bool:
    kind = tree[0]
    if kind == "not":
        return not is_true(tree[1], document, datum)
    if kind in {"and", "or"}:
        return {"and": all, "or": any}[kind](is_true(part, document, datum) for part in tree[1])
    if kind == "cone":
        return is_within(tree[1], tree[2][2], document["data"].get("target", {}))
    sign, field, values = tree
    if sign in {"!=", "not in"}:
        return not is_true(("in", field, values), document, datum)
    found = facts(field, document, datum)
    compare = COMPARE["=" if sign == "in" else sign]
    return any(compare(one, comparable(field, item)) for one in found for item in values)


def facts(field: str, document: dict[str, Any], datum: dict[str, Any] | None) -> list[Any]:
    data = document["data"]
    if field == "type":
        return [document["type"].split(".")[1]]
    if field == "source":
        bare = re.sub("^https?://", "", document["source"])
        return [document["source"], bare, bare.rstrip("/"), data["tom"]["name"].lower()]
    if field == "target":
        target = data.get("target", {"name": None})
        names = [member["name"] for member in data.get("members", [])] or [target["name"], *target.get("aliases", [])]
        return [simple(name) for name in names if name]
    if field == "shared":
        return [document["time"]]
    if datum is None:
        return []
    if field == "time":
        return [datum["timestamp"]]
    is_photometry = datum["data_type"] == "photometry" and "value" not in datum
    return [datum[field]] if is_photometry and field in datum else []


def comparable(field: str, item: Any) -> Any:
    if isinstance(item, datetime):
        return f"{item:%Y-%m-%dT%H:%M:%S.%fZ}"
    if field == "target":
        return simple(item)
    return item.lower() if field == "source" else item


def simple(name: str) -> str:
    return re.sub(r"[ _()-]", "", name).lower()


def is_within(spot: tuple[float, float], radius_arcsec: float, target: dict[str, Any]) -> bool:
    if "ra" not in target:
        return False
    apart = (
        math.degrees(2 * math.asin(min(1.0, math.dist(on_sphere(*spot), on_sphere(target["ra"], target["dec"])) / 2))) * 3600
    )
    assume(abs(apart - radius_arcsec) > 1e-4 or apart == 0)
    return apart <= radius_arcsec


def on_sphere(ra: float, dec: float) -> tuple[float, float, float]:
    one, two = math.radians(ra), math.radians(dec)
    return math.cos(one) * math.cos(two), math.sin(one) * math.cos(two), math.sin(two)


@pytest.mark.parametrize("field", [*POOLS, "cone"])
@settings(max_examples=40)
@given(st.data(), events())
def test_a_condition_selects_what_brute_force_selects(field: str, data: st.DataObject, event: ShareEvent) -> None:
    holds_for_brute_force(data.draw(conditions(field)), event, data)


@settings(max_examples=80)
@given(st.data(), trees, events())
def test_a_filter_selects_what_brute_force_selects(data: st.DataObject, tree: Tree, event: ShareEvent) -> None:
    holds_for_brute_force(tree, event, data)


def holds_for_brute_force(tree: Tree, event: ShareEvent, data: st.DataObject) -> None:
    expected = selected(tree, json.loads(to_structured(event)))
    where = Where.parse(written(tree, data.draw))
    found = where.select(event)

    assert (None if found is None else json.loads(to_structured(found))) == expected
    assert Where.parse(str(where)).select(event) == found


@given(st.data(), trees)
def test_a_filter_is_a_value_that_its_repr_gives_back(data: st.DataObject, tree: Tree) -> None:
    where = Where.parse(written(tree, data.draw))
    again = eval(repr(where))  # what it is for

    assert again == where
    assert hash(again) == hash(where)
    assert str(again) == str(where)


@given(trees, anything.events(), st.data())
def test_any_event_can_be_asked(tree: Tree, event: ShareEvent, data: st.DataObject) -> None:
    where = Where.parse(written(tree, data.draw))
    opposite = Where.parse(f"not ({where})")
    found, rest = where.select(event), opposite.select(event)

    assert not (found is event and rest is event)
    assert found is not None or rest is event
    assert rest is not None or found is event


@given(st.text() | st.text("()=<>!\"'\\ ,.+-0123456789eandortigpc"))
def test_any_text_is_an_expression_or_a_misconfiguration(text: str) -> None:
    try:
        where = Where.parse(text)
    except Misconfigured as error:
        said = str(error)
    else:
        assert Where.parse(str(where)) == where
        return
    assert said.startswith("where: character ")
