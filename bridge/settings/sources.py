"""Where settings come from: a TOML file or a Django settings module; each entry is checked when it is used."""

import importlib
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from bridge.errors import Misconfigured
from bridge.settings.consumers import ConsumerSettings
from bridge.settings.entries import HermesEntry, StreamEntry, StreamTopic, TomEntry
from bridge.settings.gateway import GatewayClient, GatewaySettings, read_gateway
from bridge.settings.tables import Tables, unknown

__all__ = ["Settings"]

_SECTIONS = ["DATA_SHARING", "consumers", "gateway"]

_E = TypeVar("_E", StreamEntry, HermesEntry, StreamEntry | HermesEntry)


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
    gateway
        The gateway, raw; empty: there is none.
    """

    def __init__(
        self,
        *,
        origin: str,
        sharing: Mapping[str, Any],
        consumers: Mapping[str, Any],
        environment: Mapping[str, str] | None,
        gateway: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.origin = origin
        self._sharing = sharing
        self._consumers = consumers
        self._tables = Tables(origin=origin, environment=environment)
        self._gateway = gateway

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
            if section not in _SECTIONS:
                raise Misconfigured(f"{path}: [{section}]: {unknown(section, _SECTIONS)}")
        return cls(
            origin=str(path),
            sharing=_table(path, document, "DATA_SHARING"),
            consumers=_table(path, document, "consumers"),
            environment=environment,
            gateway=_table(path, document, "gateway"),
        )

    @classmethod
    def from_django(cls, module_name: str) -> "Settings":
        """Read a Django settings module: ``DATA_SHARING`` and, if it has them, ``BRIDGE_CONSUMERS`` and ``BRIDGE_GATEWAY``.

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
        gateway = getattr(module, "BRIDGE_GATEWAY", {})
        return cls(origin=module_name, sharing=sharing, consumers=consumers, environment=None, gateway=gateway)

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
            return self._tables.checked(StreamEntry, f"DATA_SHARING.{key}", raw)
        if any(name in raw for name in ("HERMES_API_KEY", "CREDENTIAL_USERNAME")):
            return self._tables.checked(HermesEntry, f"DATA_SHARING.{key}", raw)
        return self._tables.checked(TomEntry, f"DATA_SHARING.{key}", raw)

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
        place = _place(text)
        return self._with_topic(self.stream(place.stream), place, only_user_topics=only_user_topics), place

    def stream_or_hermes_topic(self, text: str) -> tuple[StreamEntry | HermesEntry, StreamTopic]:
        """Return where ``<key>:<topic>`` from the command line publishes to: a topic of a stream, or of Hermes.

        Raises
        ------
        Misconfigured
            As `stream_topic`.
        """
        place = _place(text)
        entry = self.entry(place.stream)
        if isinstance(entry, TomEntry):
            raise Misconfigured(
                f"{self.origin}: [DATA_SHARING.{place.stream}]: a stream or Hermes is needed here; "
                "its BASE_URL has to be kafka://host[:port]/, or it needs HERMES_API_KEY"
            )
        return self._with_topic(entry, place), place

    def _with_topic(self, entry: _E, place: StreamTopic, *, only_user_topics: bool = True) -> _E:
        if only_user_topics and entry.USER_TOPICS and place.topic not in entry.USER_TOPICS:
            raise Misconfigured(
                f"{self.origin}: [DATA_SHARING.{place.stream}] USER_TOPICS: {unknown(place.topic, entry.USER_TOPICS)}"
            )
        return entry

    def consumer(self, name: str) -> ConsumerSettings:
        """Return the checked settings of a consumer; its destination and stream are checked with it.

        Raises
        ------
        Misconfigured
            If there is none of that name, or something about it is wrong.
        """
        consumer = self.observed_consumer(name)
        if name not in self._sharing:
            known = unknown(name, self.entry_names)
            raise Misconfigured(f"{self.origin}: [consumers.{name}]: is named after no key of DATA_SHARING: {known}")
        self.tom(name)
        for text in consumer.subscribe:
            self.stream_topic(text)
        self.stream(consumer.dead_letter_topic(name).stream)
        return consumer

    def observed_consumer(self, name: str) -> ConsumerSettings:
        """Return a consumer's settings for those who only look at it: they need no login at its destination.

        Raises
        ------
        Misconfigured
            If there is none of that name, or its own section is wrong.
        """
        raw = self._raw("consumers", self._consumers, name)
        consumer = self._tables.checked(ConsumerSettings, f"consumers.{name}", raw)
        try:
            letters = consumer.dead_letter_topic(name)
        except ValueError as error:
            raise Misconfigured(
                f"{self.origin}: [consumers.{name}]: the name makes no Kafka topic; name one as dead_letters ({error})"
            ) from error
        if str(letters) in consumer.subscribe:
            raise Misconfigured(f"{self.origin}: [consumers.{name}] dead_letters: {letters} is subscribed; name another topic")
        return consumer

    def display_name(self, key: str) -> str:
        """Return an entry's name for people, or its key; the entry need not be right."""
        entry = self._sharing.get(key)
        named = entry.get("DISPLAY_NAME") if isinstance(entry, Mapping) else None
        return named if isinstance(named, str) and named else key

    @property
    def has_gateway(self) -> bool:
        """Whether there is a gateway."""
        return bool(self._gateway)

    def gateway(self) -> tuple[GatewaySettings, dict[str, GatewayClient]]:
        """Return the checked settings of the gateway, and of its clients by name; its stream is checked with it.

        Raises
        ------
        Misconfigured
            If there is no gateway or no client, or something about them is wrong.
        """
        return read_gateway(self._gateway, origin=self.origin, tables=self._tables, stream=self.stream)

    def problems(self) -> Iterator[str]:
        """Yield one line for each entry or consumer that is wrong, and for the gateway."""
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
        if self.has_gateway:
            try:
                self.gateway()
            except Misconfigured as error:
                yield str(error)

    def _raw(self, section: str, table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        if key not in table:
            raise Misconfigured(f"{self.origin}: [{section}.{key}]: {unknown(key, table)}")
        return self._tables.raw(f"{section}.{key}", table[key])


def _place(text: str) -> StreamTopic:
    try:
        return StreamTopic.parse(text)
    except ValueError as error:
        raise Misconfigured(str(error)) from error


def _table(path: Path, document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = document.get(name, {})
    if not isinstance(table, Mapping):
        raise Misconfigured(f"{path}: [{name}]: has to be a table")
    return table
