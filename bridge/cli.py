"""The command line: parse, build, run, print. Results on stdout, logs and progress on stderr."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from bridge import __version__, schemas
from bridge.check import check as run_check
from bridge.codecs import native
from bridge.codecs.echo import echo_headers
from bridge.consumer.dead_letters import DeadLetters
from bridge.consumer.destination import Destination
from bridge.consumer.pipeline import Pipeline
from bridge.errors import BridgeError, Misconfigured, Poison, Retryable
from bridge.events import EVENT_TYPES, ListMember, ShareBody, ShareEvent, TargetListShared, TomIdentity
from bridge.kafka.admin import Admin
from bridge.kafka.connection import Connection, connect_settings
from bridge.kafka.embedded import EmbeddedBroker
from bridge.kafka.publisher import Publisher
from bridge.kafka.subscription import Subscription
from bridge.settings import DEFAULT_TOM_NAME, Settings
from bridge.telemetry import printable, set_up_logging
from bridge.tom.reading import TomReader
from bridge.tom.session import TomSession

__all__ = ["app", "run"]

DEFAULT_FILES = ("bridge.toml", "config/bridge.toml")

app = typer.Typer(
    name="tom-bridge",
    help="Share targets and data between TOMs as events over Kafka.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
topics_app = typer.Typer(help="Topics of a stream: list, describe, create.", no_args_is_help=True)
schema_app = typer.Typer(help="The format of share events: list, show, validate, write.", no_args_is_help=True)
app.add_typer(topics_app, name="topics")
app.add_typer(schema_app, name="schema")

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="TOM_BRIDGE_CONFIG", help=f"TOML file; default: {' or '.join(DEFAULT_FILES)}."),
]
DjangoOption = Annotated[
    str | None,
    typer.Option("--django-settings", help="Read DATA_SHARING from this Django settings module instead of a file."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
ToOption = Annotated[str, typer.Option("--to", metavar="STREAM:TOPIC", help="Where to publish.")]


def run() -> None:
    """Run the command line; what goes wrong becomes a sentence and an exit code (1: the work failed, 2: configuration)."""
    try:
        app(standalone_mode=True)
    except BridgeError as error:
        err.print(f"[bold red]tom-bridge:[/] {escape(printable(str(error)))}")
        sys.exit(2 if isinstance(error, Misconfigured) else 1)
    except KeyboardInterrupt:
        sys.exit(130)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        print(f"tom-bridge {__version__}")  # noqa: T201  a result
        raise typer.Exit


@app.command()
def check(config: ConfigOption = None, django_settings: DjangoOption = None, as_json: JsonOption = False) -> None:
    """Check configuration, broker, topics and TOM logins: each line is ok, or says what is wrong and what to do."""
    set_up_logging()
    wrong = 0
    colours = {"ok": "green", "warning": "yellow", "wrong": "bold red"}
    for finding in run_check(_settings(config, django_settings)):
        wrong += finding.level == "wrong"
        if as_json:
            _print_json({"what": finding.what, "level": finding.level, "detail": finding.detail})
        else:
            level = f"[{colours[finding.level]}]{finding.level:7}[/]"
            out.print(f"{level} [bold]{escape(finding.what)}[/]: {escape(printable(finding.detail))}", highlight=False)
    if wrong:
        raise typer.Exit(1)


@app.command()
def publish(
    file: Annotated[str, typer.Argument(help="CloudEvents, one JSON object a line; - for standard input.")],
    to: ToOption,
    config: ConfigOption = None,
    django_settings: DjangoOption = None,
) -> None:
    """Validate share events and publish them. Nothing is published if one of them is wrong."""
    set_up_logging()
    stream, place = _settings(config, django_settings).stream_topic(to)
    connection = connect_settings(place.stream, stream)
    events = list(_read_events(file))
    count = _publish(connection, place.topic, events)
    out.print(f"{_number(count, 'event')} published to {to}")


@app.command()
def consume(
    destination: Annotated[str, typer.Argument(help="Name of the consumer: the destination's key in DATA_SHARING.")],
    drain: Annotated[bool, typer.Option("--drain", help="Run up to the topics' present end, then exit.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be written; write nothing, commit nothing.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
    config: ConfigOption = None,
    django_settings: DjangoOption = None,
) -> None:
    """Run a consumer: write what is shared on its topics into its destination TOM."""
    set_up_logging(verbose=verbose)
    settings = _settings(config, django_settings)
    consumer = settings.consumer(destination)
    connection = connect_settings(consumer.stream, settings.stream(consumer.stream))
    letters_to = consumer.dead_letter_topic(destination)
    log = structlog.get_logger()
    marks: dict[str, str] = {}
    session = TomSession(destination, settings.tom(destination), marks=lambda: marks)
    try:
        session.connect()
    except Retryable as error:
        if drain:
            raise
        log.warning("destination is away; its events wait", why=error.detail)
    publisher = Publisher(connect_settings(letters_to.stream, settings.stream(letters_to.stream)))
    if letters_to.topic not in Admin(connect_settings(letters_to.stream, settings.stream(letters_to.stream))).topics():
        raise Misconfigured(
            f"the dead-letter topic {letters_to} does not exist; create it: tom-bridge topics create {letters_to}"
        )
    if "*" in consumer.accept_sources:
        log.warning('accept_sources = ["*"]: events that claim to come from any TOM are acted on', consumer=destination)
    group = consumer.group_id or f"tom-bridge.{destination}"
    records = Subscription(
        connection,
        topics=consumer.topics,
        group=f"{group}.dry-run" if dry_run else group,
        start=consumer.start,
        commits=not dry_run,
    )

    def mark(event: ShareEvent | None) -> None:
        marks.clear()
        if event:
            marks.update(echo_headers(event))

    pipeline = Pipeline(
        name=destination,
        url=session.url,
        settings=consumer,
        records=records,
        destination=Destination.build(session, consumer, dry_run=dry_run),
        dead_letters=None if dry_run else DeadLetters(publisher=publisher, topic=letters_to.topic, destination=destination),
        now=_now,
        log=log,
        on_event=mark,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: pipeline.stop.set())
    with closing(session), closing(records):
        ends = pipeline.run(drain=drain)
    summary = ", ".join(f"{count} {end}" for end, count in sorted(ends.items())) or "no events"
    out.print(f"{destination}: {summary}", highlight=False)


@app.command()
def share(
    tom: Annotated[str, typer.Argument(help="The TOM to read from: its key in DATA_SHARING.")],
    targets: Annotated[list[str], typer.Argument(help="Names, aliases, or #<primary key> of targets there.")],
    to: ToOption,
    list_name: Annotated[str, typer.Option("--list", help="Share them as a target list of this name.")] = "",
    no_data: Annotated[bool, typer.Option("--no-data", help="Only the targets, without datums and data products.")] = False,
    config: ConfigOption = None,
    django_settings: DjangoOption = None,
) -> None:
    """Read targets of a TOM through its API, and publish them with their data. Nothing has to be installed there."""
    set_up_logging()
    settings = _settings(config, django_settings)
    stream, place = settings.stream_topic(to)
    entry = settings.tom(tom)
    identity = _identity(settings, tom, entry.DISPLAY_NAME, entry.BASE_URL)
    connection = connect_settings(place.stream, stream)
    with closing(TomSession(tom, entry)) as session:
        reader = TomReader(session=session, tom=identity, submitter=entry.USERNAME, warn=_warn)
        rows = [reader.find(name) for name in targets]
        rows = list({row["id"]: row for row in rows}.values())
        lists = (list_name,) if list_name else ()
        bodies: list[ShareBody] = []
        with _progress("reading targets", len(rows)) as advance:
            for number, row in enumerate(rows, 1):
                bodies += reader.read(row, lists=lists, with_data=not no_data)
                advance(number)
    if list_name:
        members = tuple(ListMember(name=row["name"], primary_key=row["id"]) for row in rows)
        bodies.append(TargetListShared(tom=identity, submitter=entry.USERNAME, name=list_name, members=members))
    count = _publish(connection, place.topic, [native.new_event(body, now=_now()) for body in bodies])
    out.print(f"{_number(len(rows), 'target')} shared: {_number(count, 'event')} published to {to}")


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running, and print addresses and logins.")] = False,
    directory: Annotated[Path | None, typer.Option("--directory", help="Where the demo's TOMs live.")] = None,
) -> None:
    """Set up two real TOMs and a broker, share some real objects, and compare what arrived, field by field."""
    from bridge.demo.run import run_demo  # noqa: PLC0415  only the demo needs it

    set_up_logging()
    raise typer.Exit(run_demo(console=out, keep=keep, directory=directory))


StreamArgument = Annotated[str, typer.Argument(metavar="STREAM", help="Key of the stream in DATA_SHARING.")]
PlaceArgument = Annotated[str, typer.Argument(metavar="STREAM:TOPIC", help="A topic of a stream.")]


@topics_app.command("list")
def topics_list(
    stream: StreamArgument,
    config: ConfigOption = None,
    django_settings: DjangoOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the topics of a stream that its login may see."""
    settings = _settings(config, django_settings)
    topics = Admin(connect_settings(stream, settings.stream(stream))).topics()
    if as_json:
        for topic in topics.values():
            _print_json({"topic": topic.name, "partitions": topic.partitions, "replicas": topic.replicas})
        return
    table = Table("topic", "partitions", "replicas")
    for topic in topics.values():
        table.add_row(topic.name, str(topic.partitions), str(topic.replicas))
    out.print(table)


