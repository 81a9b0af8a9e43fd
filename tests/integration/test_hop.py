"""hop-client's own tools on our topics, and its logins in our commands, on Apache Kafka over SASL_SSL."""

import base64
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AclOperation
from hop import Stream
from hop.io import StartPosition
from hop.models import ExternalMessage, JSONBlob
from typer.testing import CliRunner

from bridge import schemas
from bridge.cli import app
from bridge.codecs.contents import Reading
from bridge.codecs.hermes.wire import hermes_records
from bridge.codecs.native import encode, new_event, to_structured
from bridge.codecs.reading import read_record
from bridge.codecs.record import Record, header
from bridge.errors import Misconfigured, Retryable
from bridge.events import PhotometryDatum, ReducedDatumsShared, ShareEvent, Target, TomIdentity
from bridge.kafka.admin import Admin
from bridge.kafka.connection import Connection, connect_settings
from bridge.kafka.embedded import EmbeddedBroker
from bridge.kafka.publisher import Publisher
from bridge.kafka.reading import read_to_end
from bridge.settings import StreamEntry
from tests.support.hermes_corpus import CASES, as_expected
from tests.support.kafka import PLAIN_USER, ApacheKafka
from tests.support.waiting import wait_for
from tests.support.world import World, dump, target_of, unique

TWO, THREE = "2.32.4", "3.1.0"
SECRET = "canary-of-hop"
EVENTS = schemas.example_events()
CASE = CASES["normal_form"]
EXPECTED = {
    "targets": [{"name": "A", "type": "SIDEREAL", "ra": 10.5, "dec": -3.0, "epoch": 2000.0}],
    "datums": [
        {
            "target": "A", "data_type": "photometry", "timestamp": "2023-02-25T00:00:00.000000Z",
            "telescope": "x", "bandpass": "g", "brightness": 20.0, "unit": "AB mag",
        }
    ],
    "refused": [],
}  # fmt: skip
"""Of that case: JD 2460000.5 is midnight of 25 February 2023."""
names = unique("H")


@dataclass(frozen=True)
class Hop:
    """A person with hop-client, a login of ``hop auth add``, and a topic.

    Parameters
    ----------
    home
        Where hop keeps its files.
    user
        The login's name.
    kafka
        The broker.
    topic
        The topic.
    """

    home: Path
    user: str
    kafka: ApacheKafka
    topic: str

    @property
    def url(self) -> str:
        """The topic as hop writes it."""
        return f"kafka://{self.kafka.sasl_bootstrap}/{self.topic}"

    @property
    def connection(self) -> Connection:
        """The stream as the bridge reaches it with this login."""
        return connect_settings("stream", StreamEntry(BASE_URL=f"kafka://{self.user}@{self.kafka.sasl_bootstrap}/"))

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Run hop's command to its end and return what it prints."""
        return run_hop(*arguments, stdin=stdin, XDG_CONFIG_HOME=str(self.home))

    def subscribe(self) -> list[dict[str, Any]]:
        """Return what ``hop subscribe`` shows of all that is there, each line read as JSON."""
        return [json.loads(line) for line in self.run("subscribe", "-s", "EARLIEST", "-e", self.url).splitlines()]

    def records(self) -> list[Record]:
        """Return what is on the topic."""
        return [consumed.record for consumed in read_to_end(self.connection, self.topic)]

    def readings(self) -> list[Reading]:
        """Return what a consumer reads on the topic."""
        return [read(record, self.topic) for record in self.records()]

    def wait_for_right(self, topic: str, *operations: str) -> None:
        """Wait until the broker's authorizer has heard of it."""
        admin = Admin(self.connection)
        wait_for(lambda: {*operations} <= (admin.rights("topic", topic) or frozenset()), f"the right on {topic} is there")

    def file(self, name: str, text: str) -> str:
        """Write a file and return its path."""
        path = self.home / name
        path.write_text(text, encoding="utf-8")
        return str(path)


def run_hop(*arguments: str, stdin: str | None = None, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "hop", *arguments],
        env={**os.environ, **environment},
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert SECRET not in done.stdout + done.stderr
    assert done.returncode == 0, f"hop {arguments}: {done.stdout}{done.stderr}"
    return done.stdout


def read(record: Record, topic: str) -> Reading:
    return read_record(record, topic_address=f"kafka://localhost/{topic}", name_from="submitter", time=datetime.now(UTC))


def body(event: ShareEvent) -> dict[str, Any]:
    return dict(event.body.model_dump(mode="json", exclude_none=True))


def structured(event: ShareEvent) -> str:
    return to_structured(event) + "\n"


