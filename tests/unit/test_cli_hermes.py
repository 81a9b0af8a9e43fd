"""``publish`` to Hermes: what goes out is said, and what does not."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bridge import hermes_publisher, schemas
from bridge.cli import app
from bridge.codecs.native import new_event, to_structured
from bridge.errors import Away, Halt, Misconfigured
from bridge.events import ShareBody, Target, TargetShared, TomIdentity
from tests.support.hermes_server import KEY, HermesServer, hermes_server

EVENTS = schemas.example_events().values()


@pytest.fixture
def hermes() -> Iterator[HermesServer]:
    with hermes_server() as running:
        yield running


def publish(tmp_path: Path, hermes: HermesServer, *lines: str, to: str = "hermes:hermes.test", key: str = KEY) -> Result:
    config, file = tmp_path / "bridge.toml", tmp_path / "events.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")
    config.write_text(
        f'[DATA_SHARING.hermes]\nBASE_URL = "{hermes.url}"\nHERMES_API_KEY = "{key}"\nDEFAULT_AUTHORS = "A. Author"\n'
        'USER_TOPICS = ["hermes.test"]\n',
        encoding="utf-8",
    )
    return CliRunner().invoke(app, ["publish", str(file), "--to", to, "--config", str(config)])


def body(**target: object) -> ShareBody:
    tom = TomIdentity(name="My TOM", url="https://my-tom.org/")
    return TargetShared(tom=tom, target=Target.model_validate({"name": "A", "type": "SIDEREAL"} | target))


def line(shared: ShareBody) -> str:
    return to_structured(new_event(shared, now=next(iter(EVENTS)).time))


def test_every_example_goes_out_and_what_hermes_does_not_carry_is_said(tmp_path: Path, hermes: HermesServer) -> None:
    result = publish(tmp_path, hermes, *map(to_structured, EVENTS))

    sent = len([event for event in EVENTS if event.type != "tom.target_list.shared.v1"])
    assert (result.exit_code, result.stdout) == (0, f"{sent} events published to hermes:hermes.test\n")
    assert {message["topic"] for _uuid, message in hermes.published} == {"hermes.test"}
    assert {message["authors"] for _uuid, message in hermes.published} <= {
        "A. Author",
        *(event.body.authors for event in EVENTS),
    }
    assert "Hermes: product of SN 2024abc: the file" in result.stderr
    assert "target.extras.classification" in result.stderr


def test_an_event_that_hermes_cannot_carry_is_left_out_and_said(tmp_path: Path, hermes: HermesServer) -> None:
    result = publish(tmp_path, hermes, line(body(ra=1.0, dec=2.0)), line(body(name="Nowhere")))

    assert result.stdout == "1 event published to hermes:hermes.test\n"
    assert "Nowhere" in result.stderr
    assert "Hermes takes a target only with a right ascension and a declination" in result.stderr


def test_a_topic_that_is_not_used_is_refused_before_anything_is_asked(tmp_path: Path, hermes: HermesServer) -> None:
    result = publish(tmp_path, hermes, line(body(ra=1.0, dec=2.0)), to="hermes:hermes.tset")

    assert isinstance(result.exception, Misconfigured)
    assert "USER_TOPICS: hermes.tset is unknown; did you mean hermes.test?" in str(result.exception)
    assert hermes.asked == []


def test_a_refused_key_is_said_without_the_key(tmp_path: Path, hermes: HermesServer) -> None:
    result = publish(tmp_path, hermes, line(body(ra=1.0, dec=2.0)), key="wrong-canary")

    assert isinstance(result.exception, Halt)
    assert "hermes_login" in str(result.exception)
    assert "canary" not in str(result.exception) + result.output


def test_a_missing_key_is_said_before_anything_is_read(tmp_path: Path, hermes: HermesServer) -> None:
    result = publish(tmp_path, hermes, "no event at all", key="")

    assert isinstance(result.exception, Misconfigured)
    assert "[DATA_SHARING.hermes] HERMES_API_KEY: missing" in str(result.exception)


EXPOSED = "http://hermes.invalid/"
"""Plain HTTP, beyond this machine, and nobody answers there."""


def test_a_key_that_others_can_read_on_its_way_is_warned_of_before_it_is_sent(
    tmp_path: Path, hermes: HermesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hermes_publisher, "PAUSES_SECONDS", ())
    hermes.url = EXPOSED
    lines = check(tmp_path, hermes)
    published = publish(tmp_path, hermes, line(body(ra=1.0, dec=2.0)))

    said = [text for text in lines if "Hermes hermes" in text]
    assert "the login goes over plain http; use https" in said[0]
    assert "cannot be reached" in said[1]
    assert isinstance(published.exception, Away)
    assert "Hermes hermes: the login goes over plain http; use https" in published.stderr


def check(tmp_path: Path, hermes: HermesServer, **more: str) -> list[str]:
    config = tmp_path / "bridge.toml"
    entry = {"BASE_URL": hermes.url, "HERMES_API_KEY": KEY} | more
    lines = [f'{name} = "{value}"' for name, value in entry.items()]
    topics = 'USER_TOPICS = ["hermes.test", "other.topic"]'
    config.write_text("\n".join(["[DATA_SHARING.hermes]", *lines, topics]), encoding="utf-8")
    return CliRunner().invoke(app, ["check", "--config", str(config)]).output.splitlines()


def test_check_says_who_publishes_and_which_topics_are_writable(tmp_path: Path, hermes: HermesServer) -> None:
    text = "\n".join(check(tmp_path, hermes))

    assert f"{hermes.url}, login by API key, publishes as alice-1" in text
    assert "hermes:hermes.test" in text
    assert "the account may not write to it (USER_TOPICS)" in text
    assert "Writable are: hermes.test, tomtoolkit.test" in text
    assert hermes.asked == ["GET /api/v0/profile/"]


def test_check_says_what_keeps_an_account_from_publishing(tmp_path: Path, hermes: HermesServer) -> None:
    hermes.credential_name = ""
    without = "\n".join(check(tmp_path, hermes))
    refused = "\n".join(check(tmp_path, hermes, HERMES_API_KEY="wrong-canary"))

    assert "the account has no SCiMMA credential, and can publish nothing" in without
    assert "hermes_login" in refused
    assert "canary" not in without + refused
