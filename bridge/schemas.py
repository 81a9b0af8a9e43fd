"""JSON Schemas, examples and the AsyncAPI document, all made from the models.

``schemas/`` holds what this module writes; ``tom-bridge schema write --check`` tells whether it still does.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from bridge import blobs
from bridge.codecs.headers import encode_headers, schema_name
from bridge.codecs.native import identified, to_structured
from bridge.events import (
    EVENT_TYPES,
    AstrometryDatum,
    DataProduct,
    DataProductShared,
    ListMember,
    Origin,
    OtherDatum,
    PhotometryDatum,
    ReducedDatumsShared,
    ShareBody,
    ShareEvent,
    SpectroscopyDatum,
    Target,
    TargetListShared,
    TargetShared,
    TomIdentity,
)

__all__ = ["documents", "example_events", "json_schema", "out_of_date"]

_MADE = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)
_TOM = TomIdentity(name="Example TOM", url="https://tom.example.org/")
_FLUX_UNIT = "erg / (Angstrom s cm2)"


def json_schema(event_type: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of an event type's body.

    Raises
    ------
    KeyError
        If there is no such type.
    """
    schema = EVENT_TYPES[event_type].model_json_schema()
    for name, definition in schema["$defs"].items():
        if name.endswith("Datum"):
            # The models have a default for it, so that Python need not repeat itself; on the wire it tells them apart.
            definition["required"] = sorted({*definition["required"], "data_type"})
        for part in (definition, *definition.get("properties", {}).values()):
            _any_of(part)
    for part in schema["properties"].values():
        _any_of(part)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": schema_name(event_type), **schema}


