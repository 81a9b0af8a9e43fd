"""``dead-letters``: list, show, replay and export what a consumer could not write."""

import base64
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from bridge.cli.console import (
    ConfigOption,
    DjangoOption,
    JsonOption,
    counted,
    now,
    out,
    print_json,
    progress,
    read_settings,
    warn,
)
from bridge.cli.consuming import DestinationArgument, Parts
from bridge.codecs import native
from bridge.codecs.dead_letter import DeadLetter, open_letters
from bridge.consumer.intake import Intake
from bridge.consumer.replay import Replay, choose
from bridge.consumer.reporting import joined
from bridge.errors import Misconfigured, Rejected
from bridge.events import utc_text
from bridge.kafka.reading import read_to_end
from bridge.telemetry import printable, set_up_logging

__all__ = ["app"]

app = typer.Typer(help="What a consumer could not write: list, show, replay, export.", no_args_is_help=True)

ReasonOption = Annotated[
    list[str] | None, typer.Option("--reason", metavar="CODE", help="Only of this reason; may be repeated.")
]
TargetOption = Annotated[str, typer.Option("--target", metavar="NAME", help="Only about the target of this name or alias.")]
SinceOption = Annotated[str, typer.Option("--since", metavar="TIME", help="Only from this time on, e.g. 2026-11-01T00:00Z.")]
UntilOption = Annotated[str, typer.Option("--until", metavar="TIME", help="Only before this time.")]


@app.command("list")
def dead_letters_list(
    destination: DestinationArgument,
    reason: ReasonOption = None,
    target: TargetOption = "",
    since: SinceOption = "",
    until: UntilOption = "",
    config: ConfigOption = None,
    django_settings: DjangoOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the dead letters that have not come to their end."""
    parts = Parts(read_settings(config, django_settings), destination)
    letters = choose(_read(parts).values(), intake=parts.intake, **_conditions(reason, target, since, until))
    if as_json:
        for letter in letters:
            print_json(_summary(letter, parts.intake))
        return
    table = Table("id", "time", "reason", "source", "about", "why")
    for letter in letters:
        about = _summary(letter, parts.intake)
        cells = (letter.id, letter.time[:19], letter.reason, about["source"], about["about"], letter.detail)
        table.add_row(*(escape(printable(str(cell))) for cell in cells))
    if letters:
        out.print(table)
    reasons = Counter(letter.reason for letter in letters)
    by_reason = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    out.print(f"{counted(len(letters), 'dead letter')}{f': {by_reason}' if by_reason else ''}", highlight=False)


@app.command("show")
def dead_letters_show(
    destination: DestinationArgument,
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="As the list shows it.")],
    config: ConfigOption = None,
    django_settings: DjangoOption = None,
) -> None:
    """Show one dead letter with all that is known of it, as JSON."""
    parts = Parts(read_settings(config, django_settings), destination)
    [letter] = _named(_read(parts), [letter_id], destination)
    print_json(_document(letter, parts.intake), indent=2)


@app.command("replay")
def dead_letters_replay(
    destination: DestinationArgument,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="As the list shows them.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    reason: ReasonOption = None,
    target: TargetOption = "",
    since: SinceOption = "",
    until: UntilOption = "",
    config: ConfigOption = None,
    django_settings: DjangoOption = None,
) -> None:
    """Write dead letters once more, also while the consumer runs. What is refused again is a dead letter again, once."""
    conditions = _conditions(reason, target, since, until)
    if not (ids or everything or any(conditions.values())):
        raise Misconfigured("say which dead letters: by id, --reason, --target, --since, --until, or --all")
    set_up_logging()
    parts = Parts(read_settings(config, django_settings), destination)
    found = _read(parts)
    letters = choose(_named(found, ids, destination) if ids else found.values(), intake=parts.intake, **conditions)
    ends: Counter[str] = Counter()
    with parts.destination() as (session, writes), progress("replaying", len(letters)) as advance:
        session.connect()
        replay = Replay(
            intake=parts.intake,
            destination=writes,
            letters=parts.dead_letters(),
            now=now,
            current=parts.current,
        )
        for letter, outcome in replay.run(letters):
            ends[outcome.end] += 1
            advance(ends.total())
            if outcome.is_dead_letter:
                warn(f"{letter.id}: {outcome.reason}: {outcome.detail}")
    summary = ", ".join(f"{count} {end}" for end, count in sorted(ends.items()))
    out.print(f"{counted(len(letters), 'dead letter')} replayed{f': {summary}' if summary else ''}", highlight=False)
    if ends["refused"] or ends["partial"]:
        raise typer.Exit(1)


@app.command("export")
def dead_letters_export(
    destination: DestinationArgument,
    reason: ReasonOption = None,
    target: TargetOption = "",
    since: SinceOption = "",
    until: UntilOption = "",
    config: ConfigOption = None,
    django_settings: DjangoOption = None,
) -> None:
    """Print the dead letters as JSON, one a line, each with its record: key, headers and value in base64."""
    parts = Parts(read_settings(config, django_settings), destination)
    for letter in choose(_read(parts).values(), intake=parts.intake, **_conditions(reason, target, since, until)):
        print_json(_document(letter, parts.intake) | {"record": _record(letter)})


def _read(parts: Parts) -> dict[str, DeadLetter]:
    return open_letters(read_to_end(parts.letters_connection, parts.letters_to.topic), destination=parts.name)


def _named(letters: dict[str, DeadLetter], ids: Iterable[str], destination: str) -> list[DeadLetter]:
    missing = [name for name in ids if name not in letters]
    if missing:
        raise Rejected("no_such_dead_letter", f"{', '.join(missing)}: see tom-bridge dead-letters list {destination}")
    return [letters[name] for name in dict.fromkeys(ids)]


def _conditions(reason: list[str] | None, target: str, since: str, until: str) -> dict[str, Any]:
    return {"reasons": reason or [], "target": target, "since": _time("--since", since), "until": _time("--until", until)}


def _time(option: str, text: str) -> str:
    if not text:
        return ""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Misconfigured(f"{option}: expected a time, for instance 2026-11-01T00:00Z") from None
    return utc_text(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _summary(letter: DeadLetter, intake: Intake) -> dict[str, Any]:
    events = intake.events_of(letter)
    return {
        "id": letter.id,
        "time": letter.time,
        "reason": letter.reason,
        "detail": letter.detail,
        "source": joined(event.source for event in events),
        "type": joined(event.type for event in events),
        "about": joined(event.body.subject for event in events),
        "origin": letter.origin,
        "attempts": letter.attempts,
        "replays": letter.replays,
    }


def _document(letter: DeadLetter, intake: Intake) -> dict[str, Any]:
    return {
        **_summary(letter, intake),
        "candidates": list(letter.candidates),
        "items": [{"item": item, "reason": reason, "detail": detail} for item, reason, detail in letter.items],
        "left_out_bytes": letter.left_out_bytes,
        "left_out_sha256": letter.left_out_sha256,
        "events": [json.loads(native.to_structured(event)) for event in intake.events_of(letter)],
    }


def _record(letter: DeadLetter) -> dict[str, Any]:
    record = letter.record

    def text(value: bytes | None) -> str | None:
        return None if value is None else base64.b64encode(value).decode()

    return {"key": text(record.key), "headers": list(_pairs(record.headers)), "value": text(record.value)}


def _pairs(headers: Iterable[tuple[str, bytes]]) -> Iterator[list[str]]:
    for name, value in headers:
        yield [name, base64.b64encode(value).decode()]
