"""``tom-bridge check`` against real parts in every wrong state: each line says what is wrong and what to do."""

import shlex
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AclOperation

from bridge.check import check as run_check
from bridge.codecs.native import encode, new_event
from bridge.codecs.record import Record
from bridge.demo.ports import free_port
from bridge.events import Target, TargetShared, TomIdentity
from bridge.kafka.admin import Admin
from bridge.kafka.connection import connect_settings
from bridge.kafka.embedded import EmbeddedBroker
from bridge.settings import Settings, StreamEntry
from tests.support.kafka import ApacheKafka
from tests.support.relaying import wait_for
from tests.support.world import World, dump, seed, unique

TWO, THREE = "2.32.4", "3.1.0"
both = pytest.mark.parametrize("version", [TWO, THREE])
names = unique("C")


def check(between: World, change: Callable[[dict[str, Any]], None]) -> tuple[int, str]:
    settings = between.settings()
    change(settings)
    said = between.run("check", settings=settings)
    assert "canary" not in said.out + said.err, "a secret was shown"
    return said.code, said.out


def wrong(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.startswith("wrong"))


@both
def test_when_all_is_well(world: Callable[..., World], version: str):
    code, out = check(world(version, version), lambda _settings: None)

    assert code == 0, out
    assert f"TOM Toolkit {version[0]}.x" in out
    assert "login by session" in out if version == TWO else "login by API token" in out
    assert "all targets of this TOM" in out
    assert "Collaboration" in out


@both
def test_a_wrong_password(world: Callable[..., World], version: str):
    def change(settings: dict[str, Any]) -> None:
        settings["DATA_SHARING"]["destination"]["PASSWORD"] = "not-the-canary"

    code, out = check(world(version, version), change)

    assert code == 1
    assert "refuses the password of bridge; correct USERNAME and PASSWORD of [DATA_SHARING.destination]" in wrong(out)


def test_a_wrong_token(world: Callable[..., World]):
    def change(settings: dict[str, Any]) -> None:
        entry = settings["DATA_SHARING"]["destination"]
        settings["DATA_SHARING"]["destination"] = {"BASE_URL": entry["BASE_URL"], "API_TOKEN": "canary"}

    code, out = check(world(TWO, THREE), change)
    assert (code, "refuses the API token; make a new one" in wrong(out)) == (1, True)

    code, out = check(world(TWO, TWO), change)
    assert (code, "this TOM ignores API tokens (TOM Toolkit 2 does); give USERNAME and PASSWORD" in wrong(out)) == (1, True)


def test_closed_ports(world: Callable[..., World]):
    def change(settings: dict[str, Any]) -> None:
        settings["DATA_SHARING"]["destination"]["BASE_URL"] = f"http://127.0.0.1:{free_port()}/"
        settings["DATA_SHARING"]["stream"]["BASE_URL"] = f"kafka://127.0.0.1:{free_port()}/"

    code, out = check(world(TWO, THREE), change)

    assert code == 1
    assert "TOM destination" in wrong(out)
    assert "cannot be reached" in wrong(out)
    assert "stream stream (127.0.0.1:" in wrong(out)


def test_a_missing_topic(world: Callable[..., World]):
    def change(settings: dict[str, Any]) -> None:
        settings["consumers"]["destination"]["dead_letters"] = "stream:not.there"

    code, out = check(world(TWO, THREE), change)

    assert code == 1
    assert "create it: tom-bridge topics create stream:not.there" in wrong(out)


def test_a_misspelt_key(world: Callable[..., World]):
    def change(settings: dict[str, Any]) -> None:
        entry = settings["DATA_SHARING"]["destination"]
        entry["PASWORD"] = entry.pop("PASSWORD")
        settings["consumers"]["destination"]["acept_sources"] = ["*"]

    between = world(TWO, THREE)
    code, out = check(between, change)

    assert code == 1
    assert (
        f"bridge-{between.number}.toml: [DATA_SHARING.destination] PASWORD: PASWORD is unknown; did you mean PASSWORD?" in out
    )
    assert "[consumers.destination] acept_sources: acept_sources is unknown; did you mean accept_sources?" in out


