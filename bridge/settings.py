"""Settings: the DATA_SHARING dictionary that TOMs already have, and the consumers.

Read from a TOML file (with ``${NAME}`` for what stands in the environment) or from a Django settings module
(``DATA_SHARING`` and, for consumers, ``BRIDGE_CONSUMERS``). An entry is checked when it is used, so that a host which
runs one consumer needs only that one's secrets; `Settings.problems` checks them all.
"""

import difflib
import importlib
import ipaddress
import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from bridge.errors import Misconfigured
from bridge.events import normalise_url

__all__ = ["ConsumerSettings", "HermesEntry", "Settings", "StreamEntry", "StreamTopic", "TomEntry"]

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


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)


Kind = Literal["targets", "target_lists", "reduced_datums", "data_products"]
KINDS: tuple[Kind, ...] = ("targets", "target_lists", "reduced_datums", "data_products")
"""Kinds of events that a consumer may accept."""

_S = TypeVar("_S", bound=_Section)


class TomEntry(_Section):
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


class StreamEntry(_Section):
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
    """What the TOM emits by itself."""

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


class HermesEntry(_Section):
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


def _stream_topic(text: str) -> str:
    return str(StreamTopic.parse(text))


def _source(text: str) -> str:
    return text if text == "*" else normalise_url(text)


def _start(text: str) -> str:
    if text in {"earliest", "latest"}:
        return text
    try:
        zone = datetime.fromisoformat(text).tzinfo
    except ValueError:
        raise ValueError("expected earliest, latest or a time, for instance 2026-11-01T00:00:00Z") from None
    if zone is None:
        raise ValueError("a start time needs a time zone, for instance 2026-11-01T00:00:00Z")
    return text


class ConsumerSettings(_Section):
    """One consumer service: what it reads, and what it may do at its destination TOM."""

    subscribe: Annotated[list[Annotated[str, AfterValidator(_stream_topic)]], Field(min_length=1)]
    """Topics, each ``<stream>:<topic>``; all of one stream."""
    accept_sources: Annotated[list[Annotated[str, AfterValidator(_source)]], Field(min_length=1)]
    """URLs of the source TOMs whose events are acted on; ``"*"`` for all."""
    accept: list[Kind] = Field(default_factory=lambda: list(KINDS))
    """Kinds of events that are acted on."""
    start: Annotated[str, AfterValidator(_start)] = "earliest"
    """Where a new consumer begins: earliest, latest or a time with its zone."""
    unmatched: Literal["skip", "hold", "create"] = "skip"
    """Datums and data products whose target is not here: skip them, hold them as dead letters, or create the target."""
    imported_list: str = "Imported from {tom_name}"
    """Name of the list for new targets."""
    imported_list_for: Literal["new", "all"] = "new"
    """Whether only new targets go into that list, or matched ones too."""
    source_name: Literal["tom", "original"] = "tom"
    """``source_name`` of datums here: the source TOM's name, or where that TOM had them from."""
    groups: list[str] = Field(default_factory=list)
    """Groups at the destination that see new targets. The account has to be a member of each."""
    permissions: Literal["PRIVATE", "OPEN", "PUBLIC"] = "PRIVATE"
    """Permissions of new targets."""
    max_new_targets_per_hour: Annotated[int, Field(ge=1)] = 1000
    """New targets per source and hour; beyond it the consumer holds and says so."""
    max_separation_arcsec: Annotated[float, Field(gt=0)] = 60.0
    """Targets of one name that are farther apart on the sky are not the same; arcseconds."""
    fetch_from: list[str] = Field(default_factory=list)
    """URL prefixes from which the files of data products may be fetched; empty: none are."""
    max_product_bytes: Annotated[int, Field(ge=1)] = 100_000_000
    """Largest data product that is accepted; bytes."""
    dead_letters: Annotated[str, AfterValidator(_stream_topic)] | None = None
    """Where dead letters go; the default is ``<first topic>.<consumer>.dead-letters`` on the same stream."""
    group_id: str = ""
    """Kafka consumer group; the default is ``tom-bridge.<consumer>``."""

    @model_validator(mode="after")
    def _fits_together(self) -> "ConsumerSettings":
        if len({StreamTopic.parse(text).stream for text in self.subscribe}) > 1:
            raise ValueError("subscribe: all topics of one consumer have to be on one stream; use a consumer for each")
        if self.dead_letters in self.subscribe:
            raise ValueError("dead_letters: must not be a topic that is subscribed, or every dead letter comes back")
        try:
            self.imported_list.format(tom_name="x")
        except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
            raise ValueError("imported_list: only {tom_name} may stand in braces") from error
        return self

    @property
    def topics(self) -> list[str]:
        """The subscribed topics' names, without the stream."""
        return [StreamTopic.parse(text).topic for text in self.subscribe]

    @property
    def stream(self) -> str:
        """Key of the stream."""
        return StreamTopic.parse(self.subscribe[0]).stream

    def dead_letter_topic(self, name: str) -> StreamTopic:
        """Return where the dead letters of the consumer of that name go."""
        return StreamTopic.parse(self.dead_letters or f"{self.subscribe[0]}.{name}.dead-letters")


