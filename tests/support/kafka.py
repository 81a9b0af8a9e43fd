"""A real Apache Kafka, without Docker: one KRaft node from Maven Central's jars, on this machine's Java."""

import base64
import fcntl
import os
import re
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import trustme
from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from confluent_kafka.cimpl import NewTopic
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from bridge.demo.ports import free_port
from tests.support.waiting import wait_for

__all__ = ["PLAIN_USER", "ApacheKafka", "KafkaUnavailable", "ensure_kafka"]

VERSION = "4.3.1"
START_SECONDS = 60.0
STOP_SECONDS = 30.0
LOG_TAIL = 10_000
OLDEST_JAVA = 17
CONFIGURATION = "server.properties"
PLAIN_USER = "plain-user", "secret-of-plain-user"
"""Whom it knows by PLAIN; SCRAM users are added while it runs."""
POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>bridge</groupId><artifactId>kafka-for-tests</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.4</version>
    </dependency>
  </dependencies>
</project>
"""
LOG4J = """\
<Configuration status="ERROR"><Appenders><Console name="out"><PatternLayout pattern="%d %p %c: %m%n%throwable"/></Console>
</Appenders><Loggers><Root level="warn"><AppenderRef ref="out"/></Root></Loggers></Configuration>
"""


class KafkaUnavailable(Exception):
    """No Kafka can be had here; the text says why."""


def ensure_kafka(say: Callable[[str], None]) -> Path:
    """Return the folder with Kafka's jars, fetched when they are missing."""
    _require_java()
    home = Path(os.environ.get("TOM_BRIDGE_CACHE", Path.home() / ".cache" / "tom-bridge")) / f"kafka-{VERSION}"
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            if shutil.which("mvn") is None:
                raise KafkaUnavailable("Apache Kafka is fetched with mvn, which is not on this machine")
            say(f"fetching Apache Kafka {VERSION} from Maven Central")
            (home / "pom.xml").write_text(POM)
            shutil.rmtree(home / "libs", ignore_errors=True)
            command = [
                "mvn",
                "-q",
                "-B",
                "-f",
                "pom.xml",
                "dependency:copy-dependencies",
                f"-DoutputDirectory={home}/libs",
            ]
            try:
                subprocess.run(command, cwd=home, capture_output=True, text=True, check=True, timeout=600)
            except subprocess.CalledProcessError as error:
                why = (error.stdout + error.stderr).strip()[:500]  # Maven says it first, advice follows
                raise KafkaUnavailable(f"Maven Central gives no Apache Kafka {VERSION}: {why}") from error
            except subprocess.TimeoutExpired as error:
                raise KafkaUnavailable(f"Maven Central gives no Apache Kafka {VERSION} within ten minutes") from error
            (home / "complete").touch()
    return home / "libs"


def _require_java() -> None:
    if shutil.which("java") is None:
        raise KafkaUnavailable("Apache Kafka needs java, which is not on this machine")
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False, timeout=60).stderr
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found[1]) < OLDEST_JAVA:
        raise KafkaUnavailable(f"Apache Kafka {VERSION} needs Java {OLDEST_JAVA} or later; here: {said.strip()[:200]}")


