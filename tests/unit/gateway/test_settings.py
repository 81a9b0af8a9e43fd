"""The section [gateway]: what it takes, and that no default or forgotten key opens the door."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bridge.cli import app
from bridge.cli.gateway import _require_topics
from bridge.errors import Misconfigured
from bridge.gateway.clients import Clients
from bridge.settings import Settings
from tests.unit.gateway.doubles import KEY, OTHER_KEY

ROOT = Path(__file__).parents[3]
SHARING: dict[str, Any] = {
    "share-stream": {"BASE_URL": "kafka://localhost:9092/", "USER_TOPICS": ["tom.shares", "tom.tests"]},
    "any-stream": {"BASE_URL": "kafka://localhost:9093/"},
    "my-tom": {"BASE_URL": "https://my-tom.org/", "USERNAME": "u", "PASSWORD": "p"},
}
CLIENT: dict[str, Any] = {"HERMES_API_KEY": "${KEY}", "topics": ["tom.shares"]}


def gateway(clients: Any = ..., **changed: Any) -> Settings:
    raw = {"stream": "share-stream", "clients": {"my-tom": CLIENT} if clients is ... else clients} | changed
    present = {key: value for key, value in raw.items() if value is not None}
    return Settings(origin="f.toml", sharing=SHARING, consumers={}, environment={"KEY": KEY}, gateway=present)


def client(**changed: Any) -> Settings:
    return gateway({"my-tom": {key: value for key, value in (CLIENT | changed).items() if value is not None}})


def test_a_gateway_needs_a_stream_and_a_client_with_key_and_topics() -> None:
    settings, clients = gateway().gateway()

    assert (settings.stream, settings.threads) == ("share-stream", 8)
    assert clients["my-tom"].HERMES_API_KEY.get_secret_value() == KEY
    assert clients["my-tom"].sender == "my-tom", "the client's name, if it is given no other"
    assert client(sender="My TOM").gateway()[1]["my-tom"].sender == "My TOM"
    assert list(gateway().problems()) == []


WRONG: dict[str, tuple[Settings, str]] = {
    "no section": (
        Settings(origin="f.toml", sharing=SHARING, consumers={}, environment={}),
        "f.toml: [gateway.clients.<name>]: there is none; add one for each TOM that may publish",
    ),
    "no clients": (gateway({}), "[gateway.clients.<name>]: there is none"),
    "clients that are no table": (gateway(["x"]), "[gateway.clients.<name>]: there is none"),
    "a client that is no table": (gateway({"my-tom": KEY}), "[gateway.clients.my-tom]: has to be a table of keys and values"),
    "no stream": (gateway(stream=None), "f.toml: [gateway] stream: missing; add it"),
    "an unknown stream": (gateway(stream="share-steam"), "share-steam is unknown; did you mean share-stream?"),
    "a stream that is a TOM": (gateway(stream="my-tom"), "[DATA_SHARING.my-tom]: a stream is needed here"),
    "a misspelt key": (gateway(thread=4), "f.toml: [gateway] thread: thread is unknown; did you mean threads?"),
    "a misspelt key of a client": (
        client(topic=["x"]),
        "[gateway.clients.my-tom] topic: topic is unknown; did you mean topics?",
    ),
    "no key": (client(HERMES_API_KEY=None), "[gateway.clients.my-tom] HERMES_API_KEY: missing; add it"),
    "no topics": (client(topics=[]), "[gateway.clients.my-tom] topics"),
    "a topic with its stream": (client(topics=["share-stream:tom.shares"]), "write it without the stream"),
    "a topic that the stream may not use": (
        client(topics=["tom.share"]),
        "[gateway.clients.my-tom] topics: tom.share is unknown; did you mean tom.shares?, the USER_TOPICS of share-stream",
    ),
    "a key that the environment has not": (client(HERMES_API_KEY="${NO_KEY}"), "the environment has no NO_KEY"),
    "a sender of two lines": (client(sender="a\nb"), "expected a name on one line"),
    "no threads": (gateway(threads=0), "[gateway] threads"),
    "one key for two": (
        gateway({"a": CLIENT, "b": CLIENT | {"topics": ["tom.tests"]}}),
        "[gateway.clients.b] HERMES_API_KEY: another client has it; each needs its own",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_mistakes_are_told_with_section_key_and_fix(case: str) -> None:
    settings, said = WRONG[case]

    with pytest.raises(Misconfigured) as caught:
        settings.gateway()

    assert said in str(caught.value)
    assert "canary" not in str(caught.value)
    if settings.has_gateway:
        assert list(settings.problems()) == [str(caught.value)]


@pytest.mark.parametrize(
    "key",
    [
        "", "None", "canary", "x" * 40, "ab" * 20, "canary canary canary canary", "canary-change-me-0123456789",
        "CHANGEME0123456789abcdef", "set HERMES_API_KEY value in environment", "example-canary-0123456789", "canary\u00e9" * 5,
        "canary0123456789abcdef\n",
    ],
)  # fmt: skip
def test_a_key_that_is_none_opens_no_door(key: str) -> None:
    """``None`` and the sentence are what TOMs send whose administrator has set none."""
    settings = Settings(
        origin="f.toml", sharing=SHARING, consumers={}, environment=None,
        gateway={"stream": "share-stream", "clients": {"my-tom": CLIENT | {"HERMES_API_KEY": key}}},
    )  # fmt: skip

    with pytest.raises(Misconfigured, match="HERMES_API_KEY: this is no key: make one") as caught:
        settings.gateway()

    assert "canary" not in str(caught.value)


def test_a_name_in_the_environment_that_nobody_expanded_is_no_key() -> None:
    settings = Settings(
        origin="module", sharing=SHARING, consumers={}, environment=None,
        gateway={"stream": "share-stream", "clients": {"my-tom": CLIENT | {"HERMES_API_KEY": "${MY_TOM_GATEWAY_KEY}"}}},
    )  # fmt: skip

    with pytest.raises(Misconfigured, match="this is no key"):
        settings.gateway()


def test_no_settings_and_no_client_show_a_key() -> None:
    _settings, found = client().gateway()
    clients = Clients(found)

    assert "canary" not in repr(found)
    assert "canary" not in repr(clients.of(f"Token {KEY}"))
    assert clients.of(f"Token {OTHER_KEY}") is None


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    config = tmp_path / "bridge.toml"
    config.write_text('[DATA_SHARING.s]\nBASE_URL = "kafka://localhost/"\n', encoding="utf-8")

    result = CliRunner().invoke(app, ["gateway", "--config", str(config)])

    assert isinstance(result.exception, Misconfigured)
    assert "[gateway.clients.<name>]: there is none" in str(result.exception)


@pytest.mark.parametrize("address", ["8971", "localhost", "127.0.0.1:99999"])
def test_the_command_says_what_is_no_address(address: str) -> None:
    result = CliRunner().invoke(app, ["gateway", "--http", address])

    assert isinstance(result.exception, Misconfigured)
    assert "is not HOST:PORT" in str(result.exception)


def test_the_settings_on_the_gateways_page_are_valid(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "gateway.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```toml\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
    file = tmp_path / "bridge.toml"
    file.write_text(block, encoding="utf-8")
    keys = {name: f"{number}{KEY}" for number, name in enumerate(re.findall(r"\$\{(\w+)\}", block))}

    settings = Settings.from_toml(file, keys)

    assert list(settings.problems()) == []
    assert settings.gateway()[1]


def test_the_settings_of_a_tom_on_the_gateways_page_are_python() -> None:
    page = (ROOT / "docs" / "gateway.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)

    found: dict[str, Any] = {}
    for block in blocks:
        exec(block, {}, found)  # as a TOM's settings.py does
    assert set(found["DATA_SHARING"]["hermes"]) >= {"BASE_URL", "HERMES_API_KEY"}
    assert set(found["HERMES_CONFIGURATION"]) >= {"HERMES_BASE_URL", "HERMES_API_TOKEN"}


def test_the_broker_is_asked_once_for_its_topics_however_many_are_wanted() -> None:
    asked: list[int] = []

    class Asked:
        def topics(self) -> dict[str, None]:
            asked.append(1)
            return {"tom.shares": None}

    with pytest.raises(Misconfigured, match=r"no topic tom\.a, tom\.b that this login may see"):
        _require_topics(Asked(), "share-stream", ("tom.a", "tom.b", "tom.shares"))  # type: ignore[arg-type]
    assert len(asked) == 1
