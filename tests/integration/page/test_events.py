"""The stream of events in a real browser, over a real broker: what is published is seen, as text, by whoever looks."""

import re
import time
import uuid

from playwright.sync_api import expect

from bridge.events import TargetShared
from tests.integration.page.conftest import SHOWN
from tests.support.browser import Window
from tests.support.live_page import TOM, Site, item, target

HIDE = """(value) => {
    Object.defineProperty(document, "hidden", { configurable: true, value });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_an_event_is_seen_within_a_second_of_being_published(site: Site, window: Window) -> None:
    for attempt in range(5):
        name = f"SN 2026 {attempt} {uuid.uuid4().hex[:6]}"
        assert not item(window, name).count()
        site.share(TargetShared(tom=TOM, target=target(name)))
        began = time.monotonic()
        item(window, name).wait_for()

        assert time.monotonic() - began < 1.0
        assert window.page.locator("#event-list .event").first.inner_text().startswith("target")


def test_a_hostile_name_is_shown_as_text_everywhere(site: Site, window: Window) -> None:
    link = window.page.get_by_role("link", name=SHOWN)
    expect(link.first).to_be_visible()
    assert window.page.locator("#event-list img, #event-list script, #event-list b").count() == 0
    assert "<script>alert(2)</script>" in item(window, SHOWN).first.inner_text()
    link.first.click()
    page = window.page

    expect(page.get_by_role("heading", level=1)).to_have_text(SHOWN)
    expect(page.locator("#shared-count")).to_have_text("1 event")
    expect(page.get_by_label("Target name or alias")).to_have_value(re.compile("<img src=x onerror"))
    assert page.title().startswith(SHOWN)
    assert page.locator("main img, main script").count() == 0


def test_what_comes_while_the_list_is_paused_waits(site: Site, window: Window) -> None:
    name = f"SN 2026 waits {uuid.uuid4().hex[:6]}"
    window.page.locator("#pause").click()
    site.share(TargetShared(tom=TOM, target=target(name)))
    expect(window.page.locator("#missed")).to_have_text("paused: 1 event waiting")
    assert not item(window, name).count()
    window.page.locator("#pause").click()

    expect(item(window, name)).to_be_visible()


def test_a_window_that_nobody_looks_at_takes_no_place(site: Site, window: Window) -> None:
    page, name = window.page, f"SN 2026 unseen {uuid.uuid4().hex[:6]}"
    with page.expect_event("requestfailed", lambda request: "/events" in request.url):
        page.evaluate(HIDE, True)
    site.share(TargetShared(tom=TOM, target=target(name)))
    page.wait_for_timeout(500)
    assert not item(window, name).count()
    page.evaluate(HIDE, False)

    expect(item(window, name)).to_be_visible()
