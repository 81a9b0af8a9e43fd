"""Dead letters as records: their own bytes and headers, and ours that say why they are there and what became of them.

====================================  ==============================================================================
``dead_letter_reason``, ``_detail``   why: a stable code, and a sentence
``dead_letter_destination``           name of the consumer
``dead_letter_origin``                ``topic[partition]@offset`` of the record
``dead_letter_time``                  when it became one
``dead_letter_attempts``              how often writing it was begun
``dead_letter_replays``               how often it was replayed before, if it was
``dead_letter_candidates``            JSON: the targets in question
``dead_letter_items``                 JSON: items that were refused, each with its reason and a sentence
``dead_letter_datums``                JSON: numbers of the datums in the event that were refused, if nothing else was
``dead_letter_left_out_bytes``        size of a value that was too large for the topic, with ``_sha256``
``dead_letter_replaces``              id of the letter that this one takes the place of: replayed, and refused again
``dead_letter_resolves``              id of the letter that this record, which is none itself, is the end of
====================================  ==============================================================================

A letter's id is ``<partition>-<offset>`` on the dead-letter topic. A consumer that is killed between publishing a letter and
committing its record makes a second letter of that record: the latest takes the place of the earlier ones.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bridge.codecs.record import ConsumedRecord, Record, header
from bridge.events import utc_text

__all__ = ["PREFIX", "DeadLetter", "letter_id", "open_letters", "resolution"]

PREFIX = "dead_letter_"

_Place = tuple[int, int]
"""Partition and offset on the dead-letter topic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A dead letter as it stands on its topic. Its repr shows no payload.

    Parameters
    ----------
    id
        ``<partition>-<offset>``.
    reason, detail, destination, origin, time
        As the headers say.
    attempts, replays
        How often writing it was begun, and how often it was replayed.
    candidates, items
        The targets in question; items that were refused.
    datums
        Numbers of the datums that were refused, or None if it is not only datums.
    record
        The record as it came; without a value if that was left out.
    left_out_bytes, left_out_sha256
        Size and SHA-256 of a value that was left out; 0 and empty: nothing was.
    """

    id: str
    reason: str
    detail: str
    destination: str
    origin: str
    time: str
    attempts: int
    replays: int
    candidates: tuple[Mapping[str, Any], ...]
    items: tuple[tuple[str, str, str], ...]
    datums: frozenset[int] | None
    record: Record
    left_out_bytes: int
    left_out_sha256: str

    @property
    def topic(self) -> str:
        """The topic that the record came from."""
        return self.origin.rpartition("[")[0]

    @property
    def moment(self) -> datetime | None:
        """When it became one, or None if that cannot be read."""
        try:
            return datetime.fromisoformat(self.time)
        except ValueError:
            return None


def letter_id(consumed: ConsumedRecord) -> str:
    """Return the id of the letter that stands there."""
    return f"{consumed.partition}-{consumed.offset}"


def resolution(letter: DeadLetter, *, outcome: str, now: datetime) -> Record:
    """Return the record that says that a letter has come to its end.

    Parameters
    ----------
    letter
        Which.
    outcome
        How, for instance ``written``.
    now
        When.
    """
    texts = {"resolves": letter.id, "outcome": outcome, "destination": letter.destination, "time": utc_text(now)}
    headers = tuple((f"{PREFIX}{name}", text.encode()) for name, text in texts.items())
    return Record(key=letter.record.key, value=None, headers=headers)


def open_letters(records: Iterable[ConsumedRecord], *, destination: str) -> dict[str, DeadLetter]:
    """Return the letters of a consumer that have not come to their end, by id, in the order of the topic.

    Parameters
    ----------
    records
        All that the dead-letter topic has.
    destination
        Name of the consumer.
    """
    letters, ended = dict[str, DeadLetter](), set[str]()
    places = defaultdict[tuple[object, ...], dict[_Place, bool]](dict)
    for consumed in records:
        texts = _texts(consumed.record)
        ended |= {texts[name] for name in ("resolves", "replaces") if name in texts}
        if "reason" in texts and texts.get("destination") == destination:
            letter = letters[letter_id(consumed)] = _letter(consumed, texts)
            # The origin alone does not tell: after a topic was made anew, another record stands there.
            about = (letter.origin, letter.record, letter.left_out_bytes, letter.left_out_sha256)
            places[about][consumed.partition, consumed.offset] = bool(letter.origin) and "replaces" not in texts
    for of_one_record in places.values():
        ended |= _earlier_copies(of_one_record)
    return {name: letter for name, letter in letters.items() if name not in ended}


def _earlier_copies(places: Mapping[_Place, bool]) -> set[str]:
    """Return the ids of one record's letters before the last that came straight from its topic; ``places`` says which did."""
    last = max((place for place, straight in places.items() if straight), default=(-1, -1))
    return {f"{partition}-{offset}" for partition, offset in places if (partition, offset) < last}


def _letter(consumed: ConsumedRecord, texts: Mapping[str, str]) -> DeadLetter:
    record = consumed.record
    numbers, items = _json(texts, "datums"), _json(texts, "items") or ()
    kept = tuple(h for h in record.headers if not h[0].startswith(PREFIX))
    return DeadLetter(
        id=letter_id(consumed),
        reason=texts["reason"],
        detail=texts.get("detail", ""),
        destination=texts["destination"],
        origin=texts.get("origin", ""),
        time=texts.get("time", ""),
        attempts=_number(texts, "attempts") or 1,
        replays=_number(texts, "replays"),
        candidates=tuple(found for found in _json(texts, "candidates") or () if isinstance(found, dict)),
        items=tuple((str(item[0]), str(item[1]), str(item[2])) for item in items if isinstance(item, list) and len(item) == 3),
        datums=frozenset(number for number in numbers if isinstance(number, int)) if numbers is not None else None,
        record=Record(key=record.key, value=record.value, headers=kept),
        left_out_bytes=_number(texts, "left_out_bytes"),
        left_out_sha256=texts.get("left_out_sha256", ""),
    )


def _texts(record: Record) -> dict[str, str]:
    names = [name for name, _value in record.headers if name.startswith(PREFIX)]
    return {name.removeprefix(PREFIX): (header(record.headers, name) or b"").decode(errors="replace") for name in names}


def _number(texts: Mapping[str, str], name: str) -> int:
    text = texts.get(name, "")
    return int(text) if re.fullmatch(r"\d{1,15}", text) else 0


def _json(texts: Mapping[str, str], name: str) -> list[Any] | None:
    try:
        found = json.loads(texts.get(name, "null"))
    except (ValueError, RecursionError):
        return None  # not written by us
    return found if isinstance(found, list) else None
