"""How long something took again and again, in several circumstances side by side, and a table of that."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

__all__ = ["Row", "Samples", "compare", "p95", "rotated", "table"]

_T = TypeVar("_T")


@dataclass
class Samples:
    """How long something took, again and again, in several runs.

    Parameters
    ----------
    runs
        For each run, the times in ms.
    failures
        How often the user of the TOM would have seen an error.
    """

    runs: list[list[float]] = field(default_factory=list)
    failures: int = 0

    def add(self, run: int, ms: Sequence[float], failures: int) -> None:
        """Add times to a run, which is the last one or a new one."""
        if run == len(self.runs):
            self.runs.append([])
        self.runs[run].extend(ms)
        self.failures += failures

    @property
    def pooled(self) -> list[float]:
        """The times of all runs."""
        return [ms for run in self.runs for ms in run]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table.

    Parameters
    ----------
    where
        TOM Toolkit and database.
    what
        What took the time.
    how
        In which circumstances; the first of each `what` is the basis.
    ratio, difference
        To the basis: the median of the runs' own, of medians, and the difference in ms.
    median, p95
        In ms: the median of the runs' medians, and what 95 of 100 stayed below.
    difference_range
        The smallest and the largest difference of a run.
    """

    where: str
    what: str
    how: str
    ratio: float
    median: float
    p95: float
    difference: float
    difference_range: tuple[float, float]
    count: int
    failures: int
    runs: int


def compare(where: str, what: str, measured: Mapping[str, Samples]) -> list[Row]:
    """Return a row for each of the circumstances, of which the first is the basis."""
    basis = [statistics.median(run) for run in next(iter(measured.values())).runs]
    rows = []
    for how, samples in measured.items():
        medians = [statistics.median(run) for run in samples.runs]
        differences = [mine - theirs for mine, theirs in zip(medians, basis, strict=True)]
        rows.append(
            Row(
                where=where,
                what=what,
                how=how,
                ratio=statistics.median(mine / theirs for mine, theirs in zip(medians, basis, strict=True)),
                median=statistics.median(medians),
                p95=p95(samples.pooled),
                difference=statistics.median(differences),
                difference_range=(min(differences), max(differences)),
                count=len(samples.pooled),
                failures=samples.failures,
                runs=len(samples.runs),
            )
        )
    return rows


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text, a block for each place."""
    head = ("what", "how", "ratio", "more (ms)", "from .. to", "median", "p95", "failed")
    lines = []
    for where in dict.fromkeys(row.where for row in rows):
        cells, what = [head], ""
        for row in (row for row in rows if row.where == where):
            low, high = row.difference_range
            cells.append((
                row.what if row.what != what else "",
                row.how,
                f"{row.ratio:.2f}",
                f"{row.difference:+.2f}",
                f"{low:+.2f} .. {high:+.2f}" if row.runs > 1 else "",
                f"{row.median:.2f}",
                f"{row.p95:.2f}",
                f"{row.failures} of {row.count}",
            ))  # fmt: skip
            what = row.what
        widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
        lines += ["", where]
        for line in cells:
            texts = [
                cell.ljust(width) if number < 2 else cell.rjust(width)
                for number, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            lines.append(f"  {'  '.join(texts)}".rstrip())
    return "\n".join(lines)


def rotated(turns: Sequence[_T], by: int) -> list[_T]:
    """Return who take turns, another one first each time: nobody is always the one after a costly one."""
    at = by % len(turns)
    return [*turns[at:], *turns[:at]]


def p95(values: Sequence[float]) -> float:
    """Return what 95 of 100 stay below."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]
