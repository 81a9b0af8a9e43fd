"""``serve``: a live page that shows what happens on a stream, and changes nothing."""

import ctypes
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from datetime import timedelta
from typing import Annotated

import structlog
import typer

from bridge.cli.console import ConfigOption, DjangoOption, now, read_settings
from bridge.codecs.record import ConsumedRecord
from bridge.errors import Misconfigured
from bridge.health import parse_address
from bridge.kafka.admin import Admin
from bridge.kafka.connection import Connection, connect_settings
from bridge.kafka.following import Following
from bridge.kafka.offsets import Offsets
from bridge.observe.page.consumers import ConsumerWatch, Observed
from bridge.observe.page.dossiers import Dossiers, Reading
from bridge.observe.page.scrape import scrape
from bridge.observe.page.state import State
from bridge.observe.page.watching import Followed, Watching
from bridge.settings import Settings, StreamEntry, StreamTopic
from bridge.stopping import Stop, stop_on_signals
from bridge.telemetry import set_up_logging

__all__ = ["DEFAULT_ADDRESS", "serve"]

DEFAULT_ADDRESS = "127.0.0.1:8972"
_M_ARENA_MAX = -8
"""glibc's name for how many heaps there may be."""
HISTORY = timedelta(hours=24)
"""How far back the page looks when it is started."""


