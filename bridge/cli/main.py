"""The root of the command line, with the commands that have no group of their own."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from bridge import __version__
from bridge.check import check as run_check
from bridge.cli import consuming, dead_letters, exporting, gateway, observing, publishing, schema, serving, topics
from bridge.cli.console import ConfigOption, DjangoOption, JsonOption, err, out, print_json, read_settings
from bridge.errors import BridgeError, Misconfigured
from bridge.telemetry import printable, set_up_logging

__all__ = ["app", "run"]

app = typer.Typer(
    name="tom-bridge",
    help="Share targets and data between TOMs as events over Kafka.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
    """Check configuration, broker, topics, logins and rights: each line is ok, or says what is wrong and what to do."""
    set_up_logging()
    wrong = 0
    colours = {"ok": "green", "warning": "yellow", "wrong": "bold red"}
    for finding in run_check(read_settings(config, django_settings)):
        wrong += finding.level == "wrong"
        if as_json:
            print_json({"what": finding.what, "level": finding.level, "detail": finding.detail})
        else:
            level = f"[{colours[finding.level]}]{finding.level:7}[/]"
            out.print(f"{level} [bold]{escape(finding.what)}[/]: {escape(printable(finding.detail))}", highlight=False)
    if wrong:
        raise typer.Exit(1)


app.command()(publishing.publish)
app.command()(consuming.consume)
app.command()(publishing.share)
app.command("export")(exporting.export_table)
app.command()(exporting.plot)
app.command()(observing.tail)
app.command()(gateway.gateway)
app.command()(serving.serve)


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running, and print addresses and logins.")] = False,
    directory: Annotated[Path | None, typer.Option("--directory", help="Where the demo's TOMs live.")] = None,
) -> None:
    """Set up two real TOMs and a broker, share some real objects, and compare what arrived, field by field."""
    from bridge.demo.run import run_demo  # noqa: PLC0415  only the demo needs it

    set_up_logging()
    raise typer.Exit(run_demo(console=out, keep=keep, directory=directory))


app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(topics.app, name="topics")
app.add_typer(schema.app, name="schema")
