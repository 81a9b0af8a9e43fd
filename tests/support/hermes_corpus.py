"""The corpus of Hermes messages, ``tests/data/hermes``: one file for each shape, producer and oddity.

A file has what it is ``about``; the ``message`` (or, where that is no Hermes message, the ``value`` as text); hop's
``headers``, if they are not the usual ones; ``expected``, what a person expects of it in a TOM; and ``how`` that was found,
without our code.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from bridge.codecs.contents import Reading
from bridge.codecs.hermes.message import parse_message
from bridge.codecs.hermes.reading import read_message
from bridge.codecs.record import Headers, Record
from bridge.events import ReducedDatumsShared, TargetShared, utc_text

__all__ = ["CASES", "FOLDER", "ID", "TIME", "TOPIC", "Case", "as_expected", "hermes_record", "read"]

FOLDER = Path(__file__).parents[1] / "data" / "hermes"
TOPIC = "kafka://kafka.scimma.org/hermes.test"
ID = UUID("12345678-1234-4678-9234-567812345678")
TIME = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)
USUAL: Headers = (("topic", b"hermes.test"), ("_id", ID.bytes), ("_format", b"json"), ("title", b"t"), ("_sender", b"someone"))
"""The headers that Hermes writes, in its order."""
_NOT_MEASURED = {"data_type", "timestamp"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A record, and what a person expects of it."""

    name: str
    about: str
    record: Record
    expected: dict[str, Any]


def hermes_record(message: Any, headers: Headers = USUAL) -> Record:
    """Return a message as Hermes writes it."""
    return Record(key=None, value=json.dumps(message).encode(), headers=headers)


def read(record: Record, **changed: Any) -> Reading:
    """Read a record as a consumer would."""
    return read_message(parse_message(record), **{"topic_address": TOPIC, "name_from": "submitter", "time": TIME, **changed})


def as_expected(reading: Reading) -> dict[str, Any]:
    """Return what became of a message in the words of the corpus."""
    targets, datums = [], []
    for event in reading.events:
        if isinstance(event.body, TargetShared):
            fields = event.body.target.model_dump(mode="json", exclude_defaults=True)
            targets.append(fields | ({"target_lists": list(event.body.target_lists)} if event.body.target_lists else {}))
        elif isinstance(event.body, ReducedDatumsShared):
            for datum in event.body.datums:
                fields = datum.model_dump(mode="json", exclude_defaults=True, exclude=_NOT_MEASURED)
                common = {
                    "target": event.body.target.name,
                    "data_type": datum.data_type,
                    "timestamp": utc_text(datum.timestamp),
                }
                datums.append(common | fields)
    return {"targets": targets, "datums": datums, "refused": sorted([item.item, item.reason] for item in reading.refused)}


def _case(path: Path) -> Case:
    content = json.loads(path.read_text(encoding="utf-8"))
    headers = tuple((name, text.encode()) for name, text in content["headers"].items()) if "headers" in content else USUAL
    value = content["value"] if "value" in content else json.dumps(content["message"])
    return Case(
        name=path.stem,
        about=content["about"],
        record=Record(key=None, value=value.encode(), headers=headers),
        expected=content["expected"],
    )


CASES = {path.stem: _case(path) for path in sorted(FOLDER.glob("*.json"))}
