"""A process that stays inside a TOM's Django: to load that takes two seconds, and most scripts take none."""

import json
import subprocess
from pathlib import Path
from typing import Self

from bridge.demo.toms import RESULT_MARKER, Tom, TomSetupError

__all__ = ["Inside"]

SERVER = Path(__file__).with_name("scripts") / "serve_scripts.py"


class Inside:
    """While open, `Tom.run_script` of a TOM runs its scripts in one process.

    Parameters
    ----------
    tom
        The TOM; whoever has this object of it gains.
    """

    def __init__(self, tom: Tom) -> None:
        self._tom = tom
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        command = [str(self._tom.python), str(SERVER)]
        self._process = subprocess.Popen(
            command, cwd=self._tom.dir, env=self._tom._environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        vars(self._tom)["run_script"] = self.run_script
        return self

    def __exit__(self, *_: object) -> None:
        vars(self._tom).pop("run_script", None)
        if self._process is not None:
            self._process.communicate()  # closes its input, which ends it

    def run_script(self, path: Path, payload: object = None) -> object:
        """Do as `Tom.run_script` does."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(path.resolve()), payload]) + "\n")
        self._process.stdin.flush()
        reply = json.loads(self._process.stdout.readline() or '{"failure": "the process ended"}')
        if failure := reply.get("failure"):
            raise TomSetupError(f"{path.name} failed in {self._tom.name}:\n{failure}")
        [result] = [line for line in reply["output"].splitlines() if line.startswith(RESULT_MARKER)]
        return json.loads(result.removeprefix(RESULT_MARKER))
