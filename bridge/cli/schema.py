"""``schema``: the format of share events."""

from pathlib import Path
from typing import Annotated

import typer

from bridge import schemas
from bridge.cli.console import counted, out, print_json
from bridge.cli.publishing import read_events
from bridge.errors import Misconfigured, Poison
from bridge.events import EVENT_TYPES

__all__ = ["app"]

app = typer.Typer(help="The format of share events: list, show, validate, write.", no_args_is_help=True)

TypeArgument = Annotated[str, typer.Argument(metavar="TYPE", help="A type of share event.")]


@app.command("list")
def schema_list() -> None:
    """List the types of share events."""
    for event_type, model in EVENT_TYPES.items():
        out.print(f"{event_type:32} {(model.__doc__ or '').splitlines()[0]}", highlight=False)


@app.command("show")
def schema_show(event_type: TypeArgument) -> None:
    """Print the JSON Schema of a type."""
    if event_type not in EVENT_TYPES:
        raise Misconfigured(f"{event_type!r} is no type of share event; there are: {', '.join(EVENT_TYPES)}")
    print_json(schemas.json_schema(event_type), indent=2)


@app.command("validate")
def schema_validate(
    file: Annotated[str, typer.Argument(help="CloudEvents, one JSON object a line; - for standard input.")],
) -> None:
    """Validate share events, without publishing them."""
    count = sum(1 for _event in read_events(file))
    out.print(f"{counted(count, 'event')}, all valid")


@app.command("write")
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