def example_events() -> dict[str, ShareEvent]:
    """Return one event for each kind of thing that is shared, by file name; the same ones every time."""
    supernova = Target(
        name="SN 2024abc",
        type="SIDEREAL",
        aliases=("ZTF24aaaaaaa", "ATLAS24xyz"),
        primary_key=41,
        ra=197.45037,
        dec=-23.38148,
        epoch=2000.0,
        pm_ra=1.5,
        pm_dec=-0.25,
        distance=4.2e7,
        extras={"redshift": "0.009783", "classification": "SN Ia"},
    )
    asteroid = Target(
        name="(433) Eros",
        type="NON_SIDEREAL",
        aliases=("1898 DQ",),
        primary_key=42,
        scheme="MPC_MINOR_PLANET",
        epoch_of_elements=59600.0,
        mean_anomaly=271.0717,
        arg_of_perihelion=178.8966,
        eccentricity=0.2227,
        lng_asc_node=304.2872,
        inclination=10.828,
        semimajor_axis=1.4582,
        abs_mag=10.43,
        slope=0.46,
    )
    night = datetime(2024, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    origin = Origin(model="tom_dataproducts.PhotometryReducedDatum", primary_key=1001)
    photometry = (
        PhotometryDatum(
            timestamp=night,
            brightness=18.25,
            brightness_error=0.05,
            bandpass="r",
            unit="AB mag",
            telescope="ELP",
            instrument="fa07",
            exposure_time=120.0,
            source_name="LCO",
            origin=origin,
            extra={"airmass": 1.21},
        ),
        PhotometryDatum(timestamp=night, limit=20.5, bandpass="g", unit="AB mag", telescope="ELP", instrument="fa07"),
    )
    spectrum = SpectroscopyDatum(
        timestamp=night,
        wavelength=(4000.0, 4002.0, 4004.0),
        flux=(1.1e-15, 1.2e-15, 1.15e-15),
        flux_error=(1e-17, 1e-17, 1e-17),
        wavelength_unit="Angstrom",
        flux_unit=_FLUX_UNIT,
        telescope="FTN",
        instrument="FLOYDS",
    )
    position = AstrometryDatum(
        timestamp=night, ra=197.450375, dec=-23.381484, ra_error=0.02, dec_error=0.02, ra_error_units="arcsec",
        dec_error_units="arcsec", telescope="F65",
    )  # fmt: skip
    other = OtherDatum(data_type="polarimetry", timestamp=night, value={"q": 0.012, "u": -0.003, "filter": "V"})
    table = b"time,magnitude,error,filter\n60311.5,18.25,0.05,r\n60312.5,18.31,0.05,r\n"
    from_table = tuple(
        PhotometryDatum(timestamp=datetime(2024, 1, day, 12, tzinfo=UTC), brightness=mag, brightness_error=0.05, bandpass="r")
        for day, mag in ((2, 18.25), (3, 18.31))
    )
    product = DataProduct(
        name="lightcurve.csv",
        data_product_type="photometry",
        size=len(table),
        sha256=blobs.sha256(table),
        content=blobs.pack(table) or _never(),
        origin=Origin(model="tom_dataproducts.DataProduct", primary_key=7),
        datums=tuple(identified(_TOM.url, datum) for datum in from_table),
    )
    members = (ListMember(name="SN 2024abc", primary_key=41), ListMember(name="(433) Eros", primary_key=42))
    about: dict[str, Any] = {"tom": _TOM, "submitter": "alice"}
    datums = (*photometry, spectrum, position, other)
    bodies: dict[str, ShareBody] = {
        "target_sidereal": TargetShared(**about, target=supernova, target_lists=("Nearby supernovae",)),
        "target_non_sidereal": TargetShared(**about, target=asteroid),
        "target_list": TargetListShared(**about, name="Nearby supernovae", members=members),
        "reduced_datums": ReducedDatumsShared(
            **about, target=supernova.identity(), datums=tuple(identified(_TOM.url, datum) for datum in datums)
        ),
        "data_product": DataProductShared(**about, target=supernova.identity(), product=product),
    }
    return {
        name: ShareEvent(id=UUID(int=number, version=4), time=_MADE, body=body)
        for number, (name, body) in enumerate(bodies.items(), 1)
    }


def documents() -> Iterator[tuple[str, str]]:
    """Yield every file of ``schemas/``: its name and its text."""
    for event_type in EVENT_TYPES:
        yield f"{event_type}.json", _pretty(json_schema(event_type))
    for name, event in example_events().items():
        yield f"examples/{name}.json", _pretty(json.loads(to_structured(event)))
    yield "asyncapi.json", _pretty(_asyncapi())


def out_of_date(directory: Path) -> list[str]:
    """Return the files in ``schemas/`` that are not what the models say, or should not be there."""
    wanted = dict(documents())
    stale = [name for name, text in wanted.items() if _text(directory / name) != text]
    found = {path.relative_to(directory).as_posix() for path in directory.rglob("*.json")}
    return stale + sorted(found - wanted.keys())


def _any_of(part: dict[str, Any]) -> None:
    """Let a raw value of a typed data type be an `OtherDatum` although it resembles the typed one."""
    items = part.get("items", {})
    if isinstance(items, dict) and "oneOf" in items:
        items["anyOf"] = items.pop("oneOf")


def _asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3 document, with Kafka bindings."""
    examples = {event.type: event for event in example_events().values()}
    messages = {
        event_type: {
            "name": event_type,
            "title": model.__name__,
            "summary": (model.__doc__ or "").split("\n")[0],
            "contentType": "application/json",
            "headers": {
                "type": "object",
                "description": "CloudEvents 1.0 in binary content mode, and hop's headers",
                "required": ["ce_specversion", "ce_id", "ce_source", "ce_type"],
                "properties": {name: {"type": "string"} for name, _value in encode_headers(examples[event_type])},
            },
            "payload": {
                "schemaFormat": "application/schema+json;version=draft-2020-12",
                "schema": {"$ref": f"./{event_type}.json"},
            },
            "bindings": {
                "kafka": {
                    "bindingVersion": "0.5.0",
                    "key": {
                        "type": "string",
                        "description": "Source TOM's URL and the target's primary key there: one target, one partition",
                    },
                }
            },
        }
        for event_type, model in EVENT_TYPES.items()
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "TOM share events",
            "version": "1.0.0",
            "description": "What TOMs share with each other over Kafka: targets, target lists, reduced datums, data products.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "shares": {
                "address": "{topic}",
                "description": "Any topic that TOMs share on; one topic may carry all types.",
                "parameters": {"topic": {"description": "Topic, one of the stream's USER_TOPICS"}},
                "messages": {event_type: {"$ref": f"#/components/messages/{event_type}"} for event_type in messages},
                "bindings": {"kafka": {"bindingVersion": "0.5.0"}},
            }
        },
        "operations": {
            "share": {"action": "send", "channel": {"$ref": "#/channels/shares"}},
            "consume": {"action": "receive", "channel": {"$ref": "#/channels/shares"}},
        },
        "components": {"messages": messages},
    }


def _pretty(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _never() -> Any:
    raise AssertionError("the example file is small")