@topics_app.command("describe")
def topics_describe(
    place: PlaceArgument, config: ConfigOption = None, django_settings: DjangoOption = None, as_json: JsonOption = False
) -> None:
    """Show the partitions of a topic, and how many events each keeps."""
    stream, topic = _settings(config, django_settings).stream_topic(place, only_user_topics=False)
    extents = Admin(connect_settings(topic.stream, stream)).extents(topic.topic)
    if as_json:
        for number, (low, high) in extents.items():
            _print_json({"partition": number, "first_offset": low, "next_offset": high})
        return
    table = Table("partition", "first offset", "next offset", "events kept at most")
    for number, (low, high) in extents.items():
        table.add_row(str(number), str(low), str(high), str(high - low))
    out.print(table)


@topics_app.command("create")
def topics_create(
    place: PlaceArgument,
    partitions: Annotated[int, typer.Option(min=1, help="Can't be lowered later; raising it breaks order.")] = 4,
    replicas: Annotated[int, typer.Option(min=1, help="Copies of each partition; 3 on a cluster that matters.")] = 1,
    config: ConfigOption = None,
    django_settings: DjangoOption = None,
) -> None:
    """Create a topic."""
    stream, topic = _settings(config, django_settings).stream_topic(place, only_user_topics=False)
    Admin(connect_settings(topic.stream, stream)).create(topic.topic, partitions=partitions, replicas=replicas)
    out.print(f"{place} created with {_number(partitions, 'partition')}")


