"""What a browser draws of a light curve, as a picture and as paths; the page is served by this process, without a broker."""

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from matplotlib.image import imread
from playwright.sync_api import Browser, Locator, expect

from bridge.events import PhotometryDatum, ReducedDatumsShared, TargetShared
from bridge.observe.curves import LARGEST, MOST_PANELS
from bridge.observe.page.app import make_app
from bridge.observe.page.datums import MOST_SERIES
from bridge.observe.page.dossier import ReadSoFar
from bridge.observe.page.server import PageServer
from bridge.observe.page.state import State
from bridge.observe.page.streams import Streams
from tests.support.browser import Window, open_window
from tests.unit.observe.page.pages import make_state
from tests.unit.observe.page.seen import TOM, consumed, record, shared, target

NAME = "SN 2026abc"
FIRST = datetime(2026, 11, 1, tzinfo=UTC)
PIECES = """(path) => {
    const begin = path.classList.contains("limit") ? /(?=M[\\d.]+ [\\d.]+h)/ : /(?=M)/;
    const figure = path.ownerSVGElement, scale = figure.clientWidth / figure.viewBox.baseVal.width;
    return path.getAttribute("d").split(begin).map((part) => {
        const alone = path.cloneNode();
        alone.setAttribute("d", part);
        path.parentNode.append(alone);
        const box = alone.getBBox();
        alone.remove();
        return [box.x, box.y, box.x + box.width, box.y + box.height].map((each) => each * scale);
    });
}"""
COLOUR = "(path, what) => getComputedStyle(path)[what].match(/\\d+/g).slice(0, 3).map(Number)"


@pytest.fixture
def state() -> Iterator[State]:
    """What is shown: the target has been read for, and nothing was there."""
    found = make_state()
    found.dossiers.of(NAME).done(ReadSoFar("complete"))
    return found


@pytest.fixture
def url(state: State) -> Iterator[str]:
    streams = Streams(state)
    with PageServer(lambda _is_loopback: make_app(state=state, streams=streams), host="127.0.0.1", port=0) as server:
        yield f"{server.url}target?name={quote(NAME)}"
        streams.close()


def measure(state: State, *points: dict[str, Any]) -> None:
    """Share points, a day apart unless they say when."""
    moments = [FIRST + timedelta(days=point.pop("day", number)) for number, point in enumerate(points)]
    datums = tuple(PhotometryDatum(timestamp=moment, **point) for moment, point in zip(moments, points, strict=True))
    state.saw(consumed(record(ReducedDatumsShared(tom=TOM, target=target(NAME).identity(), datums=datums)), 1))


def numbers_of(window: Window) -> list[float]:
    """Return every number in what is drawn."""
    paths = [path.get_attribute("d") or "" for path in window.page.locator("svg.curve path").all()]
    found = re.findall(r"NaN|-?Infinity|-?[\d.]+(?:e[+-]?\d+)?", " ".join(paths))
    return [float(number) for number in found]


def ticks(curve: Locator) -> list[str]:
    """Return what stands at the axis of brightness."""
    return curve.locator('text[text-anchor="end"]').all_text_contents()


def looked_at(window: Window, state: State, *points: dict[str, Any]) -> None:
    measure(state, *points)
    expect(window.page.locator("#shared-count")).to_have_text("1 event")
    expect(window.page.locator("#connection")).to_have_text("live")


@pytest.fixture
def window(browser: Browser, url: str) -> Iterator[Window]:
    with open_window(browser, url) as found:
        expect(found.page.locator("#connection")).to_have_text("live")
        yield found
        assert found.complaints == []


# --- as a picture


def is_drawn(found: Any, colour: Any, ground: Any) -> bool:
    """Say whether a pixel has a colour; a line that is hardly wider than a pixel lets half of the ground shine through."""
    away = colour - ground
    part = ((found - ground) @ away) / (away @ away)
    return bool(part > 0.5 and abs(found - ground - part * away).max() < 20)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desk", "phone"])
