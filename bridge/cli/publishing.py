"""``publish`` and ``share``: events from a file, or from a TOM's API, to a topic of a stream or of Hermes."""

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from bridge.cli.console import ConfigOption, DjangoOption, counted, now, out, progress, read_settings, warn
from bridge.codecs import native
from bridge.errors import Misconfigured, Poison
from bridge.events import ListMember, ShareBody, ShareEvent, TargetListShared, TomIdentity
from bridge.publishing import Destination
from bridge.settings import DEFAULT_TOM_NAME, Settings
from bridge.telemetry import set_up_logging
from bridge.tom.reading import TomReader
from bridge.tom.session import TomSession

__all__ = ["publish", "read_events", "share"]

ToOption = Annotated[str, typer.Option("--to", metavar="STREAM:TOPIC", help="Where to publish.")]


def publish(
    file: Annotated[str, typer.Argument(help="CloudEvents, one JSON object a line; - for standard input.")],
    to: ToOption,
    config: ConfigOption = None,
    django_settings: DjangoOption = None,
) -> None:
    """Validate share events and publish them. Nothing is published if one of them is wrong."""
    set_up_logging()
    with closing(Destination(read_settings(config, django_settings), to, warn=warn)) as destination:
        events = list(read_events(file))
        with progress("publishing events", len(events)) as advance:
            count = destination.publish(events, on_published=advance)
    out.print(f"{counted(count, 'event')} published to {to}")


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
    settings = read_settings(config, django_settings)
    entry = settings.tom(tom)
    identity = _identity(settings, tom, entry.DISPLAY_NAME, entry.BASE_URL)
    with closing(Destination(settings, to, warn=warn)) as destination, closing(TomSession(tom, entry)) as session:
        reader = TomReader(session=session, tom=identity, submitter=entry.USERNAME, warn=warn)
        rows = [reader.find(name) for name in targets]
        rows = list({row["id"]: row for row in rows}.values())
        lists = (list_name,) if list_name else ()
        bodies: list[ShareBody] = []
        with progress("reading targets", len(rows)) as advance:
            for number, row in enumerate(rows, 1):
                bodies += reader.read(row, lists=lists, with_data=not no_data)
                advance(number)
        if list_name:
            members = tuple(ListMember(name=row["name"], primary_key=row["id"]) for row in rows)
            bodies.append(TargetListShared(tom=identity, submitter=entry.USERNAME, name=list_name, members=members))
        with progress("publishing events", len(bodies)) as advance:
            count = destination.publish([native.new_event(body, now=now()) for body in bodies], on_published=advance)
    out.print(f"{counted(len(rows), 'target')} shared: {counted(count, 'event')} published to {to}")


def read_events(file: str) -> Iterator[ShareEvent]:
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


def _identity(settings: Settings, key: str, name: str, url: str) -> TomIdentity:
    where = f"{settings.origin}: [DATA_SHARING.{key}] DISPLAY_NAME"
    if not name or name == DEFAULT_TOM_NAME:
        raise Misconfigured(f"{where}: give the TOM's name; others see it in 'Imported from <name>'")
    try:
        return TomIdentity(name=name, url=url)
    except ValidationError as error:
        raise Misconfigured(f"{where}: {error.errors(include_url=False, include_input=False)[0]['msg']}") from error