@pytest.fixture
def at_hop(apache_kafka: ApacheKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hop:
    """Somebody who has run ``hop auth add``, and may read and write one topic, and use groups that begin with their name."""
    found = Hop(home=tmp_path / "config", user=f"hop-{uuid.uuid4().hex}", kafka=apache_kafka, topic=f"hop.{uuid.uuid4().hex}")
    found.home.mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(found.home))
    apache_kafka.create_topic(found.topic)
    apache_kafka.add_user(found.user, SECRET)
    rights = [AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE_CONFIGS]
    apache_kafka.allow(found.user, topics={found.topic: rights}, group=f"{found.user}-*")
    row = f"{found.user},{SECRET},{apache_kafka.sasl_bootstrap},{apache_kafka.ca_pem}"
    found.run("auth", "add", found.file("login.csv", f"username,password,hostname,ssl_ca_location\n{row}\n"))
    found.wait_for_right(found.topic, "Read", "Write", "DescribeConfigs")
    return found


def test_hop_subscribe_shows_our_events_as_json(at_hop: Hop):
    events = list(EVENTS.values())
    Publisher(at_hop.connection).publish(at_hop.topic, map(encode, events))

    assert at_hop.subscribe() == [body(event) for event in events]


def test_hop_subscribe_shows_our_hermes_messages_as_json(at_hop: Hop):
    sent = [
        record
        for event in EVENTS.values()
        for record in hermes_records(encode(event), topic=at_hop.topic, sender=at_hop.user).records
    ]
    Publisher(at_hop.connection).publish(at_hop.topic, sent)
    shown = at_hop.subscribe()

    assert shown == [json.loads(record.value or b"") for record in sent]
    assert {message["topic"] for message in shown} == {at_hop.topic}
    assert {"photometry", "spectroscopy"} <= {table for message in shown for table in message["data"]}


def many(number: int) -> ShareEvent:
    """Return datums that cannot be compressed much."""
    datums = [
        PhotometryDatum(
            timestamp=datetime(2024, 3, 1, tzinfo=UTC) + timedelta(seconds=second), brightness=18.5, bandpass="r",
            telescope=uuid.uuid5(uuid.NAMESPACE_URL, str(second)).hex * 3, unit="AB mag",
        )
        for second in range(number)
    ]  # fmt: skip
    target = Target(name="SN 2024abc", type="SIDEREAL", ra=1.0, dec=2.0)
    tom = TomIdentity(name="My TOM", url="https://my-tom.org/")
    body = ReducedDatumsShared(tom=tom, target=target.identity(), datums=tuple(datums))
    return new_event(body, now=datetime.now(UTC))


def publish_as_hermes_does(at_hop: Hop, event: ShareEvent) -> None:
    entry = f'BASE_URL = "kafka://{at_hop.user}@{at_hop.kafka.sasl_bootstrap}/"\nFORMAT = "hermes"\n'
    config, file = at_hop.file("bridge.toml", f"[DATA_SHARING.hop]\n{entry}"), at_hop.file("events.jsonl", structured(event))
    said = CliRunner().invoke(app, ["publish", file, "--to", f"hop:{at_hop.topic}", "--config", config])
    assert (said.exit_code, said.stdout) == (0, f"1 event published to hop:{at_hop.topic}\n"), repr(said.exception)


def test_messages_of_ours_are_as_large_as_the_topic_takes(at_hop: Hop):
    at_hop.kafka.set_config(at_hop.topic, {"max.message.bytes": "20000"})
    wait_for(lambda: Admin(at_hop.connection).most_bytes(at_hop.topic) == 20_000, "the broker says what the topic takes")

    publish_as_hermes_does(at_hop, many(1000))

    records = at_hop.records()
    assert max(record.size for record in records) < 20_000
    assert sum(len(json.loads(record.value or b"")["data"]["photometry"]) for record in records) == 1000


def test_where_nobody_may_ask_what_a_topic_takes_the_default_holds(at_hop: Hop):
    at_hop.kafka.disallow(at_hop.user, topics={at_hop.topic: [AclOperation.DESCRIBE_CONFIGS]})
    wait_for(lambda: Admin(at_hop.connection).most_bytes(at_hop.topic) is None, "the right is gone")

    publish_as_hermes_does(at_hop, many(1000))

    assert len(at_hop.records()) == 1


def test_hop_publish_sends_a_hermes_message_that_a_consumer_reads(at_hop: Hop):
    message = json.loads(CASE.record.value or b"")
    at_hop.run("publish", "-f", "JSON", at_hop.url, at_hop.file("message.json", json.dumps(message, indent=2)))
    [record], [reading] = at_hop.records(), at_hop.readings()

    assert as_expected(reading) == EXPECTED
    assert header(record.headers, "_sender") == at_hop.user.encode()
    assert {event.id.bytes for event in reading.events} == {header(record.headers, "_id")}