def test_the_picture_has_each_point_error_and_limit_where_it_belongs_in_its_colour(
    browser: Browser, state: State, url: str, scheme: Any, size: str
) -> None:
    """Two filters and a flux; pixels are compared with the colours that the style says."""
    points = [{"day": day, "bandpass": "g", "unit": "AB mag", "brightness": 19.0 - day / 10} for day in (0, 4, 8)]
    points += [
        {"day": day, "bandpass": "r", "unit": "AB mag", "brightness": 18.0 + day / 10, "brightness_error": 0.3}
        for day in (2, 6)
    ]
    points += [{"day": 9, "bandpass": "r", "unit": "AB mag", "limit": 18.2}]
    points += [{"day": day, "bandpass": "5 GHz", "unit": "mJy", "brightness": 1.0 + day} for day in (3, 5)]
    with open_window(browser, url, size=size, scheme=scheme) as window:
        looked_at(window, state, *points)
        curve = window.page.locator("svg.curve")
        expect(curve).to_have_count(2)
        for number, (kinds, filters) in enumerate([({"mark": 5, "error": 2, "limit": 1}, 2), ({"mark": 2}, 1)]):
            picture = 255 * imread(io.BytesIO(curve.nth(number).screenshot()), format="png")[..., :3]
            groups = curve.nth(number).locator(".series").all()
            assert len(groups) == filters
            for kind, count in kinds.items():
                drawn = [(path, box) for group in groups for path in group.locator(f".{kind}").all() for box in pieces(path)]
                assert len(drawn) == count
                for path, box in drawn:
                    colour = np.array(path.evaluate(COLOUR, "fill" if kind == "mark" else "stroke"))
                    assert 40 < box[0] <= box[2] < picture.shape[1]  # beside the labels
                    assert any(is_drawn(pixel, colour, picture[2, 2]) for pixel in around(picture, box)), (kind, box, colour)
        places = [pieces(group.locator(".mark").first) for group in curve.first.locator(".series").all()]
        heights = [[box[1] for box in place] for place in places]

    assert heights[0] == sorted(heights[0], reverse=True)  # g becomes brighter, and so rises
    assert heights[1] == sorted(heights[1])
    assert window.complaints == []


def pieces(path: Locator) -> list[tuple[float, float, float, float]]:
    """Return the boxes of what a path draws, one for each of its parts, in pixels of the picture."""
    boxes: list[tuple[float, float, float, float]] = path.evaluate(PIECES)
    return boxes


def around(picture: Any, box: tuple[float, float, float, float]) -> Any:
    """Return the colours of the pixels in the middle of a box; of nine, so that a thin line is met."""
    x, y = round((box[0] + box[2]) / 2), round((box[1] + box[3]) / 2)
    return picture[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3)


# --- what others write


def test_odd_numbers_are_drawn_or_left_out_and_the_page_goes_on(window: Window, state: State) -> None:
    odd = [
        {"brightness": 18.0, "brightness_error": -99.0},
        {"brightness": 18.5, "brightness_error": 0.1},
        {"brightness": 1.7e308},
        {"brightness": 1e-200, "unit": "mJy"},
        {"brightness": 2e-200, "unit": "mJy"},
        {"brightness": LARGEST, "unit": "counts"},
        {"brightness": -LARGEST, "unit": "counts"},
        {"brightness": 5e-324, "unit": "Jy"},
    ]
    looked_at(window, state, *odd)
    curves = window.page.locator("svg.curve")
    expect(curves).to_have_count(4)
    units = curves.evaluate_all("all => all.map((one) => one.querySelector('.label').textContent)")
    by_unit = dict(zip(units, (ticks(curve) for curve in curves.all()), strict=True))

    assert all(abs(number) < 10_000 for number in numbers_of(window))
    assert all(17.5 < float(tick) < 19 for tick in by_unit["magnitude (mag)"])  # no error of 99
    assert len(by_unit["magnitude (mag)"]) >= 4
    assert {float(tick) for tick in by_unit["mJy"]} >= {1e-200, 2e-200}
    assert {float(tick) for tick in by_unit["counts"]} >= {-LARGEST, 0.0, LARGEST}
    expect(window.page.locator("#left-out")).to_have_text("1 more point not drawn here; tom-bridge export has them all.")
    expect(window.page.locator("#connection")).to_have_text("live")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((18.0, 18.02), ["18.000", "18.005", "18.010", "18.015", "18.020"]),
        ((1e7, 1.2e7), ["1.00e+7", "1.05e+7", "1.10e+7", "1.15e+7", "1.20e+7"]),
        ((0.0, 4e-6), ["0", "1e-6", "2e-6", "3e-6", "4e-6"]),
        (
            (1_000_000.0, 1_000_000.5),
            ["1.0000000e+6", "1.0000001e+6", "1.0000002e+6", "1.0000003e+6", "1.0000004e+6", "1.0000005e+6"],
        ),
    ],
)
def test_ticks_have_the_digits_that_tell_them_apart(
    window: Window, state: State, values: tuple[float, ...], expected: list[str]
) -> None:
    looked_at(window, state, *({"brightness": value, "unit": "mJy"} for value in values))

    assert [tick for tick in ticks(window.page.locator("svg.curve")) if tick in expected] == expected