@both
def test_an_account_that_cannot_change_a_target(world: Callable[..., World], version: str):
    between = world(TWO, version)
    name = next(names)
    seed(between.destination, {"fields": {"name": name, "type": "SIDEREAL"}, "owners": ["alice"]})
    grant = (
        "from guardian.shortcuts import assign_perm; from django.contrib.auth.models import User; "
        f"from tom_targets.models import Target; t = Target.objects.get(name={name!r}); "
        "assign_perm('tom_targets.view_target', User.objects.get(username='bob'), t)"
    )
    between.destination.manage("shell", "-c", grant)
    before = dump(between.destination)

    def change(settings: dict[str, Any]) -> None:
        users = between.destination.users
        settings["DATA_SHARING"]["destination"] |= {"USERNAME": "bob", "PASSWORD": users["bob"]}

    code, out = check(between, change)

    assert code == 1
    assert "sees but may not change" in wrong(out)
    assert "'Can view target' and 'Can change target'" in wrong(out)
    assert dump(between.destination) == before, "a check writes nothing"


@both
def test_an_account_that_sees_no_targets_at_all(world: Callable[..., World], version: str):
    between = world(TWO, version)
    seed(between.destination, {"fields": {"name": next(names), "type": "SIDEREAL"}})
    between.destination.manage(
        "shell", "-c", "from django.contrib.auth.models import User; User.objects.create_user('eve', password='eve-canary')"
    )

    def change(settings: dict[str, Any]) -> None:
        settings["DATA_SHARING"]["destination"] |= {"USERNAME": "eve", "PASSWORD": "eve-canary"}
        settings["consumers"]["destination"]["groups"] = []

    code, out = check(between, change)
    between.destination.manage(
        "shell", "-c", "from django.contrib.auth.models import User; User.objects.get(username='eve').delete()"
    )

    assert code == 0
    assert "the account sees no targets" in out
    assert "has to see and change all targets" in out


def test_a_group_that_the_account_is_not_in(world: Callable[..., World]):
    def change(settings: dict[str, Any]) -> None:
        settings["consumers"]["destination"]["groups"] = ["Collaboratoin"]

    code, out = check(world(TWO, THREE), change)

    assert code == 1
    assert "the account is in no group Collaboratoin there" in wrong(out)


class Login:
    """A SCRAM user of Apache Kafka who may do what tests allow, and a consumer's settings with that login."""

    def __init__(self, kafka: ApacheKafka, between: World) -> None:
        self._kafka = kafka
        self._between = between
        self.name = next(names)
        kafka.add_user(self.name, "canary")
        self.settings = between.settings()
        self.entry = {
            "BASE_URL": f"kafka://{kafka.sasl_bootstrap}/", "USERNAME": self.name, "PASSWORD": "canary",
            "SSL_CA_LOCATION": str(kafka.ca_pem),
        }  # fmt: skip
        self.settings["DATA_SHARING"]["stream"] = self.entry

    def check(self) -> tuple[int, str]:
        return check(self._between, lambda settings: settings.update(self.settings))

    def may(self, kind: str, name: str, operation: str, *, allowed: bool = True) -> None:
        """Allow it, or not any more, and wait until the broker's authorizer has heard of it."""
        change = self._kafka.allow if allowed else self._kafka.disallow
        if kind == "group":
            change(self.name, topics={}, group=name)
        else:
            change(self.name, topics={name: [AclOperation[operation.upper()]]})
        admin = Admin(connect_settings("stream", StreamEntry.model_validate(self.entry)))
        wait_for(lambda: (operation in (admin.rights(kind, name) or ())) == allowed, f"the right on {name} is changed")  # type: ignore[arg-type]

    def obey(self, advice: str) -> None:
        """Do what a line's command says."""
        words = shlex.split(advice[advice.index("kafka-acls.sh") :])
        options = list(zip(words[1:], [*words[2:], ""], strict=True))
        said = {name: [value for option, value in options if option == name] for name in words if name.startswith("--")}
        assert (said["--allow-principal"], "--add" in said) == ([f"User:{self.name}"], True)
        kind = "group" if "--group" in said else "topic"
        for operation in said["--operation"]:
            self.may(kind, said[f"--{kind}"][0], operation)

    def consume(self) -> tuple[int, list[str]]:
        """Publish an event and a record that becomes a dead letter, and consume them."""
        target = Target(name=next(names), type="SIDEREAL", ra=1.0, dec=2.0, primary_key=1)
        body = TargetShared(tom=TomIdentity(name="Elsewhere", url="https://elsewhere.example.org/"), target=target)
        self._between.publish(encode(new_event(body, now=datetime.now(UTC))), Record(key=None, value=b"poison", headers=()))
        said = self._between.run("consume", "destination", "--drain", settings=self.settings)
        return said.code, sorted(said.outcomes)


