"""``python -m bench [--quick] [--only PART ...] [--json FILE]``: runs the parts in turn, and prints one table.

It judges nothing: a goal that is not reached is said in the table, and only a part that could not be run is an error.
"""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.report import Found, as_json, as_table, machine
from bench.stage import Bench

__all__ = ["main"]

PARTS = ("writing", "politeness", "backfill", "lookups", "delay", "intake", "memory", "saving", "curve", "replicas")
"""In the order of the table; each is a module with ``measure(bench) -> Iterator[Figure]``."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure as the command line says, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.partition("\n\n")[2])
    parser.add_argument("--quick", action="store_true", help="only show that the benchmark works")
    parser.add_argument("--only", nargs="+", metavar="PART", choices=PARTS, default=PARTS, help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too, over those of the same parts")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw there what can be drawn")
    parser.add_argument("--detail", action="store_true", help="measure and print more of some parts")
    options = parser.parse_args(arguments)
    if options.plots:
        options.plots.mkdir(parents=True, exist_ok=True)
    began_on = machine()
    found: list[Found] = []
    failed: dict[str, str] = {}
    about: dict[str, str] = {}
    with Bench(quick=options.quick, detail=options.detail, plots=options.plots) as bench:
        for number, name in enumerate(options.only, 1):
            _play(bench, name, found, failed)
            about = began_on | bench.about | {"measured": datetime.now(UTC).date().isoformat()}
            if options.json:  # after each part: what is found stays, should a later one be cut off
                _keep(options.json, about, found, failed, run=options.only[:number])
        bench.say("done")
    print("\n".join(f"{key:<10} {value}" for key, value in about.items()))
    print(f"\n{as_table(found)}")
    for name, why in failed.items():
        print(f"\n{name} could not be run: {why}")
    return 1 if failed else 0


def _play(bench: Bench, name: str, found: list[Found], failed: dict[str, str]) -> None:
    """Run a part, and add what it found, or why it could not be run."""
    bench.say(f"== {name}")
    try:
        with bench.part(name):
            for figure in importlib.import_module(f"bench.{name}").measure(bench):
                found.append(Found(name, figure))
                bench.say(f"{figure.what}, {figure.where}: {found[-1].today} ({figure.detail})")
    except Exception as error:  # noqa: BLE001  whatever it is, the other parts are still worth having
        traceback.print_exc()
        failed[name] = f"{type(error).__name__}: {error}"


def _keep(
    path: Path, about: Mapping[str, str], found: Sequence[Found], failed: Mapping[str, str], *, run: Sequence[str]
) -> None:
    """Write what was found into a file, over what is there of the same parts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    path.write_text(as_json(about, found, failed, kept=kept, run=run, order=PARTS), encoding="utf-8")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))  # and so stop what was started
    sys.exit(main())