def serve(
    stream: Annotated[str, typer.Argument(help="The stream's key in DATA_SHARING.")],
    http: Annotated[str, typer.Option("--http", metavar="HOST:PORT", help="Where browsers reach it.")] = DEFAULT_ADDRESS,
    topic: Annotated[
        list[str] | None,
        typer.Option(
            "--topic", metavar="NAME", help="Only this topic; may be repeated. Else the stream's USER_TOPICS, or all."
        ),
    ] = None,
    start: Annotated[
        str, typer.Option("--from", metavar="earliest|latest|TIME", help="Where it begins; by default 24 hours ago.")
    ] = "",
    consumer_http: Annotated[
        list[str] | None,
        typer.Option(
            "--consumer-http", metavar="CONSUMER=HOST:PORT", help="The --http address of a consumer; may be repeated."
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="A name by which browsers reach the page, behind a web server."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
    config: ConfigOption = None,
    django_settings: DjangoOption = None,
) -> None:
    """Serve a live page of a stream: topics, events, targets with their light curves, consumers, dead letters."""
    try:
        from bridge.observe.page.app import make_app  # noqa: PLC0415  an extra: tom-bridge[serve]
        from bridge.observe.page.server import PageServer  # noqa: PLC0415
        from bridge.observe.page.streams import Streams  # noqa: PLC0415
    except ImportError as error:
        raise Misconfigured(f"the page needs more packages; from a clone: pip install '.[serve]' ({error})") from error
    _keep_memory_together()
    set_up_logging(verbose=verbose)
    log = structlog.get_logger()
    host, port = parse_address(http)
    settings = read_settings(config, django_settings)
    parts = _Parts(settings, stream, topic or [], _addresses(consumer_http or [], settings))
    stop = Stop()
    stop_on_signals(stop)
    with ExitStack() as stack:
        dossiers = stack.enter_context(Dossiers(begin=parts.read_all, address=parts.entry.address))
        state = State(
            stream=stream,
            title=parts.entry.DISPLAY_NAME,
            topics=parts.topics,
            dossiers=dossiers,
            address=parts.entry.address,
        )
        stack.enter_context(parts.watching(state, start, stack))
        streams = Streams(state)
        names = allow_host or []

        def app(is_loopback: bool) -> object:
            return make_app(state=state, streams=streams, hosts=names, any_host=not (is_loopback or names))

        server = stack.enter_context(PageServer(app, host=host, port=port))
        stack.callback(streams.close)
        log.info("page serves", url=server.url, topics=list(parts.topics), consumers=[each.name for each in parts.consumers])
        if not server.is_loopback:
            log.warning("whoever reaches this address reads all that is shared, without a login; put a web server before it")
        stop.wait()
        log.info("page stops")


class _Parts:
    """What the page is made of, as the settings say."""

    def __init__(self, settings: Settings, stream: str, only: list[str], addresses: dict[str, list[tuple[str, int]]]) -> None:
        self._settings = settings
        self._stream = stream
        self.entry: StreamEntry = settings.stream(stream)
        self._connection = connect_settings(stream, self.entry)
        self.consumers = [each for name in settings.consumer_names if (each := self._consumer(name, addresses.get(name, [])))]
        self.topics = self._topics(only)

    def watching(self, state: State, start: str, stack: ExitStack) -> Watching:
        """Return what watches; `stack` closes what it asks with."""
        letters = list(dict.fromkeys(each.letters for each in self.consumers if each.letters))
        return Watching(
            state=state,
            follow=lambda _again: self.follow(start),
            letters={name: self._letters(StreamTopic.parse(name)) for name in letters},
            offsets=stack.enter_context(closing(Offsets(self._connection))),
            topics=self.topics,
            consumers=[
                ConsumerWatch(
                    each, offsets=stack.enter_context(closing(Offsets(self._connection, group=each.group))), ask=scrape
                )
                for each in self.consumers
            ],
        )

    def follow(self, start: str) -> Following:
        """Begin to follow the topics, by default a day ago."""
        return Following(self._connection, topics=self.topics, start=start or (now() - HISTORY).isoformat())

    def read_all(self) -> Reading:
        """Begin to read all that the topics have."""
        return _WholeTopics(self._connection, self.topics)

    def _consumer(self, name: str, addresses: list[tuple[str, int]]) -> Observed | None:
        """Return a consumer of this stream; None for one of another."""
        try:
            found = self._settings.observed_consumer(name)
        except Misconfigured as error:
            return Observed(name=name, addresses=tuple(addresses), problem=str(error))
        if found.stream != self._stream:
            return None
        return Observed(
            name=name,
            title=self._settings.display_name(name),
            group=found.consumer_group(name),
            topics=tuple(found.topics),
            start=found.start,
            letters=str(found.dead_letter_topic(name)),
            addresses=tuple(addresses),
        )

    def _topics(self, only: list[str]) -> tuple[str, ...]:
        letters = {each.letters for each in self.consumers}
        wanted = only or self.entry.USER_TOPICS
        there = Admin(self._connection).topics()
        missing = [name for name in only if name not in there]
        chosen = [name for name in (wanted or there) if name in there]
        if not only:
            chosen = [name for name in chosen if f"{self._stream}:{name}" not in letters and not name.endswith(".dead-letters")]
        if missing or not chosen:
            names = ", ".join(missing or wanted) or "but dead letters"
            raise Misconfigured(
                f"stream {self._stream} ({self._connection.bootstrap}): no topic {names} that this login may see"
            )
        return tuple(chosen)

    def _letters(self, place: StreamTopic) -> Callable[[], Followed]:
        def follow() -> Followed:
            connection = connect_settings(place.stream, self._settings.stream(place.stream))
            return Following(connection, topics=[place.topic], start="earliest")

        return follow


class _WholeTopics:
    """Topics that are read from their beginning to their present end."""

    def __init__(self, connection: Connection, topics: tuple[str, ...]) -> None:
        with closing(Offsets(connection)) as offsets:
            self.total = sum(end - first for first, end in offsets.extents(topics).values())
        self._following = Following(connection, topics=topics, start="earliest")

    @property
    def drained(self) -> bool:
        return self._following.drained

    def poll(self, timeout_seconds: float) -> ConsumedRecord | None:
        return self._following.poll(timeout_seconds)

    def close(self) -> None:
        self._following.close()


def _keep_memory_together() -> None:
    """Let threads share what is free: glibc gives many of them a heap of their own, and each keeps what one reading needed.

    Reading for a dozen targets one after the other left 600 MB with the process; so it is a third of that.
    """
    with suppress(OSError, AttributeError):  # another C library, which has no such thing
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def _addresses(texts: list[str], settings: Settings) -> dict[str, list[tuple[str, int]]]:
    found: dict[str, list[tuple[str, int]]] = {}
    for text in texts:
        name, equals, address = text.partition("=")
        if not equals or name not in settings.consumer_names:
            known = ", ".join(settings.consumer_names) or "none"
            raise Misconfigured(
                f"--consumer-http {text!r}: expected CONSUMER=HOST:PORT, with a consumer of the settings; known are: {known}"
            )
        found.setdefault(name, []).append(parse_address(address))
    return found