class ApacheKafka:
    """One broker with a plain listener, where anybody is super user, and a SASL_SSL one with ACLs (SCRAM-SHA-512, PLAIN,
    and OAUTHBEARER without signatures).

    Parameters
    ----------
    directory
        For its data, configuration and log; empty.
    libs
        From `ensure_kafka`.
    """

    def __init__(self, directory: Path, libs: Path) -> None:
        self._directory = directory
        self.libs = libs
        self._port, self._sasl_port, self._controller_port = free_port(), free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.ca_pem = directory / "ca.pem"

    @property
    def bootstrap(self) -> str:
        """Address of the plain listener."""
        return f"127.0.0.1:{self._port}"

    @property
    def sasl_bootstrap(self) -> str:
        """Address of the SASL_SSL listener."""
        return f"localhost:{self._sasl_port}"

    @property
    def admin(self) -> AdminClient:
        """A client that may do anything. Keep it until its futures are done: they die with it."""
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    def start(self) -> None:
        """Start the broker, on its first start with fresh storage, and wait until it answers."""
        if not (self._directory / CONFIGURATION).exists():
            self._write_configuration()
            cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            self._java("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "--standalone", "-c", CONFIGURATION)
        with (self._directory / "kafka.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command("-Xmx512m", "-Xms256m"), "kafka.Kafka", CONFIGURATION],
                cwd=self._directory, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0, "reconnect.backoff.max.ms": 200})
        while not self._answers(admin):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                tail = (self._directory / "kafka.log").read_text(errors="replace")[-LOG_TAIL:]
                raise RuntimeError(f"Apache Kafka did not start:\n{tail}")

    def stop(self) -> None:
        """Stop it in order."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Stop it in order and start it again, on the same ports and data."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """Kill it with -9."""
        self._end(signal.SIGKILL)

    def create_topic(self, name: str, partitions: int = 1, config: dict[str, str] | None = None) -> None:
        """Create a topic and wait until it is there for all, which is some time after the broker says that it is."""
        topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=config or {})
        admin = self.admin
        admin.create_topics([topic])[name].result(30)

        def is_there() -> bool:
            found = admin.list_topics(timeout=30).topics.get(name)
            return found is not None and found.error is None and len(found.partitions) == partitions

        wait_for(is_there, f"topic {name}", seconds=30.0, every=0.02)

    def set_config(self, topic: str, config: dict[str, str]) -> None:
        """Change a topic's settings."""
        entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in config.items()]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        admin = self.admin
        admin.incremental_alter_configs([resource])[resource].result(30)

    def delete_topic(self, name: str) -> None:
        """Delete a topic and all that is in it."""
        admin = self.admin
        admin.delete_topics([name])[name].result(30)

    def add_user(self, name: str, password: str) -> None:
        """Add a SCRAM user, who may do nothing yet."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        change = UserScramCredentialUpsertion(name, info, password.encode())
        admin = self.admin
        admin.alter_user_scram_credentials([change])[name].result(30)

    def allow(self, user: str, *, topics: dict[str, list[AclOperation]], group: str | None = None) -> None:
        """Allow a user operations on topics, and reading in a group; ``name*``: in all groups whose names begin so."""
        admin = self.admin
        for future in admin.create_acls(self._acls(AclBinding, user, topics, group)).values():
            future.result(30)

    def disallow(self, user: str, *, topics: dict[str, list[AclOperation]], group: str | None = None) -> None:
        """Take back what `allow` allowed."""
        admin = self.admin
        for future in admin.delete_acls(self._acls(AclBindingFilter, user, topics, group)).values():
            future.result(30)

    @staticmethod
    def _acls(form: type[AclBinding], user: str, topics: dict[str, list[AclOperation]], group: str | None) -> list[AclBinding]:
        wanted = [(ResourceType.TOPIC, name, ResourcePatternType.LITERAL, op) for name, ops in topics.items() for op in ops]
        if group is not None:
            pattern = ResourcePatternType.PREFIXED if group.endswith("*") else ResourcePatternType.LITERAL
            wanted.append((ResourceType.GROUP, group.removesuffix("*"), pattern, AclOperation.READ))
        return [
            form(kind, name, pattern, f"User:{user}", "*", operation, AclPermissionType.ALLOW)
            for kind, name, pattern, operation in wanted
        ]

    @staticmethod
    def _answers(admin: AdminClient) -> bool:
        try:
            return bool(admin.list_topics(timeout=1.0).brokers)
        except KafkaException:  # not yet; the caller has the deadline
            return False

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def _command(self, *options: str) -> list[str]:
        log4j = f"-Dlog4j2.configurationFile={self._directory / 'log4j2.xml'}"
        return ["java", *options, "-XX:TieredStopAtLevel=1", log4j, "-cp", f"{self.libs}/*"]

    def _java(self, *arguments: str) -> str:
        command = [*self._command(), *arguments]
        done = subprocess.run(command, cwd=self._directory, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            raise RuntimeError(f"{arguments[0]} failed: {done.stdout}{done.stderr}")
        return done.stdout

    def _write_configuration(self) -> None:
        authority = trustme.CA()
        server = authority.issue_cert("localhost", "127.0.0.1")
        authority.cert_pem.write_to_path(str(self.ca_pem))
        keystore = self._directory / "keystore.pem"
        key = load_pem_private_key(server.private_key_pem.bytes(), password=None)
        # Java reads no other encoding of a key.
        pkcs8 = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        keystore.write_bytes(pkcs8 + b"".join(pem.bytes() for pem in server.cert_chain_pems))
        (self._directory / "log4j2.xml").write_text(LOG4J)
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "listeners": f"PLAINTEXT://127.0.0.1:{self._port},SASL_SSL://127.0.0.1:{self._sasl_port},"
            f"CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self._port},SASL_SSL://localhost:{self._sasl_port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{self._controller_port}",
            "log.dirs": str(self._directory / "data"),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            # After kill -9 the broker is let in again only when the session of its former life is over; default 9 s.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "auto.create.topics.enable": "false",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN,OAUTHBEARER",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(keystore),
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "listener.name.sasl_ssl.plain.sasl.jaas.config": (
                f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{PLAIN_USER[0]}="{PLAIN_USER[1]}";'
            ),
            # Takes any token that is not signed, and its "sub" for the user.
            "listener.name.sasl_ssl.oauthbearer.sasl.jaas.config": (
                "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required "
                'unsecuredLoginStringClaim_sub="unused";'
            ),
        }
        text = "".join(f"{key}={value}\n" for key, value in settings.items())
        (self._directory / CONFIGURATION).write_text(text)
