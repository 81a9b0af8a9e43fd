"""What the emitter makes of a TOM's settings.py: every mistake is named, with what to do about it, and without secrets."""

from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings

from bridge.emitter.configuration import (
    is_hub,
    is_stream,
    read_configuration,
    read_problems,
    runs_relay_in_web_process,
)  # fmt: skip
from bridge.emitter.ways import login_problems
from bridge.errors import Misconfigured

STREAM = {"BASE_URL": "kafka://127.0.0.1:9092/", "USER_TOPICS": ["tom.shares"], "SOURCE_URL": "https://my-tom.org"}
PLAIN_TOM = {"BASE_URL": "https://other.org/", "USERNAME": "u", "PASSWORD": "p", "A_KEY_OF_THEIR_OWN": 1}


@pytest.fixture(scope="module", autouse=True)
def _django() -> None:
    if not settings.configured:
        settings.configure()


def tom(stream: dict[str, Any] | None = None, **more: Any) -> Any:
    sharing = {"other-tom": PLAIN_TOM} | ({} if stream is None else {"share-stream": stream})
    return override_settings(**{"TOM_NAME": "My TOM", "DATA_SHARING": sharing} | more)


def test_a_stream_is_read_with_this_toms_name_and_address() -> None:
    with tom(STREAM):
        stream = read_configuration().streams["share-stream"]

    assert (stream.tom.name, stream.tom.url) == ("My TOM", "https://my-tom.org/")
    assert stream.destination("tom.shares") == "share-stream:tom.shares"


@pytest.mark.parametrize(
    ("stream", "more", "said"),
    [
        ({**STREAM, "SOURCE_URL": ""}, {}, "[DATA_SHARING.share-stream] SOURCE_URL: missing"),
        (STREAM, {"TOM_NAME": "TOM Toolkit"}, "TOM_NAME: still 'TOM Toolkit'"),
        (STREAM, {"TOM_NAME": "x" * 101}, "at most 100 characters"),
        ({**STREAM, "EMIT": "all"}, {}, "EMIT_GROUPS: missing"),
        ({**STREAM, "EMIT": "all", "EMIT_GROUPS": ["Public"], "USER_TOPICS": []}, {}, "USER_TOPICS: missing"),
        ({**STREAM, "EMITT": "all"}, {}, "EMITT is unknown; did you mean EMIT?"),
        ({**STREAM, "EMIT": "sometimes"}, {}, "EMIT"),
        ({**STREAM, "USERNAME": "me"}, {}, "USERNAME and PASSWORD go together"),
        (STREAM, {"TOM_BRIDGE": {"QUIET_SECONDS": -1}}, "TOM_BRIDGE QUIET_SECONDS"),
        (STREAM, {"TOM_BRIDGE": {"QUIET": 1}}, "TOM_BRIDGE QUIET"),
    ],
)
def test_a_mistake_is_named(stream: dict[str, Any], more: dict[str, Any], said: str) -> None:
    with tom(stream, **more):
        problems = read_problems()

    assert len(problems) == 1
    assert said in problems[0]


def test_a_login_that_only_another_account_has_is_no_mistake_of_the_settings() -> None:
    with tom({**STREAM, "BASE_URL": "kafka://broker.example.org/"}):
        assert read_problems() == []
        assert "ALLOW_PLAINTEXT" in login_problems()[0]


def test_a_relay_is_not_started_on_a_mistake() -> None:
    with tom({**STREAM, "SOURCE_URL": ""}, TOM_BRIDGE={"RELAY_IN_WEB_PROCESS": True}):
        assert not runs_relay_in_web_process()
    with tom(STREAM, TOM_BRIDGE={"RELAY_IN_WEB_PROCESS": True}):
        assert runs_relay_in_web_process()


def test_all_mistakes_are_named_at_once() -> None:
    with tom({**STREAM, "SOURCE_URL": ""}, TOM_BRIDGE={"QUIET": 1}), pytest.raises(Misconfigured) as caught:
        read_configuration()

    assert len(str(caught.value).splitlines()) == 2


def test_no_secret_is_in_what_is_said() -> None:
    with tom({**STREAM, "USERNAME": "me", "PASSWORD": "canary-secret", "EMIT": "nonsense"}):
        assert "canary-secret" not in "\n".join(read_problems())


def test_what_is_wrong_with_ordinary_toms_is_not_the_emitters_business() -> None:
    with tom():
        assert read_problems() == []
        assert not read_configuration().streams


@pytest.mark.parametrize(
    ("destination", "expected"),
    [("share-stream:tom.shares", True), ("share-stream", True), ("other-tom", False), ("nobody:x", False), ("", False)],
)
def test_streams_are_told_from_other_destinations(destination: str, expected: bool) -> None:
    with tom(STREAM):
        assert is_stream(destination) is expected


@pytest.mark.parametrize(
    ("destination", "offered"),
    [("share-stream:tom.shares", True), ("share-stream:other", False), ("share-stream", False), ("other-tom", False)],
)
def test_only_topics_that_the_stream_names_are_offered(destination: str, offered: bool) -> None:
    with tom(STREAM):
        assert (read_configuration().stream_of(destination) is not None) is offered


def test_a_stream_that_names_no_topics_takes_any() -> None:
    with tom({**STREAM, "USER_TOPICS": []}):
        assert read_configuration().stream_of("share-stream:whatever") is not None


@pytest.mark.parametrize("hub", [True, False])
def test_a_tom_is_a_hub_if_one_of_its_streams_says_so(hub: bool) -> None:
    with tom({**STREAM, "HUB": hub}):
        assert is_hub() is hub


HERMES = {"BASE_URL": "https://hermes.lco.global/", "HERMES_API_KEY": "k", "DATA_CONVERTER_CLASS": "a.b.C"}


def test_hermes_is_a_stream_once_it_has_this_toms_address() -> None:
    """Without it, nothing changes for a TOM that shares with Hermes by TOM Toolkit's own means."""
    with tom(HERMES):
        assert not is_stream("share-stream:hermes.test")
        assert read_configuration().streams == {}
    with tom({**HERMES, "SOURCE_URL": "https://my-tom.org"}):
        assert is_stream("share-stream:hermes.test")
        assert read_configuration().streams["share-stream"].entry.BASE_URL == "https://hermes.lco.global/"
        assert login_problems() == []


def test_a_hermes_key_that_others_can_read_on_its_way_is_said() -> None:
    with tom({**HERMES, "SOURCE_URL": "https://my-tom.org", "BASE_URL": "http://hermes.example.org/"}):
        assert read_problems() == []
        assert login_problems() == ["[DATA_SHARING.share-stream] BASE_URL: the login goes over plain http; use https"]


def test_a_hermes_key_that_is_missing_is_said() -> None:
    with tom({**HERMES, "SOURCE_URL": "https://my-tom.org", "HERMES_API_KEY": ""}):
        assert read_problems() == []
        (problem,) = login_problems()
        assert problem.startswith("[DATA_SHARING.share-stream] HERMES_API_KEY: missing; Hermes shows it on the profile page")
