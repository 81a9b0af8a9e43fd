"""How a stream's entry in DATA_SHARING becomes a librdkafka configuration, and its errors ours."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from bridge.errors import BridgeError, Halt, Misconfigured, Retryable
from bridge.hopskotch import hop_credentials
from bridge.settings import StreamEntry

__all__ = ["Connection", "LastError", "connect_settings", "librdkafka_log", "translate_error"]

_LOGIN = {
    KafkaError._AUTHENTICATION,  # noqa: SLF001  librdkafka's own names
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
}
_FORBIDDEN = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}
_NO_TOPIC = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}  # noqa: SLF001
_UNEXPLAINED = {
    KafkaError._TRANSPORT,  # noqa: SLF001
    KafkaError._TIMED_OUT,  # noqa: SLF001
    KafkaError._MSG_TIMED_OUT,  # noqa: SLF001
}
_EXPIRED = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}  # noqa: SLF001


@dataclass(frozen=True, slots=True)
class Connection:
    """What librdkafka needs to reach a stream. Its repr shows no secret.

    Parameters
    ----------
    stream
        Key of the stream, for messages.
    bootstrap
        ``host:port``.
    credential
        What is used to log in, for people; never the secret.
    config
        librdkafka's configuration, with the secret.
    """

    stream: str
    bootstrap: str
    credential: str
    config: Mapping[str, Any] = field(repr=False)


def connect_settings(key: str, entry: StreamEntry) -> Connection:
    """Choose protocol and credentials for a stream.

    ``USERNAME`` and ``PASSWORD`` mean SASL_SSL with SCRAM-SHA-512; without them, hop's own auth file for that host;
    else plain text, which beyond loopback needs ``ALLOW_PLAINTEXT``.

    Raises
    ------
    Misconfigured
        If plain text would leave this machine unasked.
    """
    config: dict[str, Any] = {
        "bootstrap.servers": entry.bootstrap,
        "client.id": "tom-bridge",
        "logger": librdkafka_log(),
        "allow.auto.create.topics": False,
    }
    username, password = entry.username, entry.PASSWORD.get_secret_value()
    mechanism, ca, credential = "SCRAM-SHA-512", entry.SSL_CA_LOCATION, f"{username} (DATA_SHARING)"
    if not password:
        found = None if entry.is_loopback and not username else hop_credentials(entry.bootstrap, username)
        if found is None and username:
            raise Misconfigured(
                f"[DATA_SHARING.{key}] PASSWORD: there is none for {username}, and hop's auth file has none for "
                f"{entry.bootstrap}; add it, or run 'hop auth add'"
            )
        if found is None:
            if not (entry.is_loopback or entry.ALLOW_PLAINTEXT):
                raise Misconfigured(
                    f"[DATA_SHARING.{key}]: no USERNAME and PASSWORD, and none for {entry.bootstrap} in hop's auth file; "
                    "add them, or set ALLOW_PLAINTEXT = true if this broker really takes anybody, unencrypted"
                )
            return Connection(key, entry.bootstrap, "none (plain text)", config)
        username, password, mechanism = found.username, found.password, found.mechanism
        ca, credential = ca or found.ca_location, f"{username} (hop's auth file)"
    config |= {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": mechanism,
        "sasl.username": username,
        "sasl.password": password,
    }
    if ca:
        config["ssl.ca.location"] = ca
    return Connection(key, entry.bootstrap, credential, config)


class LastError:
    """Remembers what a client said last about its connection.

    A request that times out says no more than that; why (a refused login, an unknown certificate) comes only through the
    client's error callback, and only while the client is polled.
    """

    def __init__(self) -> None:
        self._error: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001  says less than what came before it
            self._error = error

    @property
    def latest(self) -> KafkaError | None:
        """What the client said last, or None."""
        return self._error

    def behind(self, error: KafkaError | KafkaException) -> KafkaError | KafkaException:
        """Return the reason behind a time-out or a failed transport, if the client gave one, else the error itself."""
        cause: KafkaError = error.args[0] if isinstance(error, KafkaException) else error
        return self._error if self._error is not None and cause.code() in _UNEXPLAINED else error


def librdkafka_log() -> logging.Logger:
    """Return where librdkafka's own lines go: nowhere, unless a handler is added to ``bridge.librdkafka``.

    What matters of them comes as errors too, and those name the stream.
    """
    log = logging.getLogger("bridge.librdkafka")
    log.propagate = False
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    return log


def translate_error(error: KafkaError | KafkaException, connection: Connection, doing: str) -> BridgeError:
    """Return our error for one of librdkafka's: who must act, and on what.

    Parameters
    ----------
    error
        What librdkafka said.
    connection
        Where.
    doing
        What was being done, for the message, for instance ``publishing to tom.shares``.
    """
    cause: KafkaError = error.args[0] if isinstance(error, KafkaException) else error
    where = f"stream {connection.stream} ({connection.bootstrap}), {doing}"
    code = cause.code()
    if code in _LOGIN:
        return Halt("broker_login", f"{where}: the broker refuses the login of {connection.credential}")
    if code in _FORBIDDEN:
        return Halt("broker_permission", f"{where}: {connection.credential} is not allowed to; ask for the ACL")
    if code in _NO_TOPIC:
        return Misconfigured(f"{where}: the topic does not exist; create it with 'tom-bridge topics create'")
    if code in _EXPIRED:
        return Halt(
            "expired_offset",
            f"{where}: the topic no longer keeps what this consumer has to read next; events are lost. "
            "Reset the group's offsets on purpose, with Kafka's own tools, to go on",
        )
    if code == KafkaError.MSG_SIZE_TOO_LARGE:
        return Halt("too_large_for_topic", f"{where}: larger than the topic's max.message.bytes")
    return Retryable(f"{where}: {cause.str()}")