class Settings:
    """All settings of one file or module.

    Parameters
    ----------
    origin
        Where they come from: a file's path or a module's name; named in every complaint.
    sharing
        DATA_SHARING, raw.
    consumers
        Consumers, raw.
    environment
        Values for ``${NAME}``; None: nothing is expanded.
    """

    def __init__(
        self,
        *,
        origin: str,
        sharing: Mapping[str, Any],
        consumers: Mapping[str, Any],
        environment: Mapping[str, str] | None,
    ) -> None:
        self.origin = origin
        self._sharing = sharing
        self._consumers = consumers
        self._environment = environment

    @classmethod
    def from_toml(cls, path: Path, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read a TOML file.

        Raises
        ------
        Misconfigured
            If it can't be read, is no TOML, or has an unknown section.
        """
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise Misconfigured(
                f"{path}: cannot be read ({error.strerror}); name your file with --config, or start from config/bridge.toml"
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise Misconfigured(f"{path}: not valid TOML: {error}") from error
        for section in document:
            if section not in {"DATA_SHARING", "consumers"}:
                raise Misconfigured(f"{path}: [{section}]: {_unknown(section, ['DATA_SHARING', 'consumers'])}")
        return cls(
            origin=str(path),
            sharing=_table(path, document, "DATA_SHARING"),
            consumers=_table(path, document, "consumers"),
            environment=environment,
        )

    @classmethod
    def from_django(cls, module_name: str) -> "Settings":
        """Read a Django settings module: its ``DATA_SHARING`` and, if it has one, ``BRIDGE_CONSUMERS``.

        Raises
        ------
        Misconfigured
            If it can't be imported or has no DATA_SHARING dictionary.
        """
        sys.path.insert(0, str(Path.cwd()))  # as python does for manage.py; a console script does not
        try:
            module = importlib.import_module(module_name)
        except Exception as error:  # it is code, and whatever breaks in it is the administrator's to mend
            raise Misconfigured(
                f"{module_name}: cannot be imported ({type(error).__name__}: {error}); "
                "run this with the TOM's own python, in its folder"
            ) from error
        finally:
            sys.path.pop(0)
        sharing = getattr(module, "DATA_SHARING", None)
        if not isinstance(sharing, Mapping):
            raise Misconfigured(f"{module_name}: DATA_SHARING: missing; add the dictionary to that settings module")
        consumers = getattr(module, "BRIDGE_CONSUMERS", {})
        return cls(origin=module_name, sharing=sharing, consumers=consumers, environment=None)

    def __repr__(self) -> str:
        return f"<Settings of {self.origin}>"

    @property
    def entry_names(self) -> list[str]:
        """Keys of DATA_SHARING."""
        return list(self._sharing)

    @property
    def consumer_names(self) -> list[str]:
        """Names of the consumers."""
        return list(self._consumers)

    def entry(self, key: str) -> TomEntry | StreamEntry | HermesEntry:
        """Return the checked entry of that key.

        Raises
        ------
        Misconfigured
            If there is none, or it is wrong.
        """
        raw = self._raw("DATA_SHARING", self._sharing, key)
        url = str(raw.get("BASE_URL", ""))
        if url.startswith("kafka:"):
            return self._checked(StreamEntry, "DATA_SHARING", key, raw)
        if any(name in raw for name in ("HERMES_API_KEY", "CREDENTIAL_USERNAME")):
            return self._checked(HermesEntry, "DATA_SHARING", key, raw)
        return self._checked(TomEntry, "DATA_SHARING", key, raw)

    def tom(self, key: str) -> TomEntry:
        """Return the entry of a TOM; raises `Misconfigured` if it is something else."""
        entry = self.entry(key)
        if not isinstance(entry, TomEntry):
            raise Misconfigured(f"{self.origin}: [DATA_SHARING.{key}]: a TOM is needed here, but its BASE_URL is not one")
        return entry

    def stream(self, key: str) -> StreamEntry:
        """Return the entry of a Kafka stream; raises `Misconfigured` if it is something else."""
        entry = self.entry(key)
        if not isinstance(entry, StreamEntry):
            raise Misconfigured(
                f"{self.origin}: [DATA_SHARING.{key}]: a stream is needed here; its BASE_URL has to be kafka://host[:port]/"
            )
        return entry

    def stream_topic(self, text: str, *, only_user_topics: bool = True) -> tuple[StreamEntry, StreamTopic]:
        """Return stream and topic for ``<key>:<topic>`` from the command line.

        Parameters
        ----------
        text
            What was written.
        only_user_topics
            Whether the topic has to be among the stream's USER_TOPICS, if it has any.

        Raises
        ------
        Misconfigured
            If it is not written like that, or the topic is not among the stream's USER_TOPICS.
        """
        try:
            place = StreamTopic.parse(text)
        except ValueError as error:
            raise Misconfigured(str(error)) from error
        stream = self.stream(place.stream)
        if only_user_topics and stream.USER_TOPICS and place.topic not in stream.USER_TOPICS:
            raise Misconfigured(
                f"{self.origin}: [DATA_SHARING.{place.stream}] USER_TOPICS: {_unknown(place.topic, stream.USER_TOPICS)}"
            )
        return stream, place

    def consumer(self, name: str) -> ConsumerSettings:
        """Return the checked settings of a consumer; its destination and stream are checked with it.

        Raises
        ------
        Misconfigured
            If there is none of that name, or something about it is wrong.
        """
        raw = self._raw("consumers", self._consumers, name)
        consumer = self._checked(ConsumerSettings, "consumers", name, raw)
        if name not in self._sharing:
            known = _unknown(name, self.entry_names)
            raise Misconfigured(f"{self.origin}: [consumers.{name}]: is named after no key of DATA_SHARING: {known}")
        self.tom(name)
        for text in consumer.subscribe:
            self.stream_topic(text)
        try:
            letters = consumer.dead_letter_topic(name)
        except ValueError as error:
            raise Misconfigured(
                f"{self.origin}: [consumers.{name}]: the name makes no Kafka topic; name one as dead_letters ({error})"
            ) from error
        self.stream(letters.stream)
        return consumer

    def problems(self) -> Iterator[str]:
        """Yield one line for each entry or consumer that is wrong."""
        for kind, names, read in (
            ("entry", self.entry_names, self.entry),
            ("consumer", self.consumer_names, self.consumer),
        ):
            if not names and kind == "entry":
                yield f"{self.origin}: DATA_SHARING: has no entries"
            for name in names:
                try:
                    read(name)
                except Misconfigured as error:
                    yield str(error)

    def _raw(self, section: str, table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        if key not in table:
            raise Misconfigured(f"{self.origin}: [{section}.{key}]: {_unknown(key, list(table))}")
        if not isinstance(table[key], Mapping):
            raise Misconfigured(f"{self.origin}: [{section}.{key}]: has to be a table of keys and values")
        return {name: self._expand(f"[{section}.{key}] {name}", value) for name, value in table[key].items()}

    def _expand(self, where: str, value: Any) -> Any:
        if isinstance(value, list):
            return [self._expand(where, item) for item in value]
        environment = self._environment
        if not isinstance(value, str) or environment is None:
            return value

        def replace(found: re.Match[str]) -> str:
            name = found[1]
            if name not in environment:
                raise Misconfigured(f"{self.origin}: {where}: the environment has no {name}; set it, or write the value")
            return environment[name]

        return re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", replace, value)

    def _checked(self, model: type[_S], section: str, key: str, raw: Mapping[str, Any]) -> _S:
        try:
            return model.model_validate(raw)
        except ValidationError as error:
            lines = []
            for problem in error.errors(include_url=False, include_input=False):
                field = ".".join(map(str, problem["loc"]))
                message = problem["msg"].removeprefix("Value error, ")
                if problem["type"] == "extra_forbidden":
                    message = _unknown(field, list(model.model_fields))
                if problem["type"] == "missing":
                    message = "missing; add it"
                lines.append(f"{self.origin}: [{section}.{key}]{' ' if field else ''}{field}: {message}")
            raise Misconfigured("\n".join(lines)) from None


def _unknown(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name.lower(), [k.lower() for k in known], n=1)
    meant = next((k for k in known if close and k.lower() == close[0]), None)
    hint = f"did you mean {meant}?" if meant else f"known are: {', '.join(known) or 'none'}"
    return f"{name} is unknown; {hint}"


def _table(path: Path, document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = document.get(name, {})
    if not isinstance(table, Mapping):
        raise Misconfigured(f"{path}: [{name}]: has to be a table")
    return table
