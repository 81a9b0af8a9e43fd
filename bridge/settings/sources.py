"""Where settings come from: a TOML file or a Django settings module; and what is said of mistakes in them."""

import difflib
import importlib
import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from bridge.errors import Misconfigured
from bridge.settings.consumers import ConsumerSettings
from bridge.settings.entries import HermesEntry, Section, StreamEntry, StreamTopic, TomEntry

__all__ = ["Settings"]

_S = TypeVar("_S", bound=Section)


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
        if str(letters) in consumer.subscribe:
            raise Misconfigured(f"{self.origin}: [consumers.{name}] dead_letters: {letters} is subscribed; name another topic")
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
            if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
                raise Misconfigured(f"{self.origin}: {where}: ${{...}} holds what is no name of an environment variable")
            if name not in environment:
                raise Misconfigured(f"{self.origin}: {where}: the environment has no {name}; set it, or write the value")
            return environment[name]

        return re.sub(r"\$\{([^}]*)\}", replace, value)

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
