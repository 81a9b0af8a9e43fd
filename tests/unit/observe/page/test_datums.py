"""A target's datums, each once, and its light curve: what is drawn in which panel, and what is left out and counted."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.events import PhotometryDatum, ReducedDatumsShared, SpectroscopyDatum, TomIdentity
from bridge.observe.curves import LARGEST, MOST_PANELS, LightCurve
from bridge.observe.lightcurves import datum_rows
from bridge.observe.page import datums as module
from bridge.observe.page.datums import MOST_SERIES, Datums
from tests.unit.observe.page.seen import NOW, OTHER, TOM, datums, sighting, target


def taken(*bodies: Any) -> Datums:
    found = Datums()
    for body in bodies:
        for row in datum_rows(sighting(body)):
            found.add(row)
    return found


def photometry(*points: dict[str, Any], name: str = "SN 2013dx", tom: TomIdentity = TOM) -> ReducedDatumsShared:
    """Points a minute apart."""
    measured = tuple(PhotometryDatum(timestamp=NOW + timedelta(minutes=number), **point) for number, point in enumerate(points))
    return ReducedDatumsShared(tom=tom, target=target(name).identity(), datums=measured)


def points(found: Datums) -> list[list[Any]]:
    document: list[list[Any]] = json.loads(found.points(), parse_constant=pytest.fail)
    return document


def test_each_datum_is_there_once_however_often_it_is_shared() -> None:
    found = taken(datums(3), datums(5), datums(2, tom=OTHER))

    assert [point[0][11:16] for point in points(found)] == ["12:00", "12:00", "12:01", "12:01", "12:02", "12:03", "12:04"]
    assert points(found)[0][1:] == [18.0, None, None, 0, "My TOM"]
    assert found.types == {"photometry": 7}


def test_each_datum_is_there_once_under_whatever_name_its_target_was_shared() -> None:
    assert len(points(taken(datums(3), datums(3, name="GRB 130702A")))) == 3


def test_filters_of_different_units_are_different_series_in_different_panels() -> None:
    found = taken(
        photometry(
            {"brightness": 18.0, "unit": "AB mag"},
            {"brightness": 1.5, "unit": "mJy", "bandpass": "no filter"},
            {"brightness": 1.5, "unit": "mJy"},
            {"limit": 20.5, "bandpass": "r", "unit": "Vega mag"},
            {"brightness": 19.0, "bandpass": "r", "unit": "AB mag"},
        )
    )
    curve = found.curve()

    assert [(panel["unit"], panel["is_magnitude"]) for panel in curve["panels"]] == [
        ("AB mag", True),
        ("Vega mag", True),
        ("mJy", False),
    ]
    assert [(series["bandpass"], series["unit"]) for series in curve["series"]] == [
        ("", "AB mag"),
        ("no filter", "mJy"),
        ("", "mJy"),
        ("r", "Vega mag"),
        ("r", "AB mag"),
    ]
    assert [point[4] for point in points(found)] == [0, 1, 2, 3, 4]
    assert sorted(series["look"] for series in curve["series"]) == [0, 1, 2, 3, 4]


def test_an_error_that_is_none_is_not_sent() -> None:
    found = taken(photometry(*({"brightness": 18.0, "brightness_error": error} for error in (-99.0, 0.0, 0.1, None))))

    assert [point[2] for point in points(found)] == [None, None, 0.1, None]


@pytest.mark.parametrize(
    "point", [{"brightness": 1.7e308}, {"brightness": 1.0, "brightness_error": -1.7e308}, {"limit": -2 * LARGEST}]
)
def test_numbers_that_are_no_brightness_are_counted_and_not_drawn(point: dict[str, Any]) -> None:
    found = taken(photometry(point, {"brightness": LARGEST}, {"brightness": 1e-200}))

    assert (len(points(found)), found.curve()["left_out"]) == (2, 1)


def test_units_without_a_panel_are_counted() -> None:
    units = [f"unit {number}" for number in range(MOST_PANELS)]
    found = taken(photometry(*({"brightness": 1.0, "unit": unit} for unit in [*units, *units, "odd", "mag"])))
    curve = found.curve()

    assert [panel["unit"] for panel in curve["panels"]] == units
    assert curve["left_out"] == 2
    assert [series["look"] is None for series in curve["series"]] == [False] * MOST_PANELS + [True] * 2


def test_filters_beyond_those_that_are_told_apart_have_no_look_of_their_own() -> None:
    filters = [f"f{number:02}" for number in range(MOST_SERIES + 3)]
    found = taken(photometry(*({"brightness": 1.0, "bandpass": name} for name in [*filters, *filters[3:]])))
    curve = found.curve()

    assert [series["bandpass"] for series in curve["series"] if series["look"] is None] == filters[:3]
    assert sorted(series["look"] for series in curve["series"][3:]) == list(range(MOST_SERIES))
    assert curve["left_out"] == 0


def test_memory_is_bounded_and_what_was_left_out_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_POINTS", 10)
    monkeypatch.setattr(module, "MOST_DATUMS", 15)
    found = taken(*(datums(4, first=4 * number) for number in range(6)))

    assert (len(points(found)), found.curve()["left_out"]) == (10, 14)


def test_repeats_are_no_points_that_were_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_POINTS", 3)
    monkeypatch.setattr(module, "MOST_DATUMS", 5)
    found = taken(datums(5), datums(5), datums(5))

    assert (len(points(found)), found.curve()["left_out"], found.types) == (3, 2, {"photometry": 5})


def test_other_types_are_counted_and_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_DATUMS", 2)
    spectra = tuple(SpectroscopyDatum(timestamp=NOW, flux=(float(number),), wavelength=(5000.0,)) for number in range(4))
    found = taken(ReducedDatumsShared(tom=TOM, target=target().identity(), datums=spectra))

    assert (points(found), found.curve()["left_out"], found.types) == ([], 0, {"spectroscopy": 2})


odd = st.sampled_from([18.0, 0.0, -99.0, 1e-200, 5e-324, 1.7e308, LARGEST])
numbers = odd | st.floats(allow_nan=False, allow_infinity=False)
measured = st.fixed_dictionaries(
    {"brightness": numbers},
    optional={
        "brightness_error": numbers,
        "limit": numbers,
        "bandpass": st.sampled_from(["r", " r", "", "ZTF g"]),
        "unit": st.sampled_from(["", "AB mag", "Vega mag", "mJy", "uJy", "erg/s", "counts"]),
    },
)


@given(st.lists(measured, min_size=1, max_size=12))
def test_the_page_draws_what_plot_draws(found: list[dict[str, Any]]) -> None:
    """Panels in the same order, with as many points, and the same left out."""
    page, curve = Datums(), LightCurve("SN 2013dx")
    for row in datum_rows(sighting(photometry(*found))):
        page.add(row)
        curve.add(row)
    drawn = [series for series in page.curve()["series"] if series["look"] is not None]

    assert [
        (panel["unit"], panel["is_magnitude"], sum(series["count"] for series in drawn if series["unit"] == panel["unit"]))
        for panel in page.curve()["panels"]
    ] == [(panel.unit, panel.is_upside_down, sum(len(series.points) for series in panel.series)) for panel in curve.panels()]
    assert page.curve()["left_out"] == curve.extreme + curve.undrawn
