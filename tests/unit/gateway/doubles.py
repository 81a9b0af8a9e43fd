"""A gateway without a broker: what would be published is kept in a list."""

import time
from collections.abc import Callable
from typing import Any

from flask import Flask
from werkzeug.test import Client as Browser
from werkzeug.test import TestResponse

from bridge.codecs.record import Record
from bridge.errors import BridgeError
from bridge.gateway.app import make_app
from bridge.gateway.clients import Clients
from bridge.gateway.drafts import Drafts
from bridge.gateway.posting import Posting
from bridge.settings import GatewayClient

__all__ = ["KEY", "OTHER_KEY", "TOPIC", "FakeProducer", "Gateway", "clients", "message", "photometry"]

KEY = "canary-6f1c0b9ad24e7753aa10c2d94be8f617"
OTHER_KEY = "canary-b8e2470d9c6135fa88e1d0726c4ab359"
TOPIC = "tom.shares"


class FakeProducer:
    """Takes records and reports on them when it is served, or fails as it is told."""

    def __init__(self, records: list[tuple[str, Record]], errors: list[BridgeError | None]) -> None:
        self._records = records
        self._errors = errors
        self._waiting: list[tuple[str, Record, Callable[[BridgeError | None], None]]] = []
        self.silent = False
        self.full = False
        self.abandoned = False

    def send(self, topic: str, record: Record, report: Callable[[BridgeError | None], None]) -> bool:
        if not self.full:
            self._waiting.append((topic, record, report))
        return not self.full

    def serve(self, seconds: float) -> None:
        if not self._waiting or self.silent:
            time.sleep(min(seconds, 0.005))
        while self._waiting and not self.silent:
            topic, record, report = self._waiting.pop(0)
            error = self._errors.pop(0) if self._errors else None
            if error is None:
                self._records.append((topic, record))
            report(error)

    def abandon(self) -> None:
        self.abandoned = True


class Gateway:
    """A gateway with two clients, and the clients' side of it."""

    def __init__(self) -> None:
        self.records: list[tuple[str, Record]] = []
        self.errors: list[BridgeError | None] = []
        """What becomes of the next records."""
        self.now = 1000.0
        self.probe: Callable[[], object] = lambda: None
        self.producers: list[FakeProducer] = []
        self.posting = Posting(producer=self._producer, probe=self._ask_broker, wait_seconds=5.0)
        self.drafts = Drafts(clock=lambda: self.now)
        self.app: Flask = make_app(clients=clients(), posting=self.posting, drafts=self.drafts)
        self._browser = Browser(self.app)

    def _ask_broker(self) -> object:
        return self.probe()

    def _producer(self) -> FakeProducer:
        self.producers.append(FakeProducer(self.records, self.errors))
        return self.producers[-1]

    def ask(self, method: str, path: str, key: str | None = KEY, **more: Any) -> TestResponse:
        headers = more.pop("headers", {}) | ({"Authorization": f"Token {key}"} if key else {})
        return self._browser.open(path, method=method, headers=headers, **more)

    def submit(self, document: Any, action: str = "", **more: Any) -> TestResponse:
        return self.ask("POST", f"/api/v0/submit_message/{action}", json=document, **more)

    @property
    def published(self) -> list[Record]:
        """Records on the topic."""
        return [record for topic, record in self.records if topic == TOPIC]


def clients() -> Clients:
    mine = {"HERMES_API_KEY": KEY, "topics": [TOPIC, "tom.tests"], "sender": "My TOM"}
    other = {"HERMES_API_KEY": OTHER_KEY, "topics": ["tom.tests"]}
    return Clients({"my-tom": GatewayClient.model_validate(mine), "other-tom": GatewayClient.model_validate(other)})


def photometry(**more: Any) -> dict[str, Any]:
    row = {
        "target_name": "SN 2024abc", "date_obs": "2024-03-01T05:06:07+00:00", "telescope": None, "instrument": "Sinistro",
        "bandpass": "rp", "brightness": 18.125, "brightness_error": 0.02,
    }  # fmt: skip
    return row | more


def message(**more: Any) -> dict[str, Any]:
    """Return a message as TOM Toolkit 2.32.4 posts it."""
    data = {
        "targets": [{"name": "SN 2024abc", "ra": 150.25, "dec": -12.5, "epoch": 2000.0, "aliases": ["ZTF24aaa"]}],
        "photometry": [photometry()],
        "spectroscopy": [],
        "extra_data": {},
    }
    words = {"topic": TOPIC, "title": "Updated data", "submitter": "alice", "authors": None, "message_text": ""}
    return {**words, "data": data, **more}
