"""The Python interface: loops over events, publishing, and the page that describes both, whose code runs here."""

import logging
import random
import re
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import bridge
from bridge.codecs import native
from bridge.codecs.record import Record
from bridge.errors import Misconfigured, Poison
from bridge.events import ListMember, TargetListShared, TomIdentity
from bridge.kafka.connection import Connection
from bridge.kafka.embedded import EmbeddedBroker
from bridge.kafka.publisher import Publisher
from bridge.observe.sightings import Unreadable
from bridge.schemas import example_events
from bridge.subscribing import Events, read_config
from tests.support.hermes_corpus import CASES
from tests.support.kafka import ApacheKafka

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
EXAMPLES = list(example_events().values())


@pytest.fixture
def config(broker: EmbeddedBroker) -> dict[str, Any]:
    return {"DATA_SHARING": {"share-stream": {"BASE_URL": broker.url, "USER_TOPICS": ["tom.shares"]}}}


@pytest.fixture
def place(config: dict[str, Any], topic: str) -> str:
    config["DATA_SHARING"]["share-stream"]["USER_TOPICS"].append(topic)
    return f"share-stream:{topic}"


@pytest.fixture
def subscribed(config: dict[str, Any], place: str) -> Iterator[Callable[..., Events]]:
    """Subscribe to the test's topic; what is still open at its end is closed."""
    made: list[Events] = []

    def subscribe(**about: Any) -> Events:
        made.append(bridge.subscribe(place, config=config, **{"start": "earliest", "drain": True, **about}))
        return made[-1]

    yield subscribe
    for events in made:
        events.close()


def test_what_is_published_comes_in_a_loop(config: dict[str, Any], place: str, subscribed: Callable[..., Events]) -> None:
    assert bridge.publish(place, EXAMPLES, config=config) == 5

    assert sorted(subscribed(), key=lambda event: event.id) == sorted(EXAMPLES, key=lambda event: event.id)


def test_a_body_becomes_an_event_that_is_made_now(
    config: dict[str, Any], place: str, subscribed: Callable[..., Events]
) -> None:
    before = datetime.now(UTC)
    body = TargetListShared(tom=TomIdentity(name="My TOM", url="https://my-tom.org"), name="a", members=(ListMember(name="b"),))
    bridge.publish(place, (body for _ in range(2)), config=config)
    one, other = subscribed()

    assert one.body == other.body == body
    assert one.id != other.id
    assert before <= one.time <= datetime.now(UTC)


def test_nothing_is_published_if_one_is_too_large(
    config: dict[str, Any], place: str, subscribed: Callable[..., Events]
) -> None:
    large = EXAMPLES[0].body.model_copy(update={"message": "x" * 1_000_000})
    with pytest.raises(Poison, match="nothing was published"):
        bridge.publish(place, [EXAMPLES[0], large], config=config)

    assert list(subscribed()) == []


def test_a_filter_is_a_text_or_was_made_before(config: dict[str, Any], place: str, subscribed: Callable[..., Events]) -> None:
    bridge.publish(place, EXAMPLES, config=config)
    text = 'bandpass = "g" and type = reduced_datums'
    [one], [other] = subscribed(where=text), subscribed(where=bridge.Where.parse(text))

    assert one == other
    assert [datum.limit for datum in one.body.datums] == [20.5]


def test_a_live_loop_waits_for_more_and_goes_on_after_an_interrupt(
    config: dict[str, Any], place: str, subscribed: Callable[..., Events]
) -> None:
    events = subscribed(start="latest", drain=False)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a process that was started in the background ignores it
    try:
        threading.Timer(0.5, signal.raise_signal, [signal.SIGINT]).start()
        with pytest.raises(KeyboardInterrupt):
            next(events)
    finally:
        signal.signal(signal.SIGINT, before)
    bridge.publish(place, EXAMPLES[:2], config=config)

    assert {next(events).id, next(events).id} == {event.id for event in EXAMPLES[:2]}


def test_an_interrupt_at_any_moment_loses_no_event_and_repeats_none(
    config: dict[str, Any], place: str, subscribed: Callable[..., Events]
) -> None:
    """What does this test do? It interrupts a loop some thirty times, wherever it is just then.

    How does it accomplish this? By a timer as short as an event takes. It strikes only within `Events`: in the test's own lines
    an event would be lost by the test.
    """
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201  shown if it fails
    body = EXAMPLES[0].body
    published = [native.new_event(body, now=datetime.now(UTC)) for _number in range(300)]
    bridge.publish(place, published, config=config)
    events, found, interrupts, dice = subscribed(), [], 0, random.Random(seed)
    before = signal.signal(signal.SIGALRM, interrupt_within_events)
    try:
        while True:
            if interrupts < 30:
                signal.setitimer(signal.ITIMER_REAL, dice.uniform(1e-6, 6e-4))
            try:
                event = next(events)
            except KeyboardInterrupt:
                interrupts += 1
                event = next(events, None)
            except StopIteration:
                break
            if event is not None:
                found.append(event.id)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert interrupts > 10
    assert Counter(found) == Counter(event.id for event in published)


