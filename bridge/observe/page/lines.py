"""What the page shows of a record: one line for each event, cut to a bounded size. Texts are handed on as they came.

Whoever may publish to a topic writes what stands here. The page shows it with ``textContent``, never as markup, and makes
control characters visible there; here it is only kept short.
"""

from collections.abc import Iterable
from typing import Any

from bridge.codecs.record import ConsumedRecord
from bridge.events import (
    DataProductShared,
    PhotometryDatum,
    ReducedDatum,
    ReducedDatumsShared,
    ShareBody,
    ShareEvent,
    TargetIdentity,
    TargetListShared,
    TargetShared,
    utc_text,
)
from bridge.observe.sightings import Sighting, Unreadable
from bridge.observe.units import named_unit

__all__ = ["LONGEST_NAME", "LONGEST_TEXT", "event_line", "named", "short", "target_of"]

LONGEST_TEXT = 300
"""Characters of any text that is shown."""
LONGEST_NAME = 500
"""Characters of a target's name; a longer one is cut."""
MOST_LISTED = 20
"""Target lists, or members of one, that a line names."""


def short(text: str, most: int = LONGEST_TEXT) -> str:
    """Return a text, cut if it is long."""
    return text if len(text) <= most else f"{text[:most]}…"


def named(name: str) -> dict[str, Any]:
    """Return a target's name as it is shown, and whether it leads to a page: one that is cut is no name of a target."""
    return {"name": short(name, LONGEST_NAME), "linked": len(name) <= LONGEST_NAME}


def event_line(found: Sighting | Unreadable) -> dict[str, Any]:
    """Return what is shown of an event, as JSON can carry it. Keys without a value are left out."""
    line = _place(found.consumed)
    if isinstance(found, Unreadable):
        return line | {"kind": "unreadable", "reason": short(found.reason), "detail": short(found.detail)}
    event, body = found.event, found.event.body
    about = {
        "kind": body.ACCEPTED_AS,
        "shared": utc_text(event.time),
        "source": short(event.source),
        "tom": short(body.tom.name),
        "title": short(body.title),
        "submitter": short(body.submitter),
        "message": short(body.message),
        "target": short(body.subject, LONGEST_NAME) if target_of(body) else "",
        "linked": target_of(body) is not None and len(body.subject) <= LONGEST_NAME,
        **_contents(event),
    }
    return line | {key: value for key, value in about.items() if value not in ("", [], False)}


def target_of(body: ShareBody) -> TargetIdentity | None:
    """Return the target that a body is about, if it is about one."""
    return body.target if isinstance(body, TargetShared | ReducedDatumsShared | DataProductShared) else None


def _place(consumed: ConsumedRecord) -> dict[str, Any]:
    return {
        "topic": consumed.topic,
        "partition": consumed.partition,
        "offset": consumed.offset,
        "time": utc_text(consumed.time) if consumed.time else None,
    }


def _contents(event: ShareEvent) -> dict[str, Any]:
    body = event.body
    if isinstance(body, TargetListShared):
        members = [named(member.name) for member in body.members[:MOST_LISTED]]
        return {"list": short(body.name), "members": members, "member_count": len(body.members)}
    datums = body.datums_of()
    found: dict[str, Any] = {"datums": len(datums) or "", "latest": _latest(datums) or ""}
    if isinstance(body, TargetShared):
        found["lists"] = [short(name) for name in body.target_lists[:MOST_LISTED]]
    if isinstance(body, DataProductShared):
        product = body.product
        found["product"] = {
            "name": short(product.name),
            "type": short(product.data_product_type),
            "bytes": product.size,
            "sha256": product.sha256,
        }
    return found


def _latest(datums: Iterable[ReducedDatum]) -> dict[str, Any] | None:
    """Return the youngest brightness, or limit, among some datums."""
    measured = (datum for datum in datums if isinstance(datum, PhotometryDatum))
    latest = max(measured, key=lambda datum: datum.timestamp, default=None)  # as in the table of `tail`
    if latest is None:
        return None
    is_limit = latest.brightness is None
    return {
        "time": utc_text(latest.timestamp),
        "value": latest.limit if is_limit else latest.brightness,
        "error": None if is_limit else latest.brightness_error,
        "limit": is_limit,
        "bandpass": short(latest.bandpass, 60),
        "unit": short(named_unit(latest.unit), 60),
    }
