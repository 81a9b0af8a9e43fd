"""Pages that are served over a real broker, and a window of a real browser."""

import uuid
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect

from bridge.codecs.record import Record
from bridge.events import TargetShared
from bridge.kafka.connection import connect_settings
from bridge.settings import StreamEntry
from tests.support.browser import Window, open_window
from tests.support.live_page import TOM, Serving, Site, light_curve, target
from tests.support.publishing import publisher_to

MakeSite = Callable[..., Site]
HOSTILE = '<img src=x onerror="alert(1)"> \u202egnp.exe \x07\x1b[31m\u200b\u180e\U000e0041 שלום'
SHOWN = '<img src=x onerror="alert(1)"> \\u202egnp.exe \\u0007\\u001b[31m\\u200b\\u180e\\u{e0041} שלום'
"""A name, and what is to be seen of it."""


@pytest.fixture(scope="package")
def make_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeSite]:
    serving: list[Serving] = []

    def make(url: str, create_topic: Callable[[str], None], *arguments: str) -> Site:
        home, name = tmp_path_factory.mktemp("page"), uuid.uuid4().hex[:8]
        topic, letters = f"shares.{name}", f"shares.{name}.dead-letters"
        for each in (topic, letters):
            create_topic(each)
        (home / "bridge.toml").write_text(
            f"""\
[DATA_SHARING.share-stream]
DISPLAY_NAME = "Our share stream"
BASE_URL = "{url}"
USER_TOPICS = ["{topic}", "{letters}"]

[DATA_SHARING.not-my-tom]
DISPLAY_NAME = "Not My TOM"
BASE_URL = "https://not-my-tom.org/"
PASSWORD = "${{NOT_HERE}}"

[consumers.not-my-tom]
subscribe = ["share-stream:{topic}"]
accept_sources = ["https://my-tom.org/"]
dead_letters = "share-stream:{letters}"
group_id = "group.{name}"
""",
            encoding="utf-8",
        )
        serving.append(Serving(home, "--http", "127.0.0.1:0", *arguments))
        connection = connect_settings("share-stream", StreamEntry(BASE_URL=url))
        return Site(serving[-1].url, topic, letters, f"group.{name}", connection, publisher_to(url), serving[-1])

    yield make
    try:
        codes = [each.stop() for each in serving]
    finally:
        for each in serving:
            each.kill()
    assert codes == [0] * len(codes), [each.log for each in serving]
    assert [
        line for each in serving for line in each.log.splitlines() if '"level": "error"' in line or "Traceback" in line
    ] == []


@pytest.fixture(scope="package")
def site(broker: tuple[str, Callable[[str], None]], make_site: MakeSite) -> Site:
    """One page for most tests."""
    found = make_site(*broker)
    found.share(
        TargetShared(tom=TOM, target=target("SN 2026abc", aliases=("AT 2026abc",), primary_key=4, extras={"redshift": "0.1"}))
    )
    found.share(*light_curve("SN 2026abc"))
    found.share(TargetShared(tom=TOM, target=target(HOSTILE), title="<script>alert(2)</script>", submitter="\x1b]0;x\x07"))
    found.publisher.publish(found.topic, [Record(key=b"x", value=b"<b>no event</b>", headers=())])
    return found


@pytest.fixture
def window(browser: Browser, site: Site) -> Iterator[Window]:
    with open_window(browser, site.url) as found:
        expect(found.page.locator("#connection")).to_have_text("live")
        yield found
        assert found.complaints == []
        assert [address for address in found.asked if not address.startswith(site.url)] == []