def interrupt_within_events(_signal: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code is Events.__next__.__code__:
            raise KeyboardInterrupt
        frame = frame.f_back


def test_what_a_callback_raises_ends_a_loop_and_the_next_one_goes_on_behind_it(
    connection: Connection, topic: str, subscribed: Callable[..., Events]
) -> None:
    Publisher(connection).publish(topic, [Record(key=b"k", value=b"{", headers=()), native.encode(EXAMPLES[0])])

    def refuse(seen: Unreadable) -> None:
        raise LookupError(seen.reason)

    events = subscribed(on_unreadable=refuse)
    with pytest.raises(LookupError, match="no_headers"):
        list(events)

    assert list(events) == [EXAMPLES[0]]


def test_a_closed_subscription_ends(config: dict[str, Any], place: str, subscribed: Callable[..., Events]) -> None:
    bridge.publish(place, EXAMPLES, config=config)
    with subscribed(drain=False) as events:
        next(events)
    events.close()

    assert list(events) == []


def test_a_hermes_message_comes_as_its_events_and_what_is_unreadable_is_told(
    connection: Connection, topic: str, subscribed: Callable[..., Events], caplog: pytest.LogCaptureFixture
) -> None:
    garbage = Record(key=None, value=b"\x1b[2J", headers=())
    Publisher(connection).publish(topic, [CASES["normal_form"].record, garbage])
    told: list[Unreadable] = []
    events = list(subscribed(on_unreadable=told.append))
    with caplog.at_level(logging.WARNING, logger="bridge"):
        assert list(subscribed()) == events

    assert events
    assert {event.source for event in events} == {f"kafka://{connection.bootstrap}/{topic}"}
    assert [each.reason for each in told] == ["no_headers"]
    assert "not a share event" in caplog.text
    assert caplog.messages[-1].isprintable()


def test_a_row_is_a_datum(config: dict[str, Any], place: str, subscribed: Callable[..., Events]) -> None:
    bridge.publish(place, EXAMPLES, config=config)
    rows = list(bridge.rows(subscribed()))

    assert len(rows) == 3 + 5 + 2
    assert len({row["datum"] for row in rows}) == 1 + 5 + 2
    assert next(bridge.rows(EXAMPLES[0]))["target"] == "SN 2024abc"


def test_the_settings_are_where_the_command_line_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '[DATA_SHARING.share-stream]\nBASE_URL = "kafka://localhost/"\n'
    for name in ("bridge.toml", "other.toml", "third.toml"):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOM_BRIDGE_CONFIG", raising=False)
    by_default = read_config(None)
    monkeypatch.setenv("TOM_BRIDGE_CONFIG", str(tmp_path / "other.toml"))

    assert by_default.origin == "bridge.toml"
    assert read_config(None).origin == str(tmp_path / "other.toml")
    assert read_config("third.toml").origin == read_config(Path("third.toml")).origin == "third.toml"
    assert read_config(by_default) is by_default


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({}, "expected {'DATA_SHARING': {...}}"),
        ({"share-stream": {"BASE_URL": "kafka://localhost/"}}, "not 'share-stream'"),
        ({"DATA_SHARING": {"share-stream": {"BASE_URL": "kafka://localhost/", "USER_TOPIC": []}}}, "did you mean USER_TOPICS?"),
        ({"DATA_SHARING": {"share-stream": {"BASE_URL": "https://my-tom.org/", "API_TOKEN": "x"}}}, "a stream is needed here"),
        ({"DATA_SHARING": {}}, "share-stream is unknown"),
        ("nowhere.toml", "nowhere.toml: cannot be read"),
    ],
)
def test_wrong_settings_are_said(config: Any, complaint: str) -> None:
    with pytest.raises(Misconfigured, match=re.escape(complaint)):
        bridge.subscribe("share-stream:tom.shares", config=config)


@pytest.mark.parametrize(("argument", "value"), [("where", "brightnes < 18"), ("start", "yesterday")])
def test_wrong_arguments_are_said(subscribed: Callable[..., Events], argument: str, value: str) -> None:
    with pytest.raises(Misconfigured, match=argument):
        subscribed(**{argument: value})


def test_the_package_names_what_it_has() -> None:
    assert set(bridge.__all__) <= set(dir(bridge))
    assert [name for name in bridge.__all__ if getattr(bridge, name) is None] == []
    with pytest.raises(AttributeError, match="no attribute 'subscibe'"):
        bridge.subscibe  # type: ignore[attr-defined]  # noqa: B018


# --- the page


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("on", ["the embedded broker", "Apache Kafka"])
def test_the_code_of_the_page_runs(
    request: pytest.FixtureRequest,
    broker: EmbeddedBroker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    on: str,
) -> None:
    url = broker.url
    if on == "Apache Kafka":
        kafka: ApacheKafka = request.getfixturevalue("apache_kafka")
        kafka.create_topic("tom.shares")
        request.addfinalizer(lambda: kafka.delete_topic("tom.shares"))
        url = f"kafka://{kafka.bootstrap}/"
    else:
        broker.create_topic("tom.shares")
    [settings], code = blocks("toml"), blocks("python")
    (tmp_path / "bridge.toml").write_text(settings.replace("kafka://localhost:9092/", url))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOM_BRIDGE_CONFIG", raising=False)
    names: dict[str, Any] = {}
    for block in code:
        exec(block.replace("kafka://localhost:9092/", url), names)
    said = capsys.readouterr().out

    assert said.startswith("2 events published\n")
    assert "tom.reduced_datums.shared.v1 https://my-tom.org/ SN 2024abc" in said
    assert "2026-11-23 04:30:00+00:00 18.31\n" in said
    assert "did you mean brightness?" in said
    assert [row[1:] for row in names["light_curve"]] == [("r", 18.31, None), ("g", None, 20.5)]
