"""The entries of DATA_SHARING: TOMs, streams, Hermes."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from bridge.events import normalise_url

__all__ = ["DEFAULT_TOM_NAME", "HermesEntry", "Section", "StreamEntry", "StreamTopic", "TomEntry", "topic_address"]

DEFAULT_TOM_NAME = "TOM Toolkit"
"""What TOM Toolkit calls a TOM whose administrator gave it no name; refused, since it identifies nobody."""


DEFAULT_PORT = 9092
"""Kafka's."""
_TOPIC = r"[A-Za-z0-9._-]{1,249}"


def _kafka_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # urllib's own words would repeat the URL
        raise ValueError("expected kafka://host[:port]/; its host or port cannot be read") from None
    if parts.scheme != "kafka" or not parts.hostname or port == 0:
        raise ValueError("expected kafka://host[:port]/")
    if parts.password is not None:
        raise ValueError("a password does not belong into a URL; use the key PASSWORD")
    if parts.path.strip("/"):
        raise ValueError("topics do not belong into BASE_URL; name them in USER_TOPICS")
    return url


def topic_address(url: str) -> str:
    """Return the address of a topic, ``kafka://host[:port]/topic``, in its one spelling: without user and Kafka's own port.

    Raises
    ------
    ValueError
        If it is none.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # urllib's own words would repeat the URL
        raise ValueError("expected kafka://host[:port]/topic; its host or port cannot be read") from None
    topic = parts.path.strip("/")
    if parts.scheme != "kafka" or not parts.hostname or not re.fullmatch(_TOPIC, topic) or parts.password is not None:
        raise ValueError("expected the address of a topic, kafka://host[:port]/topic")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"kafka://{host}{'' if port in {None, DEFAULT_PORT} else f':{port}'}/{topic}"


def _for_a_header(text: str) -> str:
    """Return a text that travels in a header of HTTP, without the white space that a file or a shell leaves around it."""
    stripped = text.strip()
    if not re.fullmatch(r"[ -~]*", stripped):
        # It would fail at each request, as if the server were away, and the complaint would show it.
        raise ValueError("expected printable ASCII, on one line; copy it anew")
    return stripped


def _secret_for_a_header(secret: SecretStr) -> SecretStr:
    return SecretStr(_for_a_header(secret.get_secret_value()))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_exposed(url: str) -> bool:
    """Whether a login at an address of the web can be read by others on its way there."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not _is_loopback(parts.hostname or "")


HeaderSecret = Annotated[SecretStr, AfterValidator(_secret_for_a_header)]
"""A secret that travels in a header of HTTP, unlike the passwords that go in a form."""


class Section(BaseModel):
    """Base of every table of settings: typed, frozen, and nothing unknown in it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)


class TomEntry(Section):
    """A TOM that data is shared with, or shared out of, through its REST API."""

    DISPLAY_NAME: str = ""
    """Name for people; in what is shared out of this TOM, its ``TOM_NAME``."""
    BASE_URL: Annotated[str, AfterValidator(normalise_url)]
    """The TOM's public address, for instance ``https://not-my-tom.org/``."""
    USERNAME: str = ""
    """Account at that TOM."""
    PASSWORD: SecretStr = SecretStr("")
    """Its password."""
    API_TOKEN: HeaderSecret | None = None
    """Its API token, instead of the password, where the TOM accepts tokens (TOM Toolkit 3 does)."""
    USER_TOPICS: list[str] = Field(default_factory=list)
    """Accepted because TOM Toolkit accepts it; not used."""

    @model_validator(mode="after")
    def _has_credentials(self) -> "TomEntry":
        if self.API_TOKEN is None and not (self.USERNAME and self.PASSWORD.get_secret_value()):
            raise ValueError("needs USERNAME and PASSWORD, or API_TOKEN")
        return self

    @property
    def is_exposed(self) -> bool:
        """Whether others can read the login on its way: plain HTTP beyond this machine."""
        return _is_exposed(self.BASE_URL)


