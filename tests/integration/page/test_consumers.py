"""Consumers and dead letters on the page, over a real broker; and nobody is disturbed by being looked at."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from playwright.sync_api import Browser, expect

from bridge.codecs.dead_letter import open_letters, resolution
from bridge.codecs.record import ConsumedRecord
from bridge.consumer.dead_letters import dead_letter
from bridge.consumer.outcome import refused
from bridge.demo.ports import free_port
from bridge.events import TargetShared
from bridge.health import HttpDoor
from bridge.kafka.reading import read_to_end
from bridge.kafka.subscription import Subscription
from bridge.metrics import Metrics
from tests.integration.page.conftest import MakeSite
from tests.support.browser import Window, open_window
from tests.support.live_page import TOM, target


def card(window: Window, section: str) -> Any:
    return window.page.locator(f"#{section} .card")


def test_consumers_and_dead_letters_are_shown_and_nobody_is_disturbed(
    broker: tuple[str, Callable[[str], None]], make_site: MakeSite, browser: Browser
) -> None:
    metrics, address = Metrics(destination="not-my-tom"), f"127.0.0.1:{free_port()}"
    site = make_site(*broker, "--consumer-http", f"not-my-tom={address}")
    [*records] = site.share(*(TargetShared(tom=TOM, target=target(f"T{number}")) for number in range(4)))
    revoked: list[object] = []
    member = Subscription(site.connection, topics=[site.topic], group=site.group, start="earliest", on_revoke=revoked.append)
    with open_window(browser, site.url) as window:
        expect(card(window, "consumers").locator(".state")).to_have_text("has not committed anything yet: 4 records wait")
        expect(card(window, "consumers")).to_contain_text("Not My TOM")
        expect(card(window, "consumers")).to_contain_text("does not answer")
        expect(card(window, "topics")).to_contain_text("4 records in")
        seen: list[ConsumedRecord] = []
        while len(seen) < 4:
            if (consumed := member.poll(1.0)) is not None:
                seen.append(consumed)
        member.commit({(seen[0].topic, seen[0].partition): seen[0].next_offset})
        expect(card(window, "consumers").locator(".state")).to_have_text(re.compile(r"^\d records? behind$"))
        member.commit({(each.topic, each.partition): each.next_offset for each in seen})
        expect(card(window, "consumers").locator(".state")).to_have_text("up to date")
        metrics.ended(outcome="written", reason="", seconds=1, delay_seconds=None)
        metrics.ended(outcome="refused", reason="ambiguous_target", seconds=1, delay_seconds=None)
        metrics.destination_up(up=False)
        with HttpDoor(address=address, metrics=metrics.text, alive=lambda: {"ok": True}, ready=lambda: {"ok": True}):
            expect(card(window, "consumers")).to_contain_text("the TOM is away")
            expect(card(window, "consumers").locator("tr", has_text="ambiguous_target")).to_be_visible()

        expect(card(window, "letters")).to_contain_text("none is open")
        letters = [
            dead_letter(each, refused(reason, "two targets"), destination="not-my-tom", now=datetime.now(UTC))
            for each, reason in zip(seen, ["ambiguous_target", "ambiguous_target", "<b>odd</b>"], strict=False)
        ]
        site.publisher.publish(site.letters, letters)
        expect(card(window, "letters").locator("tbody tr")).to_have_count(2)
        expect(card(window, "letters").locator("tbody tr").first).to_have_text(re.compile(r"not-my-tom\s*ambiguous_target\s*2"))
        expect(card(window, "letters").locator("tbody")).to_contain_text("<b>odd</b>")
        opened = open_letters(read_to_end(site.connection, site.letters), destination="not-my-tom")
        done = [resolution(letter, outcome="written", now=datetime.now(UTC)) for letter in opened.values()]
        site.publisher.publish(site.letters, done)
        expect(card(window, "letters")).to_contain_text("none is open")
        assert window.complaints == []
    for _ in range(20):
        assert member.poll(0.2) is None  # longer than the heartbeat that would tell of a rebalance
    assert (member.is_member, revoked, len(records)) == (True, [], 4)
    member.close()
