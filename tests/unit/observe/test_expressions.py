"""Filter expressions as a person expects them to be read, and complaints that say where they are wrong."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import bridge
from bridge.errors import Misconfigured
from bridge.events import ShareEvent, TomIdentity
from bridge.observe.filters import Where
from bridge.schemas import example_events
from tests.unit.observe.test_filters import POOLS

EXAMPLES = example_events()
DATUMS, TARGET, EROS = EXAMPLES["reduced_datums"], EXAMPLES["target_sidereal"], EXAMPLES["target_non_sidereal"]


def kept(text: str, event: ShareEvent = DATUMS) -> list[str] | None:
    found = Where.parse(text).select(event)
    return None if found is None else [datum.data_type for datum in found.body.datums]


def test_an_event_comes_with_the_datums_that_match() -> None:
    assert kept('bandpass = "r"') == ["photometry"]
    assert kept("brightness < 18.5 or not brightness > 0") == [
        "photometry",
        "photometry",
        "spectroscopy",
        "astrometry",
        "polarimetry",
    ]
    assert kept("time >= 2024-01-03") is None
    assert Where.parse("type = reduced_datums").select(DATUMS) is DATUMS


def test_an_upper_limit_has_no_brightness() -> None:
    assert kept('bandpass = "g"') == ["photometry"]
    assert kept('bandpass = "g" and brightness < 99') is None
    assert kept('bandpass = "g" and not brightness < 99') == ["photometry"]


@pytest.mark.parametrize("name", ["SN 2024abc", "sn2024ABC", "SN_(2024)-abc", "ztf24aaaaaaa"])
def test_a_target_is_found_by_every_name_as_tom_toolkit_compares_them(name: str) -> None:
    assert Where.parse(f'target = "{name}"').select(TARGET) is TARGET
    assert Where.parse(f'target = "{name}"').select(EROS) is None


def test_a_cone_has_the_targets_within_it_and_none_without_a_position() -> None:
    assert Where.parse("cone(197.45, -23.38, 30 arcsec)").select(TARGET) is TARGET
    assert Where.parse("cone(197.45, -23.38, 5 arcsec)").select(TARGET) is None
    assert Where.parse("cone(197.45, -23.38, 180 deg)").select(EROS) is None


def test_and_binds_tighter_than_or_and_not_tightest() -> None:
    assert str(Where.parse("type = target or type = target_list and not brightness < 1 or (target = a and (target = b))")) == (
        'type = "target" or type = "target_list" and not brightness < 1.0 or target = "a" and target = "b"'
    )
    assert str(Where.parse("(type = target or time > 2026-11-01) and not (bandpass = r and bandpass == g)")) == (
        '(type = "target" or time > 2026-11-01T00:00:00.000000Z) and not (bandpass = "r" and bandpass = "g")'
    )


def test_times_without_a_zone_are_utc_and_others_are_turned_into_it() -> None:
    assert (
        Where.parse("time > 2026-11-01T02:00+02:00")
        == Where.parse("time > 2026-11-01")
        == Where.parse('TIME > "2026-11-01 00:00"')
    )


def test_a_type_may_be_written_in_full() -> None:
    assert Where.parse("type = tom.target.shared.v1") == Where.parse("type = target")


def test_sources_are_compared_in_their_one_spelling() -> None:
    assert Where.parse('source = "HTTPS://Tom.Example.org:443"').select(TARGET) is TARGET
    assert Where.parse("source = kafka://Kafka.SCiMMA.org:9092/a.b") == Where.parse("source = kafka://kafka.scimma.org/a.b")


@pytest.mark.parametrize(
    ("text", "source", "expected"),
    [
        ("localhost:8000", "http://localhost:8000/", True),
        ("LOCALHOST:8000/", "http://localhost:8000/", True),
        ("localhost", "http://localhost:8000/", False),
        ("localhost:80", "http://localhost/", True),
        ("My-TOM.org", "https://my-tom.org/", True),
        ("my-tom.org:443/", "https://my-tom.org/", True),
        ("my-tom.org/a", "https://my-tom.org/a/", True),
        ("my-tom.org/A", "https://my-tom.org/a/", False),
        ("https://my-tom.org", "http://my-tom.org/", False),
        ("a@my-tom.org", "https://my-tom.org/", False),
        ("[::1]:8000", "http://[::1]:8000/", True),
        ("[", "https://my-tom.org/", False),
    ],
)
def test_a_source_without_its_scheme_is_one_of_http_or_https(text: str, source: str, expected: bool) -> None:
    body = TARGET.body.model_copy(update={"tom": TomIdentity(name="A name", url=source)})
    event = ShareEvent(id=TARGET.id, time=TARGET.time, body=body)

    assert (Where.parse(f'source = "{text}"').select(event) is event) is expected


WRONG = {
    "": (1, "expected one of type, source, target, shared, bandpass, brightness, time, cone, not, or '('", "found the end"),
    "   ": (4, "expected one of type", "found the end"),
    "taget = x": (1, "did you mean target?", "found 'taget'"),
    "type = tragte": (8, "one of target, target_list, reduced_datums, data_product", "'tragte'"),
    "type < target": (6, "one of = !=, or in (...)", "'<'"),
    "type target": (6, "one of = !=", "'target'"),
    "target = SN 2024abc": (13, "a name with spaces stands in quotes", "'2024abc'"),
    "target = and": (10, "a target's name", "'and'"),
    "target = ": (10, "a target's name", "the end"),
    'target = "SN': (10, 'a text that ends with "', "'\"SN'"),
    "target = SN 'x": (13, "a text that ends with '", ""),
    "target in SN": (11, "'('", "'SN'"),
    "target in (a b)": (14, "',' or ')'", "'b'"),
    "target in ()": (12, "a target's name", "')'"),
    "target not = a": (12, "'in'", "'='"),
    "brightness < bright": (14, "a number", "'bright'"),
    "brightness < nan": (14, "a number", "'nan'"),
    "brightness < 1e999": (14, "a number", "'1e999'"),
    "brightness ! 3": (12, "'!='", "'! 3'"),
    "time > yesterday": (8, "a time such as 2026-11-01", "'yesterday'"),
    "time > 0001-01-01T00:00+14:00": (8, "a time such as", ""),
    "source = https://": (10, "a TOM's URL such as https://my-tom.org/", ""),
    "source = kafka://h": (10, "kafka://host/topic", ""),
    "cone 1": (6, "as in cone(197.45, -23.38, 30 arcsec)", "'1'"),
    "cone(361, 0, 1 deg)": (6, "from 0 to 360", "'361'"),
    "cone(1, 91, 1 deg)": (9, "from -90 to 90", "'91'"),
    "cone(1, 9, 1)": (13, "an angle with its unit: deg, arcmin, arcsec or mas", "')'"),
    "cone(1, 9, 1 parsec)": (14, "an angle with its unit", "'parsec'"),
    "cone(1, 9, far)": (12, "an angle with its unit", "'far'"),
    "cone(1, 9, -1 deg)": (12, "an angle above 0, up to 180 deg", "'-1'"),
    "cone(1, 9, 181deg)": (12, "an angle above 0, up to 180 deg", "'181deg'"),
    "cone(1, 9, 1 deg": (17, "')'", "the end"),
    "(type = target": (15, "'and', 'or' or ')'", "the end"),
    "type = target)": (14, "'and', 'or' or the end", "')'"),
    "type = target type = target": (15, "'and', 'or' or the end", "'type'"),
    "type = target and": (18, "expected one of type", "the end"),
    "not": (4, "expected one of type", "the end"),
    "(" * 51 + "type = target" + ")" * 51: (51, "no more than 50 parentheses or nots inside each other", "'('"),
}


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_is_shown_where_it_is_with_what_may_stand_there(text: str) -> None:
    place, *words = WRONG[text]
    said, shown, pointer = str(mistake(text)).split("\n")

    assert said.startswith(f"where: character {place}: ")
    assert [word for word in words if word not in said] == []
    assert shown == f"  {text}"
    assert pointer == " " * (place + 1) + "^"


@example("type = target or " * 3_000 + "type = target")
@given(st.just("type = target and " * 3_000 + "type = target"))
@settings(max_examples=1)
def test_a_long_expression_is_no_trouble(text: str) -> None:
    assert Where.parse(text).select(TARGET) is TARGET


def test_nothing_is_read_twice() -> None:
    """An expression about events alone asks no datum; one that is true of all datums gives the very event."""
    assert Where.parse("shared > 2020-01-01 and not type in (target)").select(DATUMS) is DATUMS
    assert Where.parse(f"time < {datetime(2030, 1, 1, tzinfo=UTC):%Y-%m-%d}").select(DATUMS) is DATUMS


PAGE = (Path(bridge.__file__).parents[1] / "docs" / "observers.md").read_text(encoding="utf-8")
ON_PAGE = re.findall(r"^\| `([^`]+)` \| (?:events|datums) ", PAGE, flags=re.MULTILINE) + re.findall(
    r"--where '(.*)'$", PAGE, flags=re.MULTILINE
)


@pytest.mark.parametrize("text", ON_PAGE)
def test_the_expressions_of_the_page_are_read(text: str) -> None:
    assert str(Where.parse(text))


def test_the_page_names_everything_that_may_be_asked() -> None:
    assert [word for word in [*POOLS, "cone"] if not any(text.startswith(word) for text in ON_PAGE)] == []
    assert str(mistake("bandpas = g")) in re.sub(r"^    (tom-bridge: )?", "", PAGE, flags=re.MULTILINE)


def mistake(text: str) -> Misconfigured:
    with pytest.raises(Misconfigured) as complaint:
        Where.parse(text)
    return complaint.value