def test_hop_publish_sends_our_events_from_files_and_lines(at_hop: Hop):
    first, *others = EVENTS.values()
    at_hop.run("publish", "-f", "JSON", at_hop.url, at_hop.file("event.json", structured(first)))
    at_hop.run("publish", "-f", "JSON", at_hop.url, stdin="".join(map(structured, others)))
    at_hop.run("publish", at_hop.url, at_hop.file("event.json", structured(first)))  # hop's default, "blob"

    assert [reading.events for reading in at_hop.readings()] == [(event,) for event in (first, *others, first)]


def test_hop_stream_reads_our_events_with_their_headers(at_hop: Hop):
    events = list(EVENTS.values())
    Publisher(at_hop.connection).publish(at_hop.topic, map(encode, events))

    with Stream(until_eos=True, start_at=StartPosition.EARLIEST).open(at_hop.url, "r") as stream:
        found = list(stream.read(metadata=True))

    assert [type(message) for message, _metadata in found] == [JSONBlob] * len(events)
    assert [message.content for message, _metadata in found] == [body(event) for event in events]
    for event, (_message, metadata) in zip(events, found, strict=True):
        headers = dict(metadata.headers)
        assert uuid.UUID(bytes=headers["_id"]) == event.id
        assert headers["ce_type"].decode() == event.type
        assert metadata.key == event.body.partition_key.encode()


def test_hop_stream_writes_what_a_consumer_reads(at_hop: Hop):
    event = EVENTS["target_sidereal"]
    message = json.loads(CASE.record.value or b"")
    with Stream().open(at_hop.url, "w") as stream:
        stream.write(message)
        stream.write(json.loads(to_structured(event)))
        stream.write(body(event), headers=dict(encode(event).headers), key=event.body.partition_key)
        stream.write(message, test=True)

    *written, test = at_hop.records()
    hermes, structured_mode, binary_mode = (read(record, at_hop.topic) for record in written)
    assert as_expected(hermes) == EXPECTED
    assert hermes.events[0].id == uuid.UUID(bytes=header(written[0].headers, "_id") or b"")
    assert structured_mode.events == binary_mode.events == (event,)
    assert header(test.headers, "_test") == b"true"


def test_hops_tools_on_the_embedded_broker(tmp_path: Path):
    """It does not answer what hop asks where it may put large messages elsewhere."""
    event = EVENTS["target_sidereal"]
    (tmp_path / "event.json").write_text(to_structured(event), encoding="utf-8")
    with EmbeddedBroker() as broker:
        broker.create_topic("tom.shares")
        url = f"{broker.url.rstrip('/')}/tom.shares"
        options = {"HOP_AUTOMATIC_OFFLOAD": "false", "XDG_CONFIG_HOME": str(tmp_path)}
        run_hop("publish", "--no-auth", "-f", "JSON", url, str(tmp_path / "event.json"), **options)
        shown = run_hop("subscribe", "--no-auth", "-s", "EARLIEST", "-e", url, **options)

    assert json.loads(shown) == json.loads(to_structured(event))


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """A server that a message names, and what it was asked for."""
    asked: list[str] = []

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/large", asked
        server.shutdown()
        thread.join()


def test_a_consumer_writes_what_hop_publishes_and_fetches_nothing(
    at_hop: Hop, world: Callable[..., World], elsewhere: tuple[str, list[str]]
):
    address, asked = elsewhere
    between = world(TWO, THREE)
    at_hop.kafka.allow(at_hop.user, topics={between.topic: [AclOperation.WRITE, AclOperation.DESCRIBE_CONFIGS]})
    at_hop.wait_for_right(between.topic, "Write", "DescribeConfigs")
    address_of_topic = StreamEntry(BASE_URL=between.stream_url).address(between.topic)
    between.consumer = {"accept_sources": [address_of_topic], "unmatched": "create"}
    name, url = next(names), f"kafka://{at_hop.kafka.sasl_bootstrap}/{between.topic}"
    message = json.loads(CASE.record.value or b"")
    for row in (message["data"]["targets"][0], message["data"]["photometry"][0]):
        row["name" if "name" in row else "target_name"] = name
    at_hop.run("publish", "-f", "JSON", url, at_hop.file("message.json", json.dumps(message)))
    with Stream().open(url, "w") as stream:
        stream.write(ExternalMessage(url=address))

    said = between.consume()
    assert (said.code, sorted(said.outcomes)) == (0, ["refused", "written"]), said

    [letter] = between.dead_letters()
    assert letter["reason"] == "hermes_format"
    assert "kept elsewhere, which is never fetched" in letter["detail"]
    assert asked == []
    assert target_of(dump(between.destination), name)["ra"] == 10.5


