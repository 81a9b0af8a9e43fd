"""The part of the Hermes API that TOM Toolkit 2 and tom_hermes call, and what is answered to each request."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NoReturn
from uuid import UUID, uuid4

from pydantic import JsonValue

from bridge.codecs.hermes.wire import wire_record
from bridge.codecs.record import Record
from bridge.errors import BridgeError, Halt
from bridge.gateway.clients import Client
from bridge.gateway.drafts import Draft, Drafts
from bridge.gateway.fields import Errors, Json, Refused
from bridge.gateway.rules import checked

__all__ = ["RETRY_SECONDS", "Answer", "Api", "Outcome", "parse"]

Outcome = Literal[
    "told", "published", "drafted", "shown", "valid", "invalid", "unknown_key", "not_writable", "malformed", "too_large",
    "broker_away", "no_draft", "forged", "no_such_page", "failed",
]  # fmt: skip
"""What became of a request, for the log."""
RETRY_SECONDS = 10
"""What a client is told to wait when the broker is away, or the gateway is being stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer to a client.

    Parameters
    ----------
    status
        Of HTTP.
    body
        JSON.
    outcome
        For the log.
    topic, uuid
        What it is about, for the log.
    errors
        In Hermes' form, if its rules refuse a message.
    why
        What the client is not told, for the log.
    """

    status: int
    body: JsonValue
    outcome: Outcome
    topic: str = ""
    uuid: UUID | None = None
    errors: Errors = None
    why: str = ""


class Api:
    """Answers clients that have shown their key.

    Parameters
    ----------
    publish
        Publishes a record to a topic; when it returns, the broker has it, and when it raises, it may not have it.
    drafts
        Where drafts are kept.
    new_id
        Makes the ids of messages.
    """

    def __init__(self, *, publish: Callable[[str, Record], None], drafts: Drafts, new_id: Callable[[], UUID] = uuid4) -> None:
        self._publish = publish
        self._drafts = drafts
        self._new_id = new_id

    def profile(self, client: Client) -> Answer:
        """Return what Hermes says of an account, as far as there is such a thing here. It has no way to show the key."""
        body: Json = {
            "email": "",
            "credential_name": client.sender,
            "writable_topics": list(client.topics),
            "integrated_apps": [],
            "can_submit_to_gcn": False,
            "tns_bot_id": -1,
            "tns_bot_name": "",
        }
        return Answer(status=200, body=body, outcome="told")

    def topics(self, client: Client) -> Answer:
        """Return the topics that a client knows of."""
        return Answer(status=200, body={"topics": list(client.topics)}, outcome="told")

    def validate(self, client: Client, document: JsonValue) -> Answer:
        """Return what is wrong with a message, in an answer of 200, as Hermes does."""
        try:
            found = checked(document, submitter=client.sender)
        except Refused as refused:
            return Answer(status=200, body=refused.errors, outcome="invalid")
        topic = str(found["topic"])
        if topic not in client.topics:
            return Answer(status=200, body={"topic": [_not_writable(client, topic)]}, outcome="invalid", topic=topic)
        return Answer(status=200, body={}, outcome="valid", topic=topic)

    def submit(self, client: Client, document: JsonValue, uuid: UUID | None = None) -> Answer:
        """Publish a message, and say so when the broker has it.

        Parameters
        ----------
        client
            Whose it is.
        document
            What was submitted.
        uuid
            Its id; a new one if not given.
        """
        try:
            found = checked(document, submitter=client.sender)
        except Refused as refused:
            return Answer(status=400, body=refused.errors, outcome="invalid", errors=refused.errors)
        topic, uuid = str(found["topic"]), uuid or self._new_id()
        if topic not in client.topics:
            return Answer(status=403, body={"detail": _not_writable(client, topic)}, outcome="not_writable", topic=topic)
        try:
            record = wire_record(found, uuid=uuid, sender=client.sender)
        except RecursionError:
            return Answer(status=400, body={"data": ["This is nested too deeply."]}, outcome="malformed", topic=topic)
        try:
            self._publish(topic, record)
        except BridgeError as error:
            return _not_published(error, topic, uuid)
        return Answer(status=200, body={**found, "uuid": str(uuid)}, outcome="published", topic=topic, uuid=uuid)

    def preload(self, client: Client, document: JsonValue, *, size: int) -> Answer:
        """Keep a message for a person to look at, whatever is wrong with it: the page says so."""
        if not isinstance(document, dict):
            said = f"Invalid data. Expected a dictionary, but got {type(document).__name__}."
            return Answer(status=400, body={"non_field_errors": [said]}, outcome="malformed")
        draft = self._drafts.add(client, document, size=size)
        return Answer(status=201, body={"key": draft.key}, outcome="drafted", uuid=draft.uuid)

    def publish_draft(self, draft: Draft, change: Callable[[JsonValue], JsonValue]) -> Answer:
        """Publish a draft, once.

        Parameters
        ----------
        draft
            Which.
        change
            Returns what is to be published of what it holds.
        """
        with draft.lock:  # a second click waits for the first, and finds nothing left to do
            if draft.document is None:
                return Answer(status=200, body={}, outcome="told", uuid=draft.uuid)
            answer = self.submit(draft.client, change(draft.document), draft.uuid)
            if answer.outcome == "published":
                self._drafts.done(draft)
            return answer


def parse(body: bytes | str) -> JsonValue:
    """Read strict JSON.

    Raises
    ------
    ValueError
        If it is none, or holds a number that is none; the text repeats nothing of the content.
    """
    try:
        found: JsonValue = json.loads(body, parse_constant=_no_number, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise ValueError(f"JSON parse error - {error.msg}: line {error.lineno} column {error.colno}") from None
    except UnicodeDecodeError:
        raise ValueError("JSON parse error - not UTF-8") from None
    except RecursionError:
        raise ValueError("JSON parse error - nested too deeply") from None
    except ValueError:
        raise ValueError("JSON parse error - a number that JSON does not have, or that is too large") from None
    return found


def _no_number(_written: str) -> NoReturn:
    raise ValueError("not JSON")


def _finite(written: str) -> float:
    found = float(written)
    if not math.isfinite(found):
        raise ValueError("too large")
    return found


def _not_writable(client: Client, topic: str) -> str:
    return f"You do not have permission to write to topic {topic[:249]}; your topics are {', '.join(client.topics)}."


def _not_published(error: BridgeError, topic: str, uuid: UUID) -> Answer:
    about: Mapping[str, Any] = {"topic": topic, "uuid": uuid}
    if isinstance(error, Halt) and error.reason == "too_large_for_topic":
        said = f"The message is larger than topic {topic} takes; share less at a time."
        return Answer(status=413, body={"error": said}, outcome="too_large", **about)
    # The client hears that it is not its fault; why, with the broker's name and the login, is for the operator alone.
    said = "The broker has not confirmed the message, so it does not count as published. Submit it again later."
    return Answer(status=503, body={"error": said}, outcome="broker_away", why=str(error), **about)
