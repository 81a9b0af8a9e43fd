"""Light curves as pictures: what is drawn where and how; and that whatever a source writes is drawn, and as text."""

import itertools
import math
import re
import sys
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from typer.testing import CliRunner

from bridge.cli import app
from bridge.errors import Misconfigured
from bridge.events import AstrometryDatum, PhotometryDatum, ReducedDatum, TargetIdentity
from bridge.observe import plot
from bridge.observe.curves import MOST_BANDPASSES, MOST_PANELS, OTHERS, LightCurve, Panel, styles
from bridge.observe.lightcurves import datum_rows
from bridge.observe.plot import draw
from tests.unit import strategies
from tests.unit.observe.test_lightcurves import NOW, TARGET, shared

END_OF_TIME = datetime.max.replace(tzinfo=UTC)
PNG = b"\x89PNG\r\n\x1a\n"


def point(day: float, brightness: float | None = None, **more: Any) -> PhotometryDatum:
    return PhotometryDatum(timestamp=NOW + timedelta(days=day), brightness=brightness, **{"unit": "AB mag", **more})


def curve_of(*datums: ReducedDatum, name: str = "SN 2024abc", target: TargetIdentity = TARGET) -> LightCurve:
    curve = LightCurve(name)
    for row in datum_rows(shared(*datums, target=target)):
        curve.add(row)
    return curve


def names(panel: Panel) -> list[str]:
    return [series.bandpass for series in panel.series]


Drawn = Callable[[LightCurve], tuple[Figure, bytes]]


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """Draw a PNG; returns the figure and the bytes. A warning is an error."""
    made: list[Figure] = []

    def figure(*arguments: Any, **about: Any) -> Figure:
        made.append(Figure(*arguments, **about))
        return made[-1]

    monkeypatch.setattr(plot, "Figure", figure)

    def run(curve: LightCurve) -> tuple[Figure, bytes]:
        path = tmp_path / "curve.png"
        draw(curve, path, "png")
        return made[-1], path.read_bytes()

    return run


def panels_of(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_legend() is not None]


def test_magnitudes_are_upside_down_and_fluxes_are_not(drawn: Drawn) -> None:
    figure, content = drawn(curve_of(point(0, 18.0), point(1, 1.5, unit="mJy"), point(2, 17.0, unit="")))

    assert content.startswith(PNG)
    assert {axes.get_ylabel(): axes.yaxis_inverted() for axes in panels_of(figure)} == {
        "AB mag": True,
        "mag": True,
        "mJy": False,
    }


def test_a_panel_for_each_unit_however_it_is_spelt_magnitudes_first() -> None:
    datums = [point(0, 1.5, unit="mJy"), point(1, 1.6, unit="mJy"), point(0, 18.0, unit="ABmag"), point(1, 18.0, unit="AB mag")]

    assert [panel.unit for panel in curve_of(*datums).panels()] == ["AB mag", "mJy"]


def test_a_brightness_has_its_error_and_a_limit_is_an_arrow(drawn: Drawn) -> None:
    figure, _content = drawn(
        curve_of(point(0, 18.0, brightness_error=0.25, bandpass="r", limit=20.0), point(1, limit=20.5, bandpass="r"))
    )
    [axes] = panels_of(figure)
    lines = {"mark" if isinstance(line.get_marker(), str) else "arrow": line for line in axes.get_lines()}

    assert [list(lines["mark"].get_ydata()), list(lines["arrow"].get_ydata())] == [[18.0], [20.5]]
    [bar] = axes.containers[0].lines[2][0].get_segments()
    assert sorted(bar[:, 1]) == [17.75, 18.25]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["r", "limit"]


def test_an_error_that_is_none_has_no_bar() -> None:
    """Some surveys write -1 for an error that they do not know."""
    [panel] = curve_of(point(0, 18.0, brightness_error=-1.0), point(1, 18.0)).panels()

    assert list(panel.series[0].points.errors) == [0.0, 0.0]


def test_the_title_says_what_it_is_and_whose(drawn: Drawn) -> None:
    figure, _content = drawn(curve_of(point(0, 18.0), point(3, 18.5), name="ztf24X"))

    assert figure.get_suptitle() == "SN 2024abc"
    assert panels_of(figure)[0].get_title(loc="left") == "2 datums from My TOM, 2026-11-01 to 2026-11-04"