class _Stream(Section):
    """What streams of both kinds have."""

    DISPLAY_NAME: str = ""
    """Name for people."""
    BASE_URL: str
    """Its address."""
    USER_TOPICS: list[str] = Field(default_factory=list)
    """Topics that are used; empty: any."""
    DEFAULT_AUTHORS: str = ""
    """Authors of what is shared, where nobody says otherwise."""
    SOURCE_URL: str = ""
    """Public URL of the TOM that emits to this stream."""
    EMIT: Literal["continuous", "all", "manual"] = "continuous"
    """What the TOM emits by itself: ``continuous``, targets with a continuous share (``PersistentShare``) to
    ``<key>:<topic>``; ``all``, whatever the groups in ``EMIT_GROUPS`` may see, to every topic in ``USER_TOPICS``;
    ``manual``, only what somebody shares by hand."""
    EMIT_GROUPS: list[str] = Field(default_factory=list)
    """With ``EMIT = "all"``: the groups of users whose targets and data go out. Nothing else does."""
    HUB: bool = False
    """Pass on what came to this TOM through the bridge, too. Only for a TOM that stands between topics."""


class StreamEntry(_Stream):
    """A Kafka cluster that share events travel through."""

    BASE_URL: Annotated[str, AfterValidator(_kafka_url)]
    """``kafka://host[:port]/``, as hop writes it; port 9092 if there is none."""
    FORMAT: Literal["native", "hermes"] = "native"
    """What is written to its topics: ``native``, share events; ``hermes``, messages just as Hermes writes them, for those who
    read a topic of Hermes. Consumers read both, whatever stands here."""
    USERNAME: str = ""
    """SCRAM user; with ``PASSWORD`` it means SASL_SSL with SCRAM-SHA-512."""
    PASSWORD: SecretStr = SecretStr("")
    """SCRAM password."""
    SSL_CA_LOCATION: str = ""
    """File with the certificate authority, where the system's own do not know the broker's."""
    ALLOW_PLAINTEXT: bool = False
    """Allow an unencrypted connection to a broker beyond loopback."""

    @model_validator(mode="after")
    def _is_whole(self) -> "StreamEntry":
        if bool(self.USERNAME) != bool(self.PASSWORD.get_secret_value()) and not urlsplit(self.BASE_URL).username:
            raise ValueError("USERNAME and PASSWORD go together; leave both out to use hop's own credentials")
        return self

    def address(self, topic: str) -> str:
        """Return the address of one of its topics, as hop writes it."""
        return topic_address(f"kafka://{self.bootstrap}/{topic}")

    @property
    def bootstrap(self) -> str:
        """``host:port`` of the broker."""
        parts = urlsplit(self.BASE_URL)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{host}:{parts.port or DEFAULT_PORT}"

    @property
    def username(self) -> str:
        """User name, from ``USERNAME`` or from the URL."""
        return self.USERNAME or unquote(urlsplit(self.BASE_URL).username or "")

    @property
    def is_loopback(self) -> bool:
        """Whether the broker is on this machine."""
        return _is_loopback(urlsplit(self.BASE_URL).hostname or "")


class HermesEntry(_Stream):
    """The Hermes API, with the keys that TOM Toolkit gave it over the years."""

    model_config = ConfigDict(extra="ignore")

    BASE_URL: Annotated[str, AfterValidator(normalise_url)]
    """Address of the Hermes API, for instance ``https://hermes.lco.global/``."""
    SOURCE_URL: str = ""
    """Public URL of the TOM that emits to it. Without it, ``bridge.emitter`` leaves the entry to TOM Toolkit's own sharing."""
    HERMES_API_KEY: HeaderSecret = SecretStr("")
    """Hermes API key; Hermes shows it on the profile page."""
    CREDENTIAL_USERNAME: Annotated[str, AfterValidator(_for_a_header)] = ""
    """SCiMMA credential, of TOM Toolkit before 2023, where there is no key."""
    CREDENTIAL_PASSWORD: HeaderSecret = SecretStr("")
    """Its password."""

    @property
    def is_exposed(self) -> bool:
        """Whether others can read the login on its way: plain HTTP beyond this machine."""
        return _is_exposed(self.BASE_URL)


@dataclass(frozen=True, slots=True)
class StreamTopic:
    """A topic of a stream, written ``<key>:<topic>``."""

    stream: str
    topic: str

    @classmethod
    def parse(cls, text: str) -> "StreamTopic":
        """Read ``<key>:<topic>``.

        Raises
        ------
        ValueError
            If it is not written like that, or the topic's name is none that Kafka takes.
        """
        stream, colon, topic = text.partition(":")
        if not (stream and colon and re.fullmatch(_TOPIC, topic)):
            raise ValueError(f"{text!r} is not <stream>:<topic>, for instance share-stream:tom.shares")
        return cls(stream, topic)

    def __str__(self) -> str:
        return f"{self.stream}:{self.topic}"
