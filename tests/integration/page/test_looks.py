"""Both pages can be used by everybody: accessible by axe, on a phone, by keyboard, in light and dark."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import Window, open_window
from tests.support.live_page import Site

FOCUS = """() => {
    const at = document.activeElement, style = getComputedStyle(at), box = at.getBoundingClientRect();
    const inSight = box.top >= 0 && box.bottom <= innerHeight;
    return [at.tagName, at.id || at.textContent.trim(), style.outlineStyle, parseFloat(style.outlineWidth), inSight];
}"""


@pytest.mark.parametrize("size", ["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_pages_are_accessible_and_fit_the_window(
    site: Site, browser: Browser, tmp_path: Path, size: str, scheme: Any
) -> None:
    with open_window(browser, site.url, size=size, scheme=scheme) as window:
        for name, address in (("overview", site.url), ("target", site.target("SN 2026abc"))):
            window.page.goto(address)
            expect(window.page.locator("#connection")).to_have_text("live")
            window.page.wait_for_selector("svg.curve" if name == "target" else "#consumers .card")
            for summary in window.page.locator("summary:visible").all():
                summary.click()
            window.page.wait_for_timeout(300)

            assert window.violations() == []
            assert window.overflow() <= 0
            window.keep(f"{name}-{size}-{scheme}", tmp_path)
    assert window.complaints == []


def test_everything_can_be_reached_by_keyboard_and_where_one_is_can_be_seen(site: Site, window: Window) -> None:
    page = window.page
    page.locator("body").press("Tab")
    reached = []
    for _ in range(25):
        tag, what, style, width, in_sight = page.evaluate(FOCUS)
        assert (style, width >= 2, in_sight) == ("solid", True, True), (tag, what, style, width, in_sight)
        reached.append(what)
        if what == "pause":
            break
        page.keyboard.press("Tab")

    assert reached[:4] == ["Skip to the events", "name", "Show", "Partitions"]
    assert reached[-1] == "pause"
    page.keyboard.press("Space")
    expect(page.locator("#pause")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#target")).to_be_visible()
