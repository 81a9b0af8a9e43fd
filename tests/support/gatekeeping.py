"""A running ``tom-bridge gateway`` in a process of its own, and TOMs that know of it what they know of Hermes."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests

from bridge.codecs.record import ConsumedRecord
from bridge.demo.ports import free_port
from bridge.demo.projects import add_apps
from bridge.demo.toms import Tom, create_tom
from bridge.kafka.connection import connect_settings
from bridge.kafka.reading import read_to_end
from bridge.settings import StreamEntry
from tests.support.alertstreams import ensure_readers
from tests.support.waiting import wait_for

__all__ = ["KEY", "OTHER_KEY", "RunningGateway", "running_gateway", "tom_with_tom_hermes"]

KEY = "canary-2f9d41b07c6e58a3d10e94b7c2f865a0"
OTHER_KEY = "canary-83ac07d4e1b926f5a7d350c18e42b69f"
STOP_SECONDS = 40.0


class RunningGateway:
    """A gateway between TOMs and a broker.

    Parameters
    ----------
    home
        For its configuration and log.
    bootstrap
        ``host:port`` of the broker.
    topics
        Those of the client that has `KEY`; ``other-tom``, who has `OTHER_KEY`, has the first of them alone.
    """

    def __init__(self, home: Path, *, bootstrap: str, topics: list[str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self._entry = StreamEntry(BASE_URL=f"kafka://{bootstrap}/")
        self.config, self._log = home / "gateway.toml", home / "gateway.log"
        self.config.write_text(
            f'[DATA_SHARING.share-stream]\nBASE_URL = "kafka://{bootstrap}/"\n'
            '[gateway]\nstream = "share-stream"\n'
            f'[gateway.clients.my-tom]\nHERMES_API_KEY = "{KEY}"\nsender = "My TOM"\ntopics = {json.dumps(topics)}\n'
            f'[gateway.clients.other-tom]\nHERMES_API_KEY = "{OTHER_KEY}"\ntopics = {json.dumps(topics[:1])}\n',
            encoding="utf-8",
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "bridge", "gateway", "--http", f"127.0.0.1:{self.port}", "--config", str(self.config)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(self._answers, "the gateway answers", seconds=60)

    def stop(self) -> int:
        """Stop it in order, and return its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_SECONDS)
        finally:
            self._process.kill()

    @property
    def log(self) -> str:
        """All that it has written."""
        return self._log.read_text(encoding="utf-8")

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What it has said of requests."""
        parsed = [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
        return [line for line in parsed if line["event"] == "request"]

    def records(self, topic: str) -> list[ConsumedRecord]:
        """Return what is on a topic."""
        return list(read_to_end(connect_settings("share-stream", self._entry), topic))

    def contents(self, topic: str) -> list[dict[str, Any]]:
        """Return the messages on a topic."""
        return [json.loads(consumed.record.value or b"") for consumed in self.records(topic)]

    def settings_of_a_tom(self, **more: Any) -> dict[str, Any]:
        """Return what TOM Toolkit 2 needs in its settings, and no more."""
        return {"DATA_SHARING": {"hermes": {"BASE_URL": self.url, "HERMES_API_KEY": KEY} | more}}

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the gateway ended:\n{self.log}"
        with suppress(requests.ConnectionError):
            return requests.get(f"{self.url}healthz", timeout=5).status_code in {200, 503}
        return False


@contextmanager
def running_gateway(home: Path, *, bootstrap: str, topics: list[str]) -> Iterator[RunningGateway]:
    """Run a gateway; when it has ended, it has ended well and its log has no key."""
    gateway = RunningGateway(home, bootstrap=bootstrap, topics=topics)
    gateway.start()
    try:
        yield gateway
    finally:
        code = gateway.stop()
    assert code == 0, gateway.log
    assert "canary" not in gateway.log
    assert "Traceback" not in gateway.log, gateway.log


def tom_with_tom_hermes(directory: Path, *, name: str, base_url: str, topic: str) -> Tom:
    """Return a TOM 3.1.0, not started, with tom_hermes, whose Hermes is at that address."""
    tom = create_tom(
        directory,
        version="3.1.0",
        name=name,
        users={"alice": "alice-canary-pw"},
        superusers={"admin": "admin-pw"},
        settings={
            "HERMES_CONFIGURATION": {"HERMES_API_TOKEN": KEY, "HERMES_BASE_URL": base_url, "DEFAULT_TOPIC": topic},
        },
        cheap_passwords=True,
    )
    add_apps(directory, ["tom_hermes"])
    tom.python = ensure_readers("3.1.0", say=print)
    tom.manage("migrate", "--noinput")
    return tom
