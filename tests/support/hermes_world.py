"""A consumer of Hermes messages between a topic and a real TOM, and messages for it, as tests use them."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from bridge.codecs.record import Record
from tests.support.hermes_corpus import USUAL, hermes_record
from tests.support.world import World

__all__ = ["address", "as_sent", "datums_of", "has_target", "here", "listed", "listening", "message"]


def address(between: World) -> str:
    """Return a topic's address, as accept_sources has it."""
    return f"{between.stream_url}{between.topic}"


def listening(between: World, **consumer: Any) -> World:
    """Let the consumer accept the topic."""
    between.consumer |= {"accept_sources": [address(between)], **consumer}
    return between


def message(*targets: str, rows: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Return a message about targets, with a row about each.

    Parameters
    ----------
    targets
        Names.
    rows
        What the rows say otherwise.
    more
        What stands in ``data`` besides, or instead.
    """
    usual = {"date_obs": "2460000.5", "bandpass": "g", "brightness": "18.5", "brightness_unit": "AB mag"}
    data = {
        "targets": [{"name": name, "ra": 10.5, "dec": -3.0} for name in targets],
        "photometry": [{"target_name": name, **usual, **(rows or {})} for name in targets],
    }
    return {"title": "t", "topic": "hermes.test", "submitter": "A. Person", "message_text": "", "data": data | more}


def as_sent(content: dict[str, Any]) -> Record:
    """Return a message as Hermes publishes it, with a uuid of its own."""
    return hermes_record(content, tuple((name, uuid4().bytes if name == "_id" else text) for name, text in USUAL))


def here(name: str) -> dict[str, Any]:
    """Return a target for `seed`, where the messages' targets are."""
    return {"fields": {"name": name, "type": "SIDEREAL", "ra": 10.5, "dec": -3.0}}


def datums_of(stored: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return a target's datums from a dump."""
    return [datum for datum in stored["datums"] if datum["target"] == name]


def has_target(stored: Mapping[str, Any], name: str) -> bool:
    """Whether a dump has a target of that name."""
    return any(target["name"] == name for target in stored["targets"])


def listed(between: World) -> list[dict[str, Any]]:
    """Return the dead letters as ``dead-letters list`` has them."""
    said = between.run("dead-letters", "list", "destination", "--json")
    assert said.code == 0, said
    return [json.loads(line) for line in said.out.splitlines()]
