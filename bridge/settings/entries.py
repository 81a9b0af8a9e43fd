"""The entries of DATA_SHARING: TOMs, streams, Hermes."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from bridge.events import normalise_url

__all__ = ["DEFAULT_TOM_NAME", "HermesEntry", "Section", "StreamEntry", "StreamTopic", "TomEntry"]

DEFAULT_TOM_NAME = "TOM Toolkit"
"""What TOM Toolkit calls a TOM whose administrator gave it no name; refused, since it identifies nobody."""


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
    API_TOKEN: SecretStr | None = None
    """Its API token, instead of the password, where the TOM accepts tokens (TOM Toolkit 3 does)."""
    USER_TOPICS: list[str] = Field(default_factory=list)
    """Accepted because TOM Toolkit accepts it; not used."""

    @model_validator(mode="after")
    def _has_credentials(self) -> "TomEntry":
        if self.API_TOKEN is None and not (self.USERNAME and self.PASSWORD.get_secret_value()):
            raise ValueError("needs USERNAME and PASSWORD, or API_TOKEN")
        return self


class StreamEntry(Section):
    """A Kafka cluster that share events travel through."""

    DISPLAY_NAME: str = ""
    """Name for people."""
    BASE_URL: Annotated[str, AfterValidator(_kafka_url)]
    """``kafka://host[:port]/``, as hop writes it; port 9092 if there is none."""
    USER_TOPICS: list[str] = Field(default_factory=list)
    """Topics that are used; empty: any."""
    DEFAULT_AUTHORS: str = ""
    """Authors of what is shared, where nobody says otherwise."""
    USERNAME: str = ""
    """SCRAM user; with ``PASSWORD`` it means SASL_SSL with SCRAM-SHA-512."""
    PASSWORD: SecretStr = SecretStr("")
    """SCRAM password."""
    SSL_CA_LOCATION: str = ""
    """File with the certificate authority, where the system's own do not know the broker's."""
    ALLOW_PLAINTEXT: bool = False
    """Allow an unencrypted connection to a broker beyond loopback."""
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

    @model_validator(mode="after")
    def _is_whole(self) -> "StreamEntry":
        if bool(self.USERNAME) != bool(self.PASSWORD.get_secret_value()) and not urlsplit(self.BASE_URL).username:
            raise ValueError("USERNAME and PASSWORD go together; leave both out to use hop's own credentials")
        return self

    @property
    def bootstrap(self) -> str:
        """``host:port`` of the broker."""
        parts = urlsplit(self.BASE_URL)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{host}:{parts.port or 9092}"

    @property
    def username(self) -> str:
        """User name, from ``USERNAME`` or from the URL."""
        return self.USERNAME or unquote(urlsplit(self.BASE_URL).username or "")

    @property
    def is_loopback(self) -> bool:
        """Whether the broker is on this machine."""
        host = urlsplit(self.BASE_URL).hostname or ""
        try:
            return host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False


class HermesEntry(Section):
    """The Hermes API, with the keys that TOM Toolkit gave it over the years."""

    model_config = ConfigDict(extra="ignore")

    DISPLAY_NAME: str = ""
    """Name for people."""
    BASE_URL: str
    """Address of the Hermes API."""
    HERMES_API_KEY: SecretStr = SecretStr("")
    """Hermes API key."""
    CREDENTIAL_USERNAME: str = ""
    """SCiMMA credential, of TOM Toolkit before 2023."""
    CREDENTIAL_PASSWORD: SecretStr = SecretStr("")
    """Its password."""
    DEFAULT_AUTHORS: str = ""
    """Authors, where nobody says otherwise."""
    USER_TOPICS: list[str] = Field(default_factory=list)
    """Topics that are used; empty: any."""


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
        if not (stream and colon and re.fullmatch(r"[A-Za-z0-9._-]{1,249}", topic)):
            raise ValueError(f"{text!r} is not <stream>:<topic>, for instance share-stream:tom.shares")
        return cls(stream, topic)

    def __str__(self) -> str:
        return f"{self.stream}:{self.topic}"
