"""The settings of the gateway: which stream it publishes to, and which TOMs may."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, SecretStr

from bridge.errors import Misconfigured
from bridge.settings.entries import Section, StreamEntry, StreamTopic
from bridge.settings.tables import Tables, unknown

__all__ = ["GatewayClient", "GatewaySettings", "read_gateway"]

LEAST_KEY_CHARACTERS = 20
"""Hermes' own keys have 40."""
LEAST_KEY_VARIETY = 8
"""Different characters of a key; ``xxxxxxxxxxxxxxxxxxxx`` is a placeholder that somebody forgot."""


def _key(secret: SecretStr) -> SecretStr:
    key = secret.get_secret_value()
    printable = re.fullmatch(r"[!-~]{1,200}", key) and len(key) >= LEAST_KEY_CHARACTERS
    good = printable and len(set(key)) >= LEAST_KEY_VARIETY
    if not good or re.search(r"change.?me|example|placeholder|\$\{", key, re.IGNORECASE):
        raise ValueError(
            f"this is no key: make one of at least {LEAST_KEY_CHARACTERS} random characters, without spaces, "
            "for instance with 'openssl rand -hex 20'"
        )
    return secret


def _topic(name: str) -> str:
    try:
        return StreamTopic.parse(f"stream:{name}").topic
    except ValueError:
        raise ValueError(f"{name!r} is not the name of a topic; write it without the stream, for instance tom.shares") from None


def _sender(name: str) -> str:
    if not name.isprintable() or name != name.strip():
        raise ValueError("expected a name on one line, without white space around it")
    return name


class GatewaySettings(Section):
    """The gateway: a door for TOMs that speak to Hermes."""

    stream: str
    """Key of the stream in ``DATA_SHARING`` that it publishes to."""
    threads: Annotated[int, Field(ge=1, le=64)] = 8
    """Requests that are answered at the same time; the others wait for their turn."""


class GatewayClient(Section):
    """A TOM that may publish through the gateway."""

    HERMES_API_KEY: Annotated[SecretStr, AfterValidator(_key)]
    """The key that this TOM has as its ``HERMES_API_KEY``; at least 20 random characters, and no other client's."""
    topics: Annotated[list[Annotated[str, AfterValidator(_topic)]], Field(min_length=1)]
    """Topics that it may publish to; these are its ``writable_topics``."""
    sender: Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_sender)] = ""
    """Who it is to readers: the header ``_sender`` of its messages, and the submitter of those that name none. Give the TOM's
    ``TOM_NAME``; the default is the client's name."""


def read_gateway(
    gateway: Mapping[str, Any], *, origin: str, tables: Tables, stream: Callable[[str], StreamEntry]
) -> tuple[GatewaySettings, dict[str, GatewayClient]]:
    """Return the checked settings of the gateway, and of its clients by name.

    Parameters
    ----------
    gateway
        The section, raw.
    origin
        Where it comes from.
    tables
        Reads its tables.
    stream
        Returns the entry of a stream.

    Raises
    ------
    Misconfigured
        If there is none, it has no client, or something about them is wrong.
    """
    raw = tables.raw("gateway", gateway)
    clients = raw.pop("clients", {})
    if not gateway or not isinstance(clients, Mapping) or not clients:
        raise Misconfigured(f"{origin}: [gateway.clients.<name>]: there is none; add one for each TOM that may publish")
    settings = tables.checked(GatewaySettings, "gateway", raw)
    topics, found = stream(settings.stream).USER_TOPICS, dict[str, GatewayClient]()
    for name, table in clients.items():
        place = f"gateway.clients.{name}"
        client = tables.checked(GatewayClient, place, {"sender": name, **tables.raw(place, table)})
        for topic in client.topics:
            if topics and topic not in topics:
                raise Misconfigured(
                    f"{origin}: [{place}] topics: {unknown(topic, topics)}, the USER_TOPICS of {settings.stream}"
                )
        if any(client.HERMES_API_KEY == other.HERMES_API_KEY for other in found.values()):
            raise Misconfigured(f"{origin}: [{place}] HERMES_API_KEY: another client has it; each needs its own")
        found[name] = client
    return settings, found
