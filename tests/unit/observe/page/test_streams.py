"""Server-sent events: what comes is told, in order, to so many and no more."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from bridge.observe.page import streams as module
from bridge.observe.page.state import State
from bridge.observe.page.streams import Streams
from tests.unit.observe.page.pages import make_state, make_streams
from tests.unit.observe.page.seen import consumed, datums, record, shared, sighting


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TURN_SECONDS", 0.01)
    monkeypatch.setattr(module, "GATHER_SECONDS", 0.01)


def saw(state: State, *names: str) -> None:
    for offset, name in enumerate(names):
        state.saw(consumed(record(shared(name)), offset))


def messages(streams: Streams, count: int, *, after: str | None = None, target: str = "") -> list[tuple[str, str, Any]]:
    """Return so many messages of a stream: id, event and data; from the first event on, if nothing else is said."""
    after = streams.mark(0) if after is None else after
    stream = streams.open(after=after, target=target, is_gone=lambda: False)
    assert stream is not None
    found: list[tuple[str, str, Any]] = []
    while len(found) < count:
        text = next(stream).decode()
        assert text.endswith("\n\n")
        fields = dict(line.split(": ", 1) for line in text.strip().split("\n"))
        if "event" in fields:
            found.append((fields.get("id", ""), fields["event"], json.loads(fields["data"])))
    stream.close()
    return found


def test_events_are_told_in_their_order_with_a_number_to_go_on_from() -> None:
    state = make_state()
    streams = make_streams(state)
    saw(state, "A", "B")
    (number, event, data), *_ = messages(streams, 1)

    assert (event, [each["target"] for each in data["events"]], data["missed"]) == ("shared", ["A", "B"], 0)
    saw(state, "C")
    [(_, _, data)] = messages(streams, 1, after=number)
    assert [each["target"] for each in data["events"]] == ["C"]


def test_the_overview_is_told_too() -> None:
    state = make_state(title="Ours")

    assert {event for _number, event, _data in messages(make_streams(state), 1)} == {"overview"}


def test_more_than_fit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_AT_ONCE", 3)
    state = make_state()
    saw(state, *(f"T{number}" for number in range(10)))
    [(_, _, data)] = messages(make_streams(state), 1)

    assert ([each["target"] for each in data["events"]], data["missed"]) == (["T7", "T8", "T9"], 7)


@pytest.mark.parametrize("after", ["12345678-1", "1", "x", "", "-1", "1e3", "²", "9" * 5000])
def test_who_knows_a_number_of_an_earlier_life_is_told_to_begin_anew(after: str) -> None:
    """A bare number is none of this life either: after a restart it would be taken for one of the new count."""
    state = make_state()
    saw(state, "A")

    assert messages(make_streams(state), 1, after=after)[0][1] == "anew"


@pytest.mark.parametrize("number", ["", "9", "x", "²", "-1", "9" * 5000])
def test_a_number_that_this_life_has_not_counted_is_told_to_begin_anew(number: str) -> None:
    state = make_state()
    streams = make_streams(state)
    saw(state, "A")
    life = streams.mark(0).removesuffix("0")

    assert messages(streams, 1, after=f"{life}{number}")[0][1] == "anew"


def test_what_comes_after_somebody_was_told_to_begin_anew_is_told_whenever_they_ask() -> None:
    state = make_state()
    streams = make_streams(state)
    stream = streams.open(after="", target="", is_gone=lambda: False)
    assert stream is not None
    assert next(stream) == b"retry: 2000\n\n"
    assert next(stream).startswith(b"event: anew")
    saw(state, "A")  # before the browser has asked, or after it

    assert b'"target": "A"' in next(stream)


def test_a_target_page_hears_that_something_has_changed() -> None:
    state = make_state()
    streams = make_streams(state)
    dossier = state.dossiers.of("SN 2013dx")
    first = messages(streams, 1, target="SN 2013dx")
    dossier.read(sighting(datums()))
    second = messages(streams, 1, target="SN 2013dx")

    assert [event for _number, event, _data in first + second] == ["changed", "changed"]
    assert first[0][2] != second[0][2]


def test_a_target_that_is_watched_stays_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.observe.page.dossiers.MOST_DOSSIERS", 2)
    state = make_state()
    streams = make_streams(state)
    stream = streams.open(after="", target="A", is_gone=lambda: False)
    assert stream is not None
    next(stream), next(stream)
    watched = state.dossiers.of("A")
    for number in range(5):
        state.dossiers.of(f"T{number}")
    assert state.dossiers.of("A") is watched
    stream.close()
    for number in range(5):
        state.dossiers.of(f"T{number}")

    assert state.dossiers.of("A") is not watched


def test_only_so_many_may_watch_and_a_place_is_free_again_when_one_leaves() -> None:
    streams = make_streams(make_state(), most=2)
    opened = [streams.open(after="0", target="", is_gone=lambda: False) for _ in range(3)]

    assert [stream is None for stream in opened] == [False, False, True]
    assert opened[0] is not None
    opened[0].close()
    opened[0].close()
    assert streams.count == 1
    assert streams.open(after="0", target="", is_gone=lambda: False) is not None


@pytest.mark.parametrize("target", ["", "SN 2013dx"])
@pytest.mark.parametrize("why", ["gone", "closed", "old"])
def test_a_stream_ends_when_its_browser_is_gone_when_the_page_ends_and_after_a_while(why: str, target: str) -> None:
    now = [0.0]
    streams = make_streams(make_state(), clock=lambda: now[0])
    gone: list[bool] = []
    is_gone: Callable[[], bool] = lambda: bool(gone)  # noqa: E731
    stream = streams.open(after=streams.mark(0), target=target, is_gone=is_gone)
    assert stream is not None
    assert next(stream) == b"retry: 2000\n\n"
    next(stream)
    if why == "gone":
        gone.append(True)
    elif why == "closed":
        streams.close()
    else:
        now[0] = module.STREAM_SECONDS

    with pytest.raises(StopIteration):
        next(stream)
    assert streams.open(after="0", target="", is_gone=is_gone) is None if why == "closed" else True


def test_who_watches_a_quiet_target_hears_something_now_and_then() -> None:
    now = [0.0]
    streams = make_streams(make_state(), clock=lambda: now[0])
    stream = streams.open(after="0", target="T", is_gone=lambda: False)
    assert stream is not None
    next(stream), next(stream)
    now[0] = module.PING_SECONDS

    assert next(stream).startswith(b":")