def test_ab_and_vega_magnitudes_have_an_axis_each_and_filters_without_a_name_do_not_merge(window: Window, state: State) -> None:
    looked_at(
        window,
        state,
        {"brightness": 18.0, "unit": "AB mag", "bandpass": "V"},
        {"brightness": 17.0, "unit": "Vega mag", "bandpass": "V"},
        {"brightness": 18.0, "unit": "AB mag"},
        {"brightness": 2.0, "unit": "mJy", "bandpass": "no filter"},
    )
    labels = window.page.locator("svg.curve .label").all_text_contents()

    assert labels == ["magnitude (AB mag)", "magnitude (Vega mag)", "mJy"]
    assert window.page.locator("#bands li").count() == 4
    assert sorted(window.page.locator("#bands bdi").all_text_contents()) == [
        "V, AB mag",
        "V, Vega mag",
        "no filter",
        "no filter",
    ]


def test_more_filters_than_can_be_told_apart_are_grey_together_and_counted(window: Window, state: State) -> None:
    looked_at(window, state, *({"brightness": 18.0, "bandpass": f"f{number:02}"} for number in range(MOST_SERIES + 4)))
    grey = window.page.locator("svg.curve .series.others")

    assert window.page.locator("svg.curve .series").count() == MOST_SERIES + 1
    assert len(pieces(grey.locator(".mark"))) == 4
    expect(window.page.locator("#left-out")).to_have_text("4 points in 4 more filters in grey.")
    colours = {
        (group.evaluate("(group) => getComputedStyle(group).color"), group.locator(".mark").get_attribute("d").count("a"))
        for group in window.page.locator("svg.curve .series:not(.others)").all()
    }
    assert len(colours) >= 8
    window.page.get_by_role("checkbox", name="other filters").uncheck()
    expect(grey).to_have_count(0)


def test_one_filter_alone_keeps_its_name_though_it_is_grey(window: Window, state: State) -> None:
    many = [{"brightness": 18.0, "bandpass": f"f{number:02}"} for number in range(MOST_SERIES)]
    looked_at(window, state, *many, *many, {"brightness": 1.0, "bandpass": "5 GHz", "unit": "mJy"})

    expect(window.page.locator("#bands .others")).to_have_text("5 GHz1")
    expect(window.page.locator("#left-out")).to_have_text("1 point in 1 more filter in grey.")


def test_more_units_than_have_a_panel_are_counted(window: Window, state: State) -> None:
    units = [f"unit {number}" for number in range(MOST_PANELS + 2)]
    looked_at(window, state, *({"brightness": 18.0, "unit": unit} for unit in [*units, *units[:MOST_PANELS]]))

    assert window.page.locator("svg.curve .label").all_text_contents() == units[:MOST_PANELS]
    expect(window.page.locator("#left-out")).to_have_text("2 more points not drawn here; tom-bridge export has them all.")
    window.page.get_by_text("The same as a table").click()
    expect(window.page.locator("#table-scroll tbody tr")).to_have_count(2 * MOST_PANELS + 2)


def test_if_all_is_left_out_that_is_said(window: Window, state: State) -> None:
    looked_at(window, state, {"brightness": 1.7e308})

    expect(window.page.locator("#left-out")).to_have_text("1 more point not drawn here; tom-bridge export has them all.")


def test_names_that_are_cut_lead_nowhere_and_what_cannot_be_seen_is_shown_by_its_number(window: Window, state: State) -> None:
    hidden = "\u180e\U000e0041\u2028\u00ad\ufeff\u3164\ue000\u0007\u202e"
    body = shared(NAME, aliases=("x" * 600, f"B{hidden}C"))
    assert isinstance(body, TargetShared)
    state.saw(consumed(record(body), 1))
    names = window.page.locator("#facts dd").first

    expect(names).to_contain_text("x" * 500 + "…")
    expect(names.get_by_role("link")).to_have_text("B\\u180e\\u{e0041}\\u2028\\u00ad\\ufeff\\u3164\\ue000\\u0007\\u202eC")
