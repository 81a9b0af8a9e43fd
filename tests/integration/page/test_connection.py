"""What a window does when its page is restarted, refused or cut off; the page is served by this process, without a broker."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Route, expect

from bridge.demo.ports import free_port
from bridge.observe.page.app import make_app
from bridge.observe.page.server import PageServer
from bridge.observe.page.state import State
from bridge.observe.page.streams import Streams
from tests.support.browser import Window, open_window
from tests.support.live_page import item
from tests.unit.observe.page.pages import make_state
from tests.unit.observe.page.seen import consumed, record, shared


@contextmanager
def serving(state: State, *, port: int = 0, **more: Any) -> Iterator[str]:
    streams = Streams(state, **more)
    with PageServer(lambda _is_loopback: make_app(state=state, streams=streams), host="127.0.0.1", port=port) as server:
        yield server.url
        streams.close()


def saw(state: State, *names: str) -> None:
    for name in names:
        state.saw(consumed(record(shared(name)), state.journal.newest().number))


def names(window: Window) -> list[str]:
    return window.page.locator("#event-list .event-name").all_inner_texts()


def live(window: Window) -> None:
    expect(window.page.locator("#connection")).to_have_text("live, reading history")


def test_after_a_restart_everything_is_shown_once(browser: Browser) -> None:
    """The new life counts from 1 again: the numbers of the old one mean nothing to it."""
    port, before, after = free_port(), make_state(), make_state()
    saw(before, "old 1", "old 2")
    saw(after, "new 1", "new 2", "new 3")
    with serving(before, port=port) as url:
        opened = open_window(browser, url)
        window = opened.__enter__()
        live(window)
        saw(before, "old 3")
        expect(item(window, "old 3")).to_be_visible()
    with serving(after, port=port):
        expect(item(window, "new 3")).to_be_visible()
        live(window)
        saw(after, "new 4")
        expect(item(window, "new 4")).to_be_visible()

        assert names(window) == ["new 4", "new 3", "new 2", "new 1"]
        opened.__exit__(None, None, None)


def test_what_comes_while_the_list_is_loaded_anew_is_shown_once(browser: Browser) -> None:
    """The answer and the stream both tell of it, in either order, and the answer comes late."""
    state = make_state()
    saw(state, "A")
    with serving(state) as url, open_window(browser, url) as window:
        live(window)
        held: list[Route] = []
        window.page.route("**/api/overview", lambda route: held.append(route))  # noqa: PLW0108  it asks for its signature
        window.page.route("**/events?*", lambda route: route.continue_(url=f"{url}events"))  # a stream that knows no mark
        hide(window)
        wait_for_route(window, held)
        saw(state, "B")
        answer = held[0].fetch()
        saw(state, "C")
        window.page.wait_for_timeout(500)
        held[0].fulfill(response=answer)
        expect(item(window, "C")).to_be_visible()
        saw(state, "D")
        expect(item(window, "D")).to_be_visible()

        assert names(window) == ["D", "C", "B", "A"]
        assert window.complaints == []


def hide(window: Window) -> None:
    """Have the window look away and back, so that it opens another stream."""
    for value in ("true", "false"):
        window.page.evaluate(
            f"""() => {{
                Object.defineProperty(document, "hidden", {{ configurable: true, value: {value} }});
                document.dispatchEvent(new Event("visibilitychange"));
            }}"""
        )


def wait_for_route(window: Window, held: list[Route]) -> None:
    for _ in range(100):
        window.page.wait_for_timeout(50)
        if held:
            return
    pytest.fail("the list is not loaded anew")


def test_too_many_who_watch_are_told_so(browser: Browser) -> None:
    state = make_state()
    with serving(state, most=0) as url, open_window(browser, url) as window:
        expect(window.page.locator("#connection")).to_have_text("too many watch: refreshed every 10 s")


@pytest.mark.parametrize("status", [502, 503])
def test_what_stands_between_and_fails_is_not_taken_for_too_many(browser: Browser, status: int) -> None:
    state = make_state()
    with serving(state) as url, open_window(browser, url) as window:
        live(window)
        window.page.route("**/events*", lambda route: route.fulfill(status=status, body="a proxy's own page"))
        hide(window)
        expect(window.page.locator("#connection")).to_have_text(f"not live (status {status}): refreshed every 10 s")
        window.page.unroute("**/events*")
        live(window)


def test_an_answer_that_fails_is_asked_for_again_and_the_window_says_how_it_stands(browser: Browser) -> None:
    state = make_state()
    with serving(state) as url, open_window(browser, f"{url}target?name=A") as window:
        expect(window.page.locator("#connection")).to_have_text("live")
        failing = threading.Event()
        failing.set()
        window.page.route("**/api/target*", lambda route: route.abort() if failing.is_set() else route.continue_())
        state.dossiers.saw(sighting_of("A"))
        expect(window.page.locator("#connection")).to_have_text("no connection, trying again")
        failing.clear()
        expect(window.page.locator("#connection")).to_have_text("live")


def sighting_of(name: str) -> Any:
    from tests.unit.observe.page.seen import sighting

    return sighting(shared(name))


@pytest.mark.parametrize(
    ("consumer", "words"),
    [
        ({"lag": 10, "lag_is_least": True, "begun": True}, "at least 10 records behind"),
        ({"lag": 10, "lag_is_least": False, "begun": True}, "10 records behind"),
        ({"lag": 0, "lag_is_least": True, "begun": True}, "up to date where it has committed anything"),
        ({"lag": 0, "lag_is_least": False, "begun": True}, "up to date"),
        ({"lag": 3, "lag_is_least": True, "begun": False}, "has not committed anything yet: at least 3 records wait"),
        ({"lag": None, "lag_is_least": True, "begun": False}, "has not committed anything yet"),
    ],
)
def test_how_far_a_consumer_is_behind_is_said_as_far_as_it_is_known(
    browser: Browser, consumer: dict[str, Any], words: str
) -> None:
    state = make_state()
    row = {"topic": "t", "partition": 0, "committed": None, "end": 9, "lag": None, "lost": 0}
    about = {"name": "not-my-tom", "title": "", "group": "g", "problem": "", "replicas": [], "moved_seconds": None, "lost": 0}
    state.note_consumer(about | {"partitions": [row]} | consumer)
    with serving(state) as url, open_window(browser, url) as window:
        expect(window.page.locator("#consumers .state")).to_have_text(words)
        assert window.complaints == []


def test_a_dead_letter_about_a_name_that_was_cut_is_no_link(browser: Browser) -> None:
    from tests.unit.observe.page.test_letters import letter

    state = make_state()
    for number, name in enumerate(("x" * 600, "SN 2026abc")):
        state.saw_letter("share-stream:dead", consumed(letter(number, of=record(shared(name))), number, topic="dead"))
    with serving(state) as url, open_window(browser, url) as window:
        window.page.get_by_text("The newest").click()
        expect(window.page.locator(".letters a")).to_have_text("SN 2026abc")
        assert json.loads(state.overview())["letters"][0]["newest"][1]["about"]["linked"] is False
