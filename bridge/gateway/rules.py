"""Hermes' rules for a message (its ``hermes/serializers.py``): what it takes, and the form in which it publishes that.

A reader of the topic gets from here what it would get from Hermes: numbers as numbers, positions in degrees, defaults said,
null and empty values left out of ``data``, unknown keys of rows dropped, and those of ``data`` itself passed on.

Three things are taken that Hermes refuses, because TOM Toolkit sends them: ``authors`` and ``message_text`` of null, which are
empty then, and no ``submitter``, which is the client's name then.
"""

from collections.abc import Iterator
from typing import cast

from pydantic import JsonValue

from bridge.codecs.hermes.vocabulary import ROWS
from bridge.gateway.fields import Errors, Json
from bridge.gateway.schema import DATA_FIELDS, ELSEWHERE, MESSAGE

__all__ = ["checked", "complaints", "without_refused_rows"]

MOST_COMPLAINTS = 50
"""Sentences that a person is shown at a time."""


def checked(document: JsonValue, *, submitter: str) -> Json:
    """Return a message as Hermes publishes it.

    Parameters
    ----------
    document
        What was submitted.
    submitter
        Of a message that names none.

    Raises
    ------
    Refused
        If Hermes' rules, or what this gateway can do, refuse it.
    """
    if isinstance(document, dict):
        given = {key: document[key] for key in ("authors", "message_text") if document.get(key) is not None}
        named = document.get("submitter")
        unnamed = named is None or (isinstance(named, str) and not named.strip())
        rest = {key: value for key, value in document.items() if key not in {"authors", "message_text"}}
        document = {**rest, **given, "submitter": submitter if unnamed else named}
    found = MESSAGE(document)
    for key in ELSEWHERE:
        del found[key]
    if found["data"] is None:
        del found["data"]
    if isinstance(document, dict) and isinstance(given_data := document.get("data"), dict):
        passed_on = {key: value for key, value in given_data.items() if key not in DATA_FIELDS}
        found["data"] = {**cast("Json", found["data"]), **passed_on}
    return found


def without_refused_rows(document: JsonValue, errors: Errors) -> tuple[Json, int] | None:
    """Return a message without the rows that were refused, and how many these are; None if something else is wrong with it.

    Parameters
    ----------
    document
        What was submitted.
    errors
        Of `Refused`, about it.
    """
    if not isinstance(document, dict) or not isinstance(errors, dict) or set(errors) != {"data"}:
        return None
    data, wrong = document.get("data"), errors["data"]
    if not isinstance(data, dict) or not isinstance(wrong, dict) or not set(wrong) <= set(ROWS):
        return None
    kept, count = dict(data), 0
    for name, of_rows in wrong.items():
        rows = data[name]
        if not isinstance(rows, list) or not isinstance(of_rows, list):
            return None
        refused = {index for index, error in enumerate(of_rows) if error}
        kept[name] = [row for index, row in enumerate(rows) if index not in refused]
        count += len(refused)
    return {**document, "data": kept}, count


def complaints(errors: Errors) -> list[str]:
    """Return errors as sentences for a person, each after the place that it is about, and how many more there are."""
    every = [f"{place}: {why}" if place else why for place, why in _sentences(errors, "")]
    more = len(every) - MOST_COMPLAINTS
    return [*every[:MOST_COMPLAINTS], *([f"and {more:,} more"] if more > 0 else [])]


def _sentences(errors: Errors, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(errors, dict):
        for key, inner in errors.items():
            beyond = "" if key == "non_field_errors" else f".{key}"
            yield from _sentences(inner, f"{place}{beyond}".removeprefix("."))
    elif isinstance(errors, list):
        for index, inner in enumerate(errors):
            if isinstance(inner, str):
                yield place, inner
            else:
                yield from _sentences(inner, f"{place}[{index}]")