TypeArgument = Annotated[str, typer.Argument(metavar="TYPE", help="A type of share event.")]


@schema_app.command("list")
def schema_list() -> None:
    """List the types of share events."""
    for event_type, model in EVENT_TYPES.items():
        out.print(f"{event_type:32} {(model.__doc__ or '').splitlines()[0]}", highlight=False)


@schema_app.command("show")
def schema_show(event_type: TypeArgument) -> None:
    """Print the JSON Schema of a type."""
    if event_type not in EVENT_TYPES:
        raise Misconfigured(f"{event_type!r} is no type of share event; there are: {', '.join(EVENT_TYPES)}")
    _print_json(schemas.json_schema(event_type), indent=2)


@schema_app.command("validate")
def schema_validate(
    file: Annotated[str, typer.Argument(help="CloudEvents, one JSON object a line; - for standard input.")],
) -> None:
    """Validate share events, without publishing them."""
    count = sum(1 for _event in _read_events(file))
    out.print(f"{_number(count, 'event')}, all valid")


@schema_app.command("write")
def schema_write(
    directory: Annotated[Path, typer.Argument(help="The folder schemas/.")] = Path("schemas"),
    only_check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if a file is out of date.")] = False,
) -> None:
    """Write the JSON Schemas, examples and AsyncAPI document into a folder."""
    if only_check:
        stale = schemas.out_of_date(directory)
        if stale:
            raise Poison("schemas_out_of_date", f"{', '.join(stale)}: not what the models say; run tom-bridge schema write")
        out.print(f"{directory}: up to date")
        return
    for name, text in schemas.documents():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    out.print(f"{directory}: written")


def _settings(config: Path | None, django_settings: str | None) -> Settings:
    if django_settings:
        return Settings.from_django(django_settings)
    found = config or next((Path(name) for name in DEFAULT_FILES if Path(name).is_file()), Path(DEFAULT_FILES[0]))
    return Settings.from_toml(found)


def _identity(settings: Settings, key: str, name: str, url: str) -> TomIdentity:
    where = f"{settings.origin}: [DATA_SHARING.{key}] DISPLAY_NAME"
    if not name or name == DEFAULT_TOM_NAME:
        raise Misconfigured(f"{where}: give the TOM's name; others see it in 'Imported from <name>'")
    try:
        return TomIdentity(name=name, url=url)
    except ValidationError as error:
        raise Misconfigured(f"{where}: {error.errors(include_url=False, include_input=False)[0]['msg']}") from error


def _read_events(file: str) -> Iterator[ShareEvent]:
    """Read structured CloudEvents, one a line; a complaint names the line."""
    try:
        text = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise Misconfigured(f"{file}: cannot be read ({error.strerror})") from error
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            event = native.from_structured(_object(native.parse_json(line)))
            native.encode(event)
        except Poison as error:
            raise Poison(error.reason, f"{file}, line {number}: {error.detail}") from error
        except (native.Ignored, ValueError) as error:
            raise Poison("not_publishable", f"{file}, line {number}: {error}") from error
        yield event


def _object(document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise Poison("bad_event", "not a JSON object; a structured CloudEvent is one")
    return document


def _publish(connection: Connection, topic: str, events: list[ShareEvent]) -> int:
    try:
        records = [native.encode(event) for event in events]
    except ValueError as error:
        raise Poison("too_large", f"nothing was published: {error}") from error
    if Admin(connection).is_embedded():
        EmbeddedBroker.guard(sum(record.size for record in records))
    publisher = Publisher(connection)
    with _progress("publishing events", len(events)) as advance:
        return publisher.publish(topic, records, on_delivered=advance)


@contextmanager
def _progress(what: str, total: int) -> Iterator[Any]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)


def _number(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _warn(text: str) -> None:
    err.print(f"[yellow]warning:[/] {escape(printable(text))}", highlight=False)


def _print_json(document: object, indent: int | None = None) -> None:
    print(json.dumps(document, ensure_ascii=False, indent=indent))  # noqa: T201  results go to stdout


def _now() -> datetime:
    return datetime.now(UTC)
