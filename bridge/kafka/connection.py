"""How a stream's entry in DATA_SHARING becomes a librdkafka configuration, and its errors ours."""

import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException

from bridge.errors import BridgeError, Halt, Misconfigured, Retryable
from bridge.hopskotch import HopCredentials, NoHopCredentials, hop_credentials
from bridge.settings import StreamEntry

__all__ = [
    "FETCHING",
    "PASSING",
    "Connection",
    "LastError",
    "connect_settings",
    "librdkafka_log",
    "open_client",
    "translate_error",
]

_Client = TypeVar("_Client")
_LOGIN = {
    KafkaError._AUTHENTICATION,  # noqa: SLF001  librdkafka's own names
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
}
_NO_TOKEN = ("OAuth token not set", "Failed to acquire SASL OAUTHBEARER token")
"""Of a login by token: it was never tried."""
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
_PROBE = "probe"
"""Tells librdkafka to look for the system's own authorities itself."""
_EXPIRED = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}  # noqa: SLF001
PASSING = {
    KafkaError._TRANSPORT,  # noqa: SLF001
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
    KafkaError._TIMED_OUT,  # noqa: SLF001
    KafkaError._RESOLVE,  # noqa: SLF001
}
"""Errors that librdkafka reports and gets over by itself."""
FETCHING: Mapping[str, int] = {
    "fetch.message.max.bytes": 131_072,
    "fetch.max.bytes": 262_144,
    "message.max.bytes": 262_144,
    "queued.max.messages.kbytes": 2_048,
    "queued.min.messages": 1_000,
    "fetch.queue.backoff.ms": 5,
}
"""How much a consumer fetches ahead. Compressed events of one kind unpack to ten times their size, and each needs
half a kilobyte beside; so what comes in one answer is kept small (never smaller than ``message.max.bytes``, which says
nothing else to a consumer), and the next is asked for soon. An event that is larger comes alone."""


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

    @property
    def principal(self) -> str:
        """What Kafka's ACLs call this login."""
        return f"User:{self.config.get('sasl.username', 'ANONYMOUS')}"


def connect_settings(key: str, entry: StreamEntry) -> Connection:
    """Choose protocol and credentials for a stream.

    ``USERNAME`` and ``PASSWORD`` mean SASL_SSL with SCRAM-SHA-512; without them, hop's own auth file for that host;
    else plain text, which beyond loopback needs ``ALLOW_PLAINTEXT``.

    Raises
    ------
    Misconfigured
        If a login is missing or cannot be used, or plain text would leave this machine unasked.
    """
    config: dict[str, Any] = {
        "bootstrap.servers": entry.bootstrap,
        "client.id": "tom-bridge",
        "logger": librdkafka_log(),
        "allow.auto.create.topics": False,
    }
    password = entry.PASSWORD.get_secret_value()
    if password:
        credential = f"{entry.username} (DATA_SHARING)"
        config |= {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": entry.username,
            "sasl.password": password,
        }
    else:
        found = _hop_login(key, entry)
        if found is None:
            return Connection(key, entry.bootstrap, "none (plain text)", config)
        credential = f"{found.username} (hop's auth file {found.file})"
        config |= found.config
    if entry.SSL_CA_LOCATION:
        config["ssl.ca.location"] = entry.SSL_CA_LOCATION
    _require_authorities(f"[DATA_SHARING.{key}], login {credential}", config)
    return Connection(key, entry.bootstrap, credential, config)


def _hop_login(key: str, entry: StreamEntry) -> HopCredentials | None:
    """Return hop's login for a stream without a password of its own, or None where it is meant to be without any."""
    if entry.is_loopback and not entry.username:
        return None
    found = hop_credentials(entry.bootstrap, entry.username)
    may_be_read = entry.is_loopback or entry.ALLOW_PLAINTEXT
    if isinstance(found, NoHopCredentials):
        if entry.username:
            raise Misconfigured(
                f"[DATA_SHARING.{key}] PASSWORD: there is none for {entry.username}, and {found.why}; "
                "add it, or run 'hop auth add'"
            )
        if not may_be_read:
            raise Misconfigured(
                f"[DATA_SHARING.{key}]: no USERNAME and PASSWORD, and {found.why}; add them, or run 'hop auth add', "
                "or set ALLOW_PLAINTEXT = true if this broker really takes anybody, unencrypted"
            )
        return None
    if not (found.is_encrypted or may_be_read):
        raise Misconfigured(
            f"[DATA_SHARING.{key}]: hop's auth file {found.file} has protocol SASL_PLAINTEXT for {found.username}, so that "
            "everything would go unencrypted; make it SASL_SSL there, or set ALLOW_PLAINTEXT = true"
        )
    return found


def _require_authorities(where: str, config: Mapping[str, Any]) -> None:
    """Refuse a file of certificate authorities that librdkafka would refuse, too, in words for programmers."""
    path = config.get("ssl.ca.location")
    if path is None or path == _PROBE:
        return
    try:
        authorities = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authorities.load_verify_locations(capath=path) if Path(path).is_dir() else authorities.load_verify_locations(path)
    except (OSError, TypeError) as error:  # an SSLError is one
        why = getattr(error, "strerror", None) or error
        raise Misconfigured(f"{where}: the certificate authorities in {path} cannot be used ({why})") from error


def open_client(kind: Callable[[dict[str, Any]], _Client], config: Mapping[str, Any], connection: Connection) -> _Client:
    """Return a new client of librdkafka's.

    Parameters
    ----------
    kind
        ``Producer``, ``Consumer`` or ``AdminClient``.
    config
        The connection's, and what else there is to say.
    connection
        Where to.

    Raises
    ------
    Misconfigured
        If librdkafka takes something of it for impossible.
    Retryable
        If the login is by token, and there is none.
    """
    try:
        return kind(dict(config))
    except KafkaException as error:
        cause: KafkaError = error.args[0]
        if cause.code() == KafkaError._INVALID_ARG:  # noqa: SLF001
            raise Misconfigured(f"stream {connection.stream} ({connection.bootstrap}): {cause.str()}") from error
        raise translate_error(error, connection, "connecting") from error


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
        if any(words in cause.str() for words in _NO_TOKEN):
            return Retryable(f"{where}: no token for {connection.credential}: its token_command or token_endpoint gives none")
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