@pytest.mark.parametrize(("moment", "day"), [(END_OF_TIME, "9999-12-31"), (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01")])
def test_the_first_and_the_last_day_that_there_are_can_be_named(moment: datetime, day: str) -> None:
    curve = curve_of(PhotometryDatum(timestamp=moment, brightness=18.0))

    assert curve.subtitle == f"1 datum from My TOM, {day}"


def test_one_point_has_a_day_around_it(drawn: Drawn) -> None:
    figure, _content = drawn(curve_of(point(0, 18.0)))
    left, right = panels_of(figure)[0].get_xlim()

    assert (left, right) == (61344.5, 61345.5)


def test_other_datums_are_counted_and_not_drawn() -> None:
    curve = curve_of(point(0, 18.0), AstrometryDatum(timestamp=NOW, ra=1.0, dec=2.0), point(1, 1e200), point(2, limit=-1e300))

    assert (len(curve), curve.others, curve.extreme) == (1, 1, 2)


def test_a_bandpass_has_its_colour_wherever_it_is_drawn() -> None:
    few, many = styles(["r", "g"]), styles(["z", "r", "u", "g", "i", "F475W"])

    assert few["r"] == many["r"]
    assert few["g"] == many["g"]
    assert styles(["ZTF r"])["ZTF r"] == styles(["r'"])["r'"] == few["r"]
    assert list(many) == ["u", "g", "r", "i", "z", "F475W"]


def test_of_two_bandpasses_of_one_letter_the_letter_itself_has_its_usual_look() -> None:
    both = styles(["ZTF r", "r"])

    assert both["r"] == styles(["r"])["r"]
    assert both["ZTF r"].colour == both["r"].colour
    assert both["ZTF r"].marker != both["r"].marker


@given(st.lists(st.sampled_from(["r", "r'", "ZTF r", "sdss-r", "g", "V", "x", "Clear"]) | strategies.texts, max_size=60))
def test_no_two_bandpasses_look_the_same_and_the_order_does_not_matter(bandpasses: list[str]) -> None:
    told = set(bandpasses)
    found = styles(told)

    assert set(found) == told
    assert len(set(found.values())) == len(told)
    assert styles(sorted(told, reverse=True)) == found


def test_the_usual_filters_differ_in_more_than_their_colour() -> None:
    for filters in ("ugrizy", "UBVRI", "co"):
        markers = [style.marker for style in styles(filters).values()]
        assert all(one != other for one, other in itertools.pairwise(markers))


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour, as the accessibility guidelines (WCAG 2.2) define it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_every_colour_stands_out_from_white() -> None:
    colours = {style.colour for style in styles([*"uUBgcVGwLorRiIzyJHK", "NUV", "W1", *map(str, range(60))]).values()}

    assert len(colours) > 25
    assert {colour for colour in colours if 1.05 / (luminance(colour) + 0.05) < 3} == set()


def test_many_bandpasses_are_told_apart_as_far_as_anybody_can(drawn: Drawn) -> None:
    curve = curve_of(
        *(point(day, 18.0 + day % 7, bandpass=f"band {number}") for number in range(60) for day in range(1 + number % 3))
    )
    [panel] = curve.panels()

    assert len(panel.series) == MOST_BANDPASSES + 1
    assert names(panel)[-1] == OTHERS
    assert sum(len(series.points) for series in panel.series) == len(curve)
    assert drawn(curve)[1].startswith(PNG)


def test_units_beyond_a_few_are_counted() -> None:
    curve = curve_of(*(point(day, 1.0 + day, unit=f"unit {unit}") for unit in range(9) for day in range(1 + unit)))

    assert [panel.unit for panel in curve.panels()] == ["unit 8", "unit 7", "unit 6", "unit 5"]
    assert len(curve.panels()) == MOST_PANELS
    assert curve.undrawn == 1 + 2 + 3 + 4 + 5


CURVES = {
    "only limits": [point(day, limit=20 + day % 3, bandpass="gr"[day % 2]) for day in range(9)],
    "one limit": [point(0, limit=20.0)],
    "seconds": [point(second / 86_400, 18.0 + second / 100) for second in range(50)],
    "milliseconds": [point(ms / 86_400e3, 18.0 + ms / 100) for ms in range(50)],
    "minutes": [point(minute / 1440, 18.0) for minute in range(0, 100, 3)],
    "hours": [point(hour / 24, 18.0) for hour in range(60)],
    "days": [point(day, 18.0) for day in range(4)],
    "weeks": [point(day, 18.0) for day in range(0, 50, 5)],
    "a season": [point(day, 18.0) for day in range(0, 150, 5)],
    "years": [point(day, 18.0) for day in range(0, 1200, 50)],
    "a century": [point(-day, 18.0) for day in range(0, 36_500, 500)],
    "all times": [PhotometryDatum(timestamp=datetime(year, 6, 1, tzinfo=UTC), brightness=5.0) for year in (1, 2000, 9999)],
    "the end of time": [PhotometryDatum(timestamp=END_OF_TIME, brightness=5.0)],
    "odd numbers": [
        point(0, -1e99),
        point(1, 1e99, brightness_error=1e99),
        point(2, 0.0),
        point(3, -0.0, brightness_error=-5.0),
    ],
    "the same number": [point(day, 1e22) for day in range(3)],
    "thousands": [point(day / 50, 12 + math.sin(day / 300), bandpass="TESS", brightness_error=0.01) for day in range(6_000)],
    "four units": [point(day, 18.0 + day, unit=unit) for unit in ("AB mag", "Vega mag", "", "mJy") for day in range(3)],
}


@pytest.mark.parametrize(("case", "form"), list(zip(CURVES, itertools.cycle(plot.FORMATS))))
def test_whatever_there_is_can_be_drawn(case: str, form: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{form}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(curve_of(*CURVES[case]), path, form)

    assert path.read_bytes().startswith(PNG) if form == "png" else ET.parse(path).getroot().tag.endswith("svg")


HOSTILE = [
    "η Carinae",
    "V* $\\alpha^{2}$ CVn $",
    "<script>alert(1)</script> & co",
    "\u202e反転\x1b[31m\x00",
    "天体",
    "x" * 500,
    "a\nb",
    "🔭",
]


@pytest.mark.parametrize("form", plot.FORMATS)
@pytest.mark.parametrize("name", HOSTILE[2:4], ids=["markup", "control"])
def test_texts_are_drawn_as_texts(name: str, form: str, tmp_path: Path) -> None:
    target = TargetIdentity(name=name.replace("\x00", ""), type="SIDEREAL")  # a name has none, other texts may
    curve = curve_of(*(point(0, 18.0, bandpass=text) for text in HOSTILE), point(1, 18.0, unit=name), target=target)
    path = tmp_path / f"a.{form}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(curve, path, form)

    tags = {element.tag.rpartition("}")[2] for element in ET.parse(path).iter()} if form == "svg" else set()
    assert "script" not in tags


@given(st.lists(strategies.photometry(), min_size=1, max_size=20))
def test_any_photometry_can_be_told_apart_and_counted(datums: list[PhotometryDatum]) -> None:
    curve = curve_of(*datums)
    panels = curve.panels()

    drawn = sum(len(series.points) for panel in panels for series in panel.series)
    assert drawn + curve.undrawn + curve.extreme == len(datums)
    for panel in panels:
        looks = [series.style for series in panel.series]
        assert len(set(looks)) == len(looks)


@pytest.mark.parametrize("form", plot.FORMATS)
def test_the_same_light_curve_makes_the_same_bytes(form: str, tmp_path: Path) -> None:
    datums = [point(day, 18.0, bandpass="gri"[day % 3], brightness_error=0.1) for day in range(9)]
    paths = [tmp_path / f"{number}.{form}" for number in range(2)]
    for path, given_in in zip(paths, (datums, datums), strict=True):
        draw(curve_of(*given_in), path, form)

    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_an_svg_stays_small_however_many_points_there_are(tmp_path: Path) -> None:
    draw(curve_of(*CURVES["thousands"]), tmp_path / "a.svg", "svg")

    assert (tmp_path / "a.svg").stat().st_size < 400_000


def test_matplotlib_that_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "bridge.observe.plot", None)
    result = CliRunner().invoke(app, ["plot", "SN 2024abc", "--from-topic", "s:t", "--to", str(tmp_path / "a.png")])

    assert isinstance(result.exception, Misconfigured)
    assert "pip install '.[plot]'" in str(result.exception)


def test_a_picture_of_another_kind_is_complained_about(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["plot", "SN 2024abc", "--from-topic", "s:t", "--to", str(tmp_path / "a.jpg")])

    assert isinstance(result.exception, Misconfigured)
    assert re.search(r"\.png, \.svg", str(result.exception))


def test_markers_are_told_apart_before_colours_are_borrowed() -> None:
    found = styles([f"r {number}" for number in range(8)])

    assert len({style.colour for style in itertools.islice(found.values(), 8)}) == 1
