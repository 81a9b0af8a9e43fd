"""What the benchmark says of its figures: whether goals are reached, the table, the page, the JSON; and who takes turns."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.page import PATH, page
from bench.report import Figure, Found, as_json, as_markdown, as_table, number
from bench.samples import rotated

FASTER = Figure(
    what="datums one by one",
    where="3.1.0 SQLite",
    against="sharing",
    value=31.24,
    unit="times",
    goal=30.0,
    detail="121 against 3.9",
    runs=3,
)
LIGHTER = Figure(what="memory", against="itself when idle", value=75.0, unit="MB", goal=60.0, at_most=True)
TO_KNOW = Figure(what="relay at work", value=-0.5, unit="ms more")


@pytest.mark.parametrize(
    ("figure", "reached"),
    [
        (FASTER, True),
        (replace(FASTER, value=29.9), False),
        (replace(FASTER, value=30.0), True),
        (LIGHTER, False),
        (replace(LIGHTER, value=59.0), True),
        (replace(LIGHTER, value=60.0), True),
        (TO_KNOW, None),
        (replace(TO_KNOW, at_most=True), None),
    ],
)
def test_a_goal_is_reached_from_its_own_side(figure: Figure, reached: bool | None) -> None:
    assert figure.reached is reached


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.8421, "3.84"), (0.9, "0.90"), (29.97, "30.0"), (118.4, "118"), (20_000.0, "20,000"), (-4.294, "-4.29"), (0.0, "0.00")],
)
def test_a_number_has_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


def test_the_table_has_a_line_for_each_figure_and_names_a_part_once() -> None:
    found = [Found("writing", FASTER), Found("writing", TO_KNOW), Found("memory", LIGHTER)]
    assert as_table(found).splitlines() == [
        "part     what               where         against           today          goal           reached  behind it",
        "-" * 108,
        "writing  datums one by one  3.1.0 SQLite  sharing           31.2 times     at least 30.0  yes      121 against 3.9",
        "         relay at work                                      -0.50 ms more",
        "memory   memory                           itself when idle  75.0 MB        at most 60.0   no",
    ]


def test_the_json_has_everything_and_makes_the_page() -> None:
    found = [Found("writing", FASTER), Found("memory", LIGHTER), Found("saving", TO_KNOW)]
    content = json.loads(as_json({"cpu": "Fast", "cores": "2"}, found, {"delay": "KafkaUnavailable: no java"}))
    assert content["machine"] == {"cpu": "Fast", "cores": "2"}
    assert content["failed"] == {"delay": "KafkaUnavailable: no java"}
    assert [(row["part"], row["value"], row["goal"], row["reached"]) for row in content["figures"]] == [
        ("writing", 31.24, 30.0, True),
        ("memory", 75.0, 60.0, False),
        ("saving", -0.5, None, None),
    ]
    assert as_markdown(content["figures"]).splitlines() == [
        "| part | what | where | against | today | goal | reached | behind it |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        "| writing | datums one by one | 3.1.0 SQLite | sharing | 31.2 times | at least 30.0 | yes | 121 against 3.9 |",
        "| memory | memory |  | itself when idle | 75.0 MB | at most 60.0 | no |  |",
        "| saving | relay at work |  |  | -0.50 ms more |  |  |  |",
    ]


def test_the_page_has_the_figures_that_are_kept() -> None:
    assert page() == PATH.read_text(encoding="utf-8"), "run: python -m bench.page"


def test_the_page_says_what_could_not_be_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept = tmp_path / "performance.json"
    kept.write_text(as_json({"cpu": "Fast"}, [Found("writing", FASTER)], {"delay": "KafkaUnavailable: no java\nat all"}))
    monkeypatch.setattr("bench.page.KEPT", kept)

    lines = page().splitlines()

    at = lines.index("The machine: cpu Fast.")
    assert lines[at - 4 : at] == [
        "| writing | datums one by one | 3.1.0 SQLite | sharing | 31.2 times | at least 30.0 | yes | 121 against 3.9 |",
        "",
        "**delay** could not be run: KafkaUnavailable: no java at all",
        "",
    ]


@pytest.mark.parametrize(("by", "turns"), [(0, "abc"), (1, "bca"), (2, "cab"), (3, "abc"), (7, "bca")])
def test_another_one_is_first_each_time(by: int, turns: str) -> None:
    assert rotated("abc", by) == list(turns)
