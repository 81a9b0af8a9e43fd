"""Events with a great many datums, made without a model's help: a million of them are to take seconds."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

from bridge.codecs.headers import encode_headers
from bridge.codecs.record import Record
from bridge.events import ReducedDatumsShared, ShareEvent, TargetIdentity, TomIdentity

__all__ = ["photometry_records"]

TOM = TomIdentity(name="Survey TOM", url="https://survey.example.org/")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT_EVERY = 7
"""Of so many datums one is a limit."""


def photometry_records(events: int, datums: int) -> Iterator[Record]:
    """Yield records of so many events with so many datums each, all different, a target for each event."""
    for number in range(events):
        target = TargetIdentity(name=f"SN 2026x{number}", type="SIDEREAL", primary_key=number + 1, ra=number % 360, dec=-30.5)
        measured = [_datum(number * datums + index) for index in range(datums)]
        body = ReducedDatumsShared.model_construct(tom=TOM, target=target, datums=())
        value = {
            "tom": TOM.model_dump(mode="json"),
            "target": target.model_dump(mode="json", exclude_none=True),
            "datums": measured,
        }
        event = ShareEvent(id=UUID(int=number + 1), time=BEGIN, body=body)
        yield Record(key=body.partition_key.encode(), value=json.dumps(value).encode(), headers=encode_headers(event))


def _datum(number: int) -> dict[str, object]:
    """Return a datum as JSON has it. It carries no identity, as producers may leave it out."""
    brightness = 18 + number % 40_000 / 10_000
    measured = {"limit": brightness} if number % LIMIT_EVERY == 0 else {"brightness": brightness, "brightness_error": 0.02}
    return {
        "data_type": "photometry",
        "timestamp": (BEGIN + timedelta(seconds=number)).isoformat().replace("+00:00", "Z"),
        "bandpass": "gri"[number % 3],
        "unit": "AB mag",
        "telescope": "ZTF",
        "instrument": "ZTFCam",
        "source_name": "ZTF",
        "source_location": f"https://archive.example.org/{number}",
        "origin": {"model": "tom_dataproducts.PhotometryReducedDatum", "primary_key": number + 1},
        **measured,
    }
