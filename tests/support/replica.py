"""A consumer in a process of its own: started, killed and frozen like a service, read by its log and its pages."""

import json
import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from tests.support.commits import Ends

__all__ = ["Replica"]

REPOSITORY = Path(__file__).parents[2]
EPOCH = datetime.fromtimestamp(0, UTC)


class Replica:
    """A consumer in a process of its own; what it logs is in a file.

    Parameters
    ----------
    command
        What to run.
    log
        Where its stderr goes; stdout beside it.
    """

    def __init__(self, command: Sequence[str | Path], log: Path) -> None:
        self._command = list(command)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it; what it logs is added to what an earlier life of it logged."""
        with self._log.open("ab") as err, self._log.with_suffix(".out").open("ab") as out:
            self._process = subprocess.Popen(self._command, stdout=out, stderr=err, cwd=REPOSITORY)
        return self

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """Its present process, or its last."""
        assert self._process is not None, "it was never started"
        return self._process

    @property
    def runs(self) -> bool:
        """Whether it is there."""
        return self._process is not None and self._process.poll() is None

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it with -9."""
        self.process.kill()
        self.process.wait()

    def stop(self, *, seconds: float = 40.0) -> int:
        """Have it stop in order, and return its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds=seconds)

    def wait(self, *, seconds: float) -> int:
        """Wait until it has ended, and return its exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it has not ended within {seconds} s:\n{self.tail()}") from None

    @property
    def text(self) -> str:
        """What it wrote on stderr."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def out(self) -> str:
        """What it wrote on stdout."""
        return self._log.with_suffix(".out").read_text()

    def tail(self, lines: int = 15) -> str:
        """Return the end of its log."""
        return "\n".join(self.text.splitlines()[-lines:])

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its log lines; one that a kill cut short is left out."""
        found = []
        for line in self.text.splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return [line for line in found if isinstance(line, dict)]

    def said(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of one kind."""
        return [line for line in self.lines if line.get("event") == event]

    @property
    def events(self) -> list[dict[str, Any]]:
        """The log lines of events at their end."""
        return self.said("event")

    @property
    def ends(self) -> Ends:
        """What it brought to its end, and when, by these lines, each of which it writes before it commits."""
        found: dict[tuple[int, int], list[int]] = defaultdict(list)
        for line in self.events:
            since = datetime.fromisoformat(line["timestamp"]) - EPOCH
            found[line["partition"], line["offset"]].append(since // timedelta(milliseconds=1))
        return found

    def page(self, name: str) -> tuple[int, str]:
        """Return status and text of one of its pages; 0 while it serves none."""
        doors = self.said("metrics and health")
        if not doors:
            return 0, ""
        try:
            with urllib.request.urlopen(f"{doors[-1]['url']}/{name}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def is_ready(self) -> bool:
        """Whether its /readyz says so."""
        return self.page("readyz")[0] == 200

    def readiness(self) -> dict[str, Any]:
        """Return what its /readyz says."""
        _status, text = self.page("readyz")
        return dict(json.loads(text)) if text else {}

    @property
    def rss_bytes(self) -> int:
        """Its resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(found[1]) * 1024 if found else 0
