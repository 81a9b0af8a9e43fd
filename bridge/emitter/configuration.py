"""What this TOM's settings.py says to the emitter: its streams, its name and address, and how the emitter works."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.conf import settings
from pydantic import ValidationError

from bridge.errors import Misconfigured
from bridge.events import TomIdentity
from bridge.settings import DEFAULT_TOM_NAME, EmitterSettings, HermesEntry, Settings, StreamEntry, StreamTopic, TomEntry

__all__ = [
    "Configuration",
    "Stream",
    "is_hub",
    "is_stream",
    "read_configuration",
    "read_problems",
    "runs_relay_in_web_process",
]

ORIGIN = "settings.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A stream that this TOM emits to, and as whom."""

    key: str
    entry: StreamEntry | HermesEntry
    tom: TomIdentity

    def destination(self, topic: str) -> str:
        """Return ``<key>:<topic>``."""
        return str(StreamTopic(self.key, topic))


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """All that the emitter is told."""

    streams: Mapping[str, Stream]
    emitter: EmitterSettings

    def stream_of(self, destination: str) -> Stream | None:
        """Return the stream of ``<key>:<topic>``, or None if that is none, or no topic that this TOM offers."""
        try:
            place = StreamTopic.parse(destination)
        except ValueError:
            return None
        stream = self.streams.get(place.stream)
        if stream is None or (stream.entry.USER_TOPICS and place.topic not in stream.entry.USER_TOPICS):
            return None
        return stream


def is_stream(destination: str) -> bool:
    """Whether a destination, as TOM Toolkit writes it, is one of this TOM's streams, whatever state it is in.

    An entry of Hermes is one if it has SOURCE_URL; else it is left to TOM Toolkit.
    """
    entry = _sharing().get(destination.partition(":")[0])
    if not isinstance(entry, Mapping):
        return False
    is_hermes = "HERMES_API_KEY" in entry or "CREDENTIAL_USERNAME" in entry
    return str(entry.get("BASE_URL", "")).startswith("kafka:") or (is_hermes and "SOURCE_URL" in entry)


def is_hub() -> bool:
    """Whether any stream says that what came to this TOM through the bridge is passed on."""
    return any(is_stream(key) and entry.get("HUB") for key, entry in _sharing().items() if isinstance(entry, Mapping))


def read_configuration() -> Configuration:
    """Read and check everything.

    Raises
    ------
    Misconfigured
        Naming every setting that is wrong, and what to do about it.
    """
    streams, problems = {}, list[str]()
    for key in _stream_keys():
        try:
            streams[key] = _stream(key)
        except Misconfigured as error:
            problems.append(str(error))
    try:
        emitter = EmitterSettings.model_validate(getattr(settings, "TOM_BRIDGE", {}))
    except ValidationError as error:
        problems += [f"{ORIGIN}: TOM_BRIDGE {line}" for line in _complaints(error)]
        emitter = EmitterSettings()
    if problems:
        raise Misconfigured("\n".join(problems))
    return Configuration(streams=streams, emitter=emitter)


def runs_relay_in_web_process() -> bool:
    """Whether the web server is to run a relay; False as long as anything in the settings is wrong."""
    return not read_problems() and read_configuration().emitter.RELAY_IN_WEB_PROCESS


def read_problems() -> list[str]:
    """Return what is wrong with the settings, one a line."""
    try:
        read_configuration()
    except Misconfigured as error:
        return str(error).splitlines()
    return []


def _sharing() -> Mapping[str, object]:
    sharing = getattr(settings, "DATA_SHARING", None)
    return sharing if isinstance(sharing, Mapping) else {}


def _stream_keys() -> Iterable[str]:
    return [key for key in _sharing() if is_stream(key)]


def _stream(key: str) -> Stream:
    entry = Settings(origin=ORIGIN, sharing=_sharing(), consumers={}, environment=None).entry(key)
    where = f"{ORIGIN}: [DATA_SHARING.{key}]"
    if isinstance(entry, TomEntry):
        raise Misconfigured(f"{where}: a stream is needed here")  # `is_stream` has looked before
    name = str(getattr(settings, "TOM_NAME", "") or "")
    if not entry.SOURCE_URL:
        raise Misconfigured(
            f"{where} SOURCE_URL: missing; add this TOM's own public address, for instance 'https://my-tom.org/', "
            "by which others know where its events come from"
        )
    if not name or name == DEFAULT_TOM_NAME:
        raise Misconfigured(
            f"{ORIGIN}: TOM_NAME: still {DEFAULT_TOM_NAME!r}; give this TOM a name of its own, which others will see in "
            "'Imported from <TOM name>'"
        )
    try:
        tom = TomIdentity(name=name, url=entry.SOURCE_URL)
    except ValidationError as error:
        raise Misconfigured("\n".join(f"{where} SOURCE_URL or TOM_NAME, {line}" for line in _complaints(error))) from None
    if entry.EMIT == "all" and not entry.EMIT_GROUPS:
        raise Misconfigured(
            f"{where} EMIT_GROUPS: missing; EMIT = 'all' needs the groups whose targets and data go out, such as ['Public']"
        )
    if entry.EMIT == "all" and not entry.USER_TOPICS:
        raise Misconfigured(f"{where} USER_TOPICS: missing; EMIT = 'all' needs the topics that everything goes to")
    return Stream(key=key, entry=entry, tom=tom)


def _complaints(error: ValidationError) -> list[str]:
    return [
        f"{'.'.join(map(str, problem['loc']))}: {problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors(include_url=False, include_input=False)
    ]