def test_check_says_which_login_and_what_it_may(at_hop: Hop, world: Callable[..., World]):
    between = world(TWO, THREE)
    other, closed = (f"hop.{uuid.uuid4().hex}" for _ in range(2))
    for topic, right in ((other, AclOperation.WRITE), (closed, AclOperation.DESCRIBE)):
        at_hop.kafka.create_topic(topic)
        at_hop.kafka.allow(at_hop.user, topics={topic: [right]})
        at_hop.wait_for_right(topic, right.name.title())
    settings = between.settings() | {"consumers": {}}
    settings["DATA_SHARING"] = {
        "stream": {
            "BASE_URL": f"kafka://{at_hop.user}@{at_hop.kafka.sasl_bootstrap}/",
            "USER_TOPICS": [at_hop.topic, other, closed],
        }
    }

    said = between.run("check", settings=settings)

    login = f"{at_hop.user} (hop's auth file {at_hop.home}/hop/auth.toml)"
    shown = " ".join(said.out.split())
    assert said.code == 0
    assert SECRET not in said.out + said.err
    assert f"{at_hop.kafka.sasl_bootstrap}, login: {login}" in shown
    assert f"ok topic stream:{at_hop.topic}: 1 partitions, readable and writable (USER_TOPICS)" in shown
    assert f"ok topic stream:{other}: 1 partitions, writable only (USER_TOPICS)" in shown
    assert f"topic stream:{closed}: 1 partitions, neither readable nor writable for {login} (USER_TOPICS)" in shown


def unsigned_token(user: str) -> str:
    """Return a JSON web token that the broker of our tests takes."""
    now = time.time()
    parts = ({"alg": "none"}, {"sub": user, "iat": now - 10, "exp": now + 300})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


@pytest.fixture
def endpoint() -> Iterator[tuple[str, Callable[[str], None]]]:
    """A server that gives tokens, as OpenID Connect has it, and what says to whom."""
    users: list[str] = []

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            user, _, password = base64.b64decode(self.headers["authorization"].removeprefix("Basic ")).decode().partition(":")
            given = {"access_token": unsigned_token(user), "token_type": "Bearer", "expires_in": 300}
            known = user in users and password == SECRET
            answer = json.dumps(given if known else {"error": "invalid_client"}).encode()
            self.send_response(200 if known else 401)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/token", users.append
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("kind", ["scram", "plain", "token_command", "token_endpoint"])
def test_every_login_that_hop_has_is_one_for_the_bridge(at_hop: Hop, kind: str, endpoint: tuple[str, Callable[[str], None]]):
    user = PLAIN_USER[0] if kind == "plain" else at_hop.user
    give_tokens_at, give_to = endpoint
    give_to(user)
    more = {
        "scram": f"password = '{SECRET}'",
        "plain": f"password = '{PLAIN_USER[1]}'\nmechanism = 'PLAIN'",
        "token_command": f"password = ''\ntoken_command = 'echo {unsigned_token(user)}'",
        "token_endpoint": f"password = '{SECRET}'\ntoken_endpoint = '{give_tokens_at}'",
    }[kind]
    at_hop.file("hop/auth.toml", f"[[auth]]\nusername = '{user}'\nssl_ca_location = '{at_hop.kafka.ca_pem}'\n{more}\n")
    at_hop.kafka.allow(user, topics={at_hop.topic: [AclOperation.READ, AclOperation.WRITE]})
    connection = connect_settings("stream", StreamEntry(BASE_URL=f"kafka://{user}@{at_hop.kafka.sasl_bootstrap}/"))
    admin, record = Admin(connection), encode(EVENTS["target_sidereal"])

    wait_for(lambda: {"Read", "Write"} <= (admin.rights("topic", at_hop.topic) or frozenset()), "the rights are there")
    assert Publisher(connection).publish(at_hop.topic, [record]) == 1
    assert [consumed.record for consumed in read_to_end(connection, at_hop.topic)] == [record]
    assert connection.principal == f"User:{user}"


@pytest.mark.parametrize("more", ["token_command = 'echo {}; false'", "token_endpoint = 'http://127.0.0.1:9/{}'"])
def test_a_login_by_token_without_one(at_hop: Hop, more: str):
    entry = f"[[auth]]\nusername = '{at_hop.user}'\npassword = '{SECRET}'\nssl_ca_location = '{at_hop.kafka.ca_pem}'\n"
    at_hop.file("hop/auth.toml", entry + more.format(SECRET))

    with pytest.raises(
        Retryable, match=r"no token for hop-.* \(hop's auth file .*token_command or token_endpoint gives none"
    ) as error:
        Admin(at_hop.connection).topics()
    assert SECRET not in str(error.value)


def test_a_file_that_others_may_read_is_refused_as_hop_refuses_it(at_hop: Hop):
    (at_hop.home / "hop" / "auth.toml").chmod(0o644)

    with pytest.raises(Misconfigured, match=r"mode 0644.*chmod 600"):
        _ = at_hop.connection
    with pytest.raises(RuntimeError, match="unsafe permissions"), Stream().open(at_hop.url, "r"):
        pass
