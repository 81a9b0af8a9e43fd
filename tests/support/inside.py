"""A process that stays inside a TOM's Django: to load that takes two seconds, and most scripts take none."""

import json
import subprocess
import threading
from pathlib import Path

from bridge.demo.toms import RESULT_MARKER, Tom, TomSetupError

__all__ = ["Inside"]

SERVER = Path(__file__).with_name("scripts") / "serve_scripts.py"


MOST_OPEN = 8
"""So many processes stay at a time; each has 200 MB."""
_open: "list[Inside]" = []
_order = threading.Lock()


class Inside:
    """While open, `Tom.run_script` of a TOM runs its scripts in one process, one after another.

    Parameters
    ----------
    tom
        The TOM; whoever has this object of it gains.
    """

    def __init__(self, tom: Tom) -> None:
        self._tom = tom
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Tom:
        vars(self._tom)["run_script"] = self.run_script
        return self._tom

    def __exit__(self, *_: object) -> None:
        vars(self._tom).pop("run_script", None)
        with _order:
            if self in _open:
                _open.remove(self)
        with self._lock:
            self._leave()

    def run_script(self, path: Path, payload: object = None) -> object:
        """Do as `Tom.run_script` does."""
        with self._lock:
            self._come_first()
            reply = json.loads(self._ask(json.dumps([str(path.resolve()), payload])) or '{"failure": "the process ended"}')
        if failure := reply.get("failure"):
            raise TomSetupError(f"{path.name} failed in {self._tom.name}:\n{failure}")
        *_, result = [line for line in reply["output"].splitlines() if line.startswith(RESULT_MARKER)]
        return json.loads(result.removeprefix(RESULT_MARKER))

    def _come_first(self) -> None:
        """Be the last to have to leave; those that were used least lately leave if there are too many and they are idle."""
        with _order:
            if self in _open:
                _open.remove(self)
            _open.append(self)
            for other in _open[:-MOST_OPEN]:
                if other._lock.acquire(blocking=False):
                    other._leave()
                    _open.remove(other)
                    other._lock.release()

    def _leave(self) -> None:
        if self._process is not None:
            self._process.communicate()  # closes its input, which ends it
            self._process = None

    def _ask(self, question: str) -> str:
        if self._process is None:
            self._process = subprocess.Popen(
                [str(self._tom.python), str(SERVER)],
                cwd=self._tom.dir, env=self._tom._environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()