def test_rights_at_the_broker(world: Callable[..., World], apache_kafka: ApacheKafka):
    between = world(TWO, THREE)
    login = Login(apache_kafka, between)
    code, out = login.check()
    group = between.settings()["consumers"]["destination"]["group_id"]

    assert code == 1
    assert [line.split(": ")[0].split()[1:] for line in wrong(out).splitlines()] == [
        ["topic", f"stream:{between.topic}"],
        ["topic", f"stream:{between.dead_letter_topic}"],
        ["group", f"stream:{group}"],
        ["group", f"stream:{group}.writer"],
    ]
    assert f"{login.name} (DATA_SHARING) is not allowed Read and Write (consumer destination, dead_letters)" in wrong(out)

    for line in wrong(out).splitlines():
        login.obey(line)

    assert login.check()[0] == 0
    # What was asked for suffices, also when there are dead letters already.
    assert [login.consume() for _ in range(2)] == [(0, ["refused", "written"])] * 2
    assert login.check()[0] == 0


def test_each_right_at_the_broker_that_is_asked_for_is_needed(world: Callable[..., World], apache_kafka: ApacheKafka):
    between = world(TWO, THREE)
    login = Login(apache_kafka, between)
    group = between.settings()["consumers"]["destination"]["group_id"]
    rights = [
        ("topic", between.topic, "Read"),
        ("topic", between.dead_letter_topic, "Write"),
        ("topic", between.dead_letter_topic, "Read"),
        ("group", group, "Read"),
        ("group", f"{group}.writer", "Read"),
    ]
    for right in rights:
        login.may(*right)
    assert login.check()[0] == 0
    assert login.consume() == (0, ["refused", "written"])

    for kind, name, operation in rights:
        login.may(kind, name, operation, allowed=False)
        code, out = login.check()
        assert code == 1
        assert [line.split(": ")[0] for line in wrong(out).splitlines()] == [f"wrong   {kind} stream:{name}"]
        assert f"is not allowed {operation} (consumer destination" in wrong(out)
        assert login.consume()[0] == 1
        login.may(kind, name, operation)
    assert login.check()[0] == 0


def test_the_embedded_broker_is_not_asked_about_rights(tmp_path: Path):
    with EmbeddedBroker() as broker:
        for topic in ("tom.shares", "tom.shares.destination.dead-letters"):
            broker.create_topic(topic)
        (tmp_path / "bridge.toml").write_text(
            f'[DATA_SHARING.stream]\nBASE_URL = "{broker.url}"\nUSER_TOPICS = ["tom.shares"]\n'
            f'[DATA_SHARING.destination]\nBASE_URL = "http://127.0.0.1:{free_port()}/"\nUSERNAME = "a"\nPASSWORD = "b"\n'
            '[consumers.destination]\nsubscribe = ["stream:tom.shares"]\naccept_sources = ["https://elsewhere.example.org/"]\n'
        )
        findings = list(run_check(Settings.from_toml(tmp_path / "bridge.toml")))

    about = [finding for finding in findings if finding.what.startswith(("topic", "group"))]
    assert {(finding.what, finding.level) for finding in about} == {
        ("topic stream:tom.shares", "ok"),
        ("topic stream:tom.shares.destination.dead-letters", "ok"),
    }


@pytest.fixture
def html_server() -> Iterator[str]:
    class Page(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            page = b"<html>Welcome, this is not a TOM</html>"
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        do_GET = do_POST = do_OPTIONS = _answer

        def log_message(self, *_args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_an_address_that_is_not_a_tom(world: Callable[..., World], html_server: str):
    def change(settings: dict[str, Any]) -> None:
        settings["DATA_SHARING"]["destination"]["BASE_URL"] = html_server

    code, out = check(world(TWO, THREE), change)

    assert code == 1
    assert "is BASE_URL the address of a TOM?" in wrong(out)
