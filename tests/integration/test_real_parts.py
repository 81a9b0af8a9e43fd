"""The real parts that other tests stand on: Apache Kafka with SASL, restarts and ACLs, and PostgreSQL."""

import subprocess
import uuid
from pathlib import Path

import pytest
from confluent_kafka.admin import AclOperation

from bridge.codecs.record import Record
from bridge.errors import Halt
from bridge.kafka.admin import Admin
from bridge.kafka.connection import Connection, connect_settings
from bridge.kafka.publisher import Publisher
from bridge.kafka.reading import read_to_end
from bridge.kafka.subscription import Subscription
from bridge.settings import StreamEntry
from tests.support.kafka import ApacheKafka
from tests.support.postgres import Postgres


def plain(kafka: ApacheKafka) -> Connection:
    return connect_settings("plain", StreamEntry(BASE_URL=f"kafka://{kafka.bootstrap}/"))


def as_user(kafka: ApacheKafka, name: str, password: str) -> Connection:
    entry = StreamEntry(
        BASE_URL=f"kafka://{kafka.sasl_bootstrap}/", USERNAME=name, PASSWORD=password, SSL_CA_LOCATION=str(kafka.ca_pem)
    )
    return connect_settings("secure", entry)


def read_one(connection: Connection, topic: str, group: str) -> Record:
    subscription = Subscription(connection, topics=[topic], group=group, start="earliest")
    try:
        for _ in range(60):
            consumed = subscription.poll(0.5)
            if consumed is not None:
                subscription.commit({(topic, consumed.partition): consumed.next_offset})
                return consumed.record
    finally:
        subscription.close()
    raise AssertionError("nothing arrived in 30 s")


RECORD = Record(key=b"k", value='ζ, "x"'.encode(), headers=(("_format", b"json"), ("_id", b"\x00\xff")))


def test_scram_users_publish_and_read_what_their_acls_allow(apache_kafka: ApacheKafka):
    topic, group = f"t-{uuid.uuid4().hex}", "g-secure"
    apache_kafka.create_topic(topic)
    apache_kafka.add_user("alice", "secret-of-alice")
    apache_kafka.allow("alice", topics={topic: [AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE]}, group=group)
    connection = as_user(apache_kafka, "alice", "secret-of-alice")

    assert Publisher(connection).publish(topic, [RECORD]) == 1
    assert read_one(connection, topic, group) == RECORD
    with pytest.raises(Halt, match="not allowed"):
        Subscription(connection, topics=[topic], group="somebody-else", start="earliest").poll(10.0)


def test_a_topic_is_read_to_its_end_with_read_on_it_alone(apache_kafka: ApacheKafka):
    """As dead letters are: librdkafka asks for a group all the same, and complains that it may not."""
    topic = f"t-{uuid.uuid4().hex}"
    apache_kafka.create_topic(topic)
    apache_kafka.add_user("reader", "secret-of-reader")
    apache_kafka.allow("reader", topics={topic: [AclOperation.READ]})
    Publisher(plain(apache_kafka)).publish(topic, [RECORD] * 3)

    found = list(read_to_end(as_user(apache_kafka, "reader", "secret-of-reader"), topic))

    assert [consumed.record for consumed in found] == [RECORD] * 3


def test_the_broker_tells_what_a_login_may_do_and_nobody_is_disturbed(apache_kafka: ApacheKafka):
    topic, other = (f"t-{uuid.uuid4().hex}" for _ in range(2))
    for name in (topic, other):
        apache_kafka.create_topic(name)
    apache_kafka.add_user("asker", "secret-of-asker")
    apache_kafka.allow("asker", topics={topic: [AclOperation.WRITE]}, group="g-asked")
    asker = Admin(as_user(apache_kafka, "asker", "secret-of-asker"))
    revoked: list[object] = []
    member = Subscription(plain(apache_kafka), topics=[topic], group="g-asked", start="earliest", on_revoke=revoked.append)
    try:
        while not member.is_member:
            member.poll(0.2)

        assert asker.rights("topic", topic) == {"Write", "Describe"}
        assert asker.rights("topic", other) == frozenset()
        assert asker.rights("group", "g-asked") == {"Read", "Describe"}
        assert asker.rights("group", "g-not-there") == frozenset()
        assert {"Read", "Write"} <= (Admin(plain(apache_kafka)).rights("topic", topic) or frozenset())
        assert "Read" in (Admin(plain(apache_kafka)).rights("group", "g-not-there") or frozenset())
        assert Admin(plain(apache_kafka)).rights("topic", "t-not-there") is None

        member.poll(3.0)  # longer than the heartbeat that would tell of a rebalance
        assert (member.is_member, revoked) == (True, [])
    finally:
        member.close()


def test_a_wrong_scram_password_is_named_and_never_shown(apache_kafka: ApacheKafka):
    apache_kafka.add_user("mallory", "right-password")
    connection = as_user(apache_kafka, "mallory", "wrong-canary")

    with pytest.raises(Halt, match="refuses the login of mallory") as caught:
        Admin(connection).topics()
    assert "canary" not in str(caught.value) + repr(connection)
    with pytest.raises(Halt, match="refuses the login of mallory"):
        Publisher(connection, delivery_timeout_seconds=3.0).publish("t", [RECORD])


def test_what_was_confirmed_survives_a_kill_and_a_restart_of_the_broker(tmp_path: Path, apache_kafka: ApacheKafka):
    kafka = ApacheKafka(tmp_path, apache_kafka.libs)
    kafka.start()
    try:
        kafka.create_topic("kept")
        Publisher(plain(kafka)).publish("kept", [RECORD])
        kafka.kill()
        kafka.start()
        assert read_one(plain(kafka), "kept", "after-kill") == RECORD
        kafka.restart()
        assert read_one(plain(kafka), "kept", "after-restart") == RECORD
        kafka.delete_topic("kept")
    finally:
        kafka.stop()


def ask(postgres: Postgres, url: str) -> "subprocess.CompletedProcess[str]":
    command = [str(postgres.programs / "psql"), "--no-psqlrc", "-Atc", "select current_database(), upper('ζ')", url]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


def test_postgres_gives_databases_behind_a_password(postgres: Postgres):
    url = postgres.create_database("db_one")

    assert ask(postgres, url).stdout == "db_one|Ζ\n"
    refused = ask(postgres, url.replace("bridge:", "bridge:wrong"))
    assert "password authentication failed" in refused.stderr
