"""What the benchmark says: figures, each beside its goal, and the machine they are of; as a table, as a page and as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["Figure", "Found", "as_json", "as_markdown", "as_table", "machine", "number"]

_HEAD = ("part", "what", "where", "against", "today", "goal", "reached", "behind it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measurement.

    Parameters
    ----------
    what
        What was measured: "datums one by one, full mode".
    where
        At which TOM and database: "3.1.0 SQLite"; empty where it does not matter.
    against
        What it is compared with, in words.
    value
        What the goal speaks of: the median of the runs' own.
    unit
        "times", "ms", "MB", "events/s".
    goal
        What is to be reached; None for what is measured for people to know.
    at_most
        Whether the goal is an upper bound.
    detail
        The medians behind it, for people: "118 a second against 3.8".
    runs
        How many there were.
    """

    what: str
    where: str = ""
    against: str = ""
    value: float
    unit: str
    goal: float | None = None
    at_most: bool = False
    detail: str = ""
    runs: int = 1

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.at_most else self.value >= self.goal


@dataclass(frozen=True, slots=True)
class Found:
    """A figure, and the part of the benchmark that found it."""

    part: str
    figure: Figure

    @property
    def today(self) -> str:
        """The value with its unit."""
        return f"{number(self.figure.value)} {self.figure.unit}".rstrip()

    @property
    def goal(self) -> str:
        """The goal in words, or nothing."""
        if self.figure.goal is None:
            return ""
        return f"{'at most' if self.figure.at_most else 'at least'} {number(self.figure.goal)}"

    @property
    def reached(self) -> str:
        """Yes, no, or nothing."""
        return {True: "yes", False: "no", None: ""}[self.figure.reached]


def number(value: float) -> str:
    """Return a number for people: runs do not agree on more than three digits of it."""
    places = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{places}f}"


def machine(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what this machine is, with what only the benchmark knows added."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())
    return {
        "cpu": cpu or platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "load": f"{os.getloadavg()[0]:.1f} when it began",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **(more or {}),
    }


def as_table(found: Sequence[Found]) -> str:
    """Return the figures as one table of text, a part's name once."""
    rows = _rows(found)
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def as_markdown(content: Sequence[Mapping[str, Any]]) -> str:
    """Return the figures of a JSON file as a table for a page."""
    fields = Figure.__dataclass_fields__
    rows = _rows([Found(row["part"], Figure(**{name: row[name] for name in fields})) for row in content])
    head, *lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, f"|{' --- |' * len(_HEAD)}", *lines])


def as_json(
    about: Mapping[str, str],
    found: Sequence[Found],
    failed: Mapping[str, str],
    *,
    kept: Mapping[str, Any] | None = None,
    run: Sequence[str] = (),
    order: Sequence[str] = (),
) -> str:
    """Return everything for programs.

    Parameters
    ----------
    about, found, failed
        The machine, the figures, and the parts that could not be run, each with the reason.
    kept
        What an earlier run found, of which those parts stay that were not run this time.
    run, order
        The parts that were run, and the order of all; only with ``kept``.
    """
    figures = [{"part": one.part, **asdict(one.figure), "reached": one.figure.reached} for one in found]
    figures += [figure for figure in (kept or {}).get("figures", ()) if figure["part"] not in run]
    if order:
        figures.sort(key=lambda figure: order.index(figure["part"]))
    still = {name: why for name, why in (kept or {}).get("failed", {}).items() if name not in run}
    return json.dumps({"machine": dict(about), "figures": figures, "failed": still | dict(failed)}, indent=2) + "\n"


def _rows(found: Sequence[Found]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [_HEAD]
    part = ""
    for one in found:
        figure = one.figure
        name = one.part if one.part != part else ""
        rows.append((name, figure.what, figure.where, figure.against, one.today, one.goal, one.reached, figure.detail))
        part = one.part
    return rows
