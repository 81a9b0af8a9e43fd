"""A broker that goes away under the page: it is said, it is waited for, and it does not keep the page from ending."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from bridge.events import TargetShared
from tests.integration.page.conftest import MakeSite
from tests.support.browser import open_window
from tests.support.kafka import ApacheKafka
from tests.support.live_page import TOM, item, target


@pytest.fixture
def kafka(apache_kafka: ApacheKafka, tmp_path: Path) -> Iterator[ApacheKafka]:
    """A broker of the test's own."""
    own = ApacheKafka(tmp_path, apache_kafka.libs)
    own.start()
    yield own
    own.stop()


def test_a_broker_that_goes_away_is_said_and_waited_for(kafka: ApacheKafka, make_site: MakeSite, browser: Browser) -> None:
    site = make_site(f"kafka://{kafka.bootstrap}/", kafka.create_topic)
    site.share(TargetShared(tom=TOM, target=target("before")))
    with open_window(browser, site.url) as window:
        expect(item(window, "before")).to_be_visible()
        kafka.kill()
        expect(window.page.locator("#trouble")).to_be_visible(timeout=30_000)
        kafka.start()
        expect(window.page.locator("#trouble")).to_be_hidden(timeout=60_000)
        site.share(TargetShared(tom=TOM, target=target("after")))
        expect(item(window, "after")).to_be_visible(timeout=30_000)
        expect(window.page.locator("#event-list .event")).to_have_count(2)
        assert window.complaints == []


def test_the_page_ends_soon_though_the_broker_is_away_and_many_look(
    kafka: ApacheKafka, make_site: MakeSite, browser: Browser
) -> None:
    """Every thread that asks the broker is in a question by then, for the newest target, too; each question takes seconds."""
    site = make_site(f"kafka://{kafka.bootstrap}/", kafka.create_topic)
    with open_window(browser, site.url) as overview, open_window(browser, site.target("A")) as first:
        expect(first.page.locator("#shared-count")).to_contain_text("Nothing was shared")
        kafka.kill()
        expect(overview.page.locator("#trouble")).to_be_visible(timeout=30_000)
        with open_window(browser, site.target("B")) as second:
            expect(second.page.locator("#connection")).to_have_text("live")
            began = time.monotonic()
            code = site.serving.stop()
            seconds = time.monotonic() - began

    assert (code, seconds < 4.5) == (0, True), (seconds, site.serving.log)
