"""A target's page in a real browser, over a real broker: its light curve, and everything that was shared about it."""

import re
import uuid

from playwright.sync_api import expect

from bridge.events import TargetShared
from tests.support.browser import Window
from tests.support.live_page import TOM, Site, light_curve, target


def heights(window: Window, selector: str) -> list[float]:
    """Return where the marks of a path begin, from above."""
    path = window.page.locator(selector).get_attribute("d") or ""
    return [float(found) for found in re.findall(r"M[\d.]+ ([\d.]+)", path)]


def test_the_light_curve_is_drawn_magnitudes_upside_down_and_limits_as_arrows(site: Site, window: Window) -> None:
    page = window.page
    page.goto(site.target("AT 2026abc"))
    expect(page.locator("#reading")).to_be_hidden()
    expect(page.locator("svg.curve")).to_have_count(2)
    marks = heights(window, "svg.curve >> nth=0 >> .series.c1 .mark")  # r: after g

    assert len(marks) == 18
    assert marks.index(min(marks)) == 9  # the tenth day is the brightest, and so the highest
    assert len(heights(window, "svg.curve >> nth=0 >> .series.c1 .limit")) >= 2
    assert len(heights(window, "svg.curve >> nth=0 >> .series.c1 .error")) == 18
    first, last = heights(window, "svg.curve >> nth=1 >> .series .mark")
    assert first > last  # a flux grows upwards
    about = page.locator("svg.curve").first.get_attribute("aria-label") or ""
    assert "40 points, 4 of them limits" in about
    assert "the brightest is 18" in about


def test_a_point_can_be_read_a_filter_hidden_and_everything_had_as_a_table(site: Site, window: Window) -> None:
    page = window.page
    page.goto(site.target("SN 2026abc"))
    curve = page.locator("svg.curve").first
    expect(curve).to_be_visible()
    box = curve.bounding_box()
    assert box is not None
    first = re.match(r"M([\d.]+) ([\d.]+)", curve.locator(".series.c1 .mark").get_attribute("d") or "")
    assert first is not None
    page.mouse.move(box["x"] + float(first[1]) + 4, box["y"] + float(first[2]) + 4)  # from the corner of a square
    expect(page.locator("#readout")).to_contain_text("r: 19.62 ± 0.1, 2026-11-02 00:00:00 (MJD 61346.0000)")
    page.get_by_label(re.compile("^ ?g ?20$")).uncheck()
    expect(page.locator("svg.curve").first.locator(".series")).to_have_count(1)
    page.get_by_text("The same as a table").click()

    expect(page.locator("#table-scroll tbody tr")).to_have_count(42)
    assert page.locator("#table-scroll tbody tr").first.inner_text().split("\t")[:2] == ["2026-11-01 00:00:00", "r"]


def test_a_targets_page_has_everything_and_grows_as_it_comes(site: Site, window: Window) -> None:
    page, name = window.page, f"SN 2026 grows {uuid.uuid4().hex[:6]}"
    page.goto(site.target(name))
    expect(page.locator("#shared-count")).to_have_text(re.compile("Nothing was shared under this name"))
    site.share(TargetShared(tom=TOM, target=target(name, aliases=("ZTF26abc",), primary_key=7), target_lists=("Mine",)))
    expect(page.locator("#shared-count")).to_have_text("1 event")
    expect(page.locator("#facts")).to_contain_text("ZTF26abc")
    expect(page.locator("#facts")).to_contain_text("14:29:12.00 +15:48:00.0")
    expect(page.locator("#facts a", has_text="https://my-tom.org/targets/7/")).to_have_attribute("rel", "noreferrer noopener")
    site.share(*light_curve(name))
    expect(page.locator("svg.curve")).to_have_count(2)
    expect(page.locator("#shared-count")).to_have_text("3 events")


def test_a_name_that_was_never_shared_is_said_to_be_none(site: Site, window: Window) -> None:
    window.page.get_by_label("Target name or alias").fill("no such target")
    window.page.keyboard.press("Enter")

    expect(window.page.locator("#shared-count")).to_have_text(re.compile("Nothing was shared under this name"))
    expect(window.page.get_by_role("heading", level=1)).to_have_text("no such target")
