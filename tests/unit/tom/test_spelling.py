"""Asking for names by parts: whoever has the name, however it is likely to be spelled, is asked for."""

import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.events import simplify_name
from bridge.tom.spelling import MOST_CHARACTERS, filters, telling_parts

names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=100).filter(simplify_name)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("SN 2024abc", "2024abc"),
        ("sn2024abc", "2024abc"),
        ("SN-2024_abc", "2024"),
        ("ZTF18abcdefg", "18abcdefg"),
        ("Gaia16aye", "16aye"),
        ("ASASSN-14li", "14li"),
        ("NGC 1234", "1234"),
        ("HD 209458 b", "209458"),
        ("Barnard's Star", "Barnard's"),
        ("J1234.56+0123.4 (host)", "1234.56+0123.4"),
        ("a,b 2024xyz", "2024xyz"),
        ("ζ Ori", "Ori"),
    ],
)
def test_the_part_that_tells_most(name: str, part: str) -> None:
    assert telling_parts(name) == [part]


@pytest.mark.parametrize(
    ("name", "spellings"),
    [
        ("M 31", {"M31", "M 31", "M-31", "M_31"}),
        ("m31", {"m31", "m 31", "m-31", "m_31"}),
        ("  x  ", {"x"}),
        ("x (y)", {"x (y)", "xy", "x y", "x-y", "x_y"}),
    ],
)
def test_a_name_of_short_parts_is_asked_for_in_all_likely_spellings(name: str, spellings: set[str]) -> None:
    assert set(telling_parts(name)) == spellings


@given(names)
def test_one_of_the_parts_is_in_the_name_so_whoever_has_the_name_is_found(name: str) -> None:
    parts = telling_parts(name)

    assert any(part in name for part in parts)
    assert all(part == part.strip() != "" for part in parts)


@given(
    st.lists(st.sampled_from(["SN", "AT", "18xyzzy", "Gaia", "host"]), max_size=3, unique=True),
    st.sampled_from([" ", "-", "_", "  ", ")("]),
    st.sampled_from([" ", "-", "_", ""]),
)
def test_the_words_of_a_name_may_be_joined_by_anything(words: list[str], one: str, other: str) -> None:
    event, there = one.join([*words, "2024abc"]), other.join([*words, "2024abc"])

    assert any(part in there for part in telling_parts(event))


@given(st.lists(names, max_size=60))
def test_filters_ask_for_every_part_and_are_short_enough_for_an_address(many: list[str]) -> None:
    parts = [part for name in many for part in telling_parts(name)]

    asked = filters(parts)

    terms = {term for value in asked for term in value.split(",")}
    assert all(set(part.split(",")) <= terms for part in parts)
    assert all(len(quote(value)) <= MOST_CHARACTERS + 100 for value in asked)
    assert bool(asked) == bool(parts)


def test_many_long_names_are_several_questions() -> None:
    asked = filters("ζ" * 99 + str(number) for number in range(10, 40))

    assert len(asked) > 1
    assert max(len(quote(value)) for value in asked) <= MOST_CHARACTERS
    assert sorted(re.findall(r"\d+", ",".join(asked))) == [str(number) for number in range(10, 40)]
