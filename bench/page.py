"""Put what ``make bench`` found into docs/performance.md: ``python -m bench.page [build]``, the folder with its results.

The figures are kept as docs/performance.json, so that the page can be written anew without measuring anew.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from bench.curve import PLOT
from bench.report import as_markdown

__all__ = ["PATH", "page"]

PATH = Path(__file__).parents[1] / "docs" / "performance.md"
KEPT = PATH.with_suffix(".json")
BEGIN, END = "<!-- Figures, by python -m bench.page. Do not edit. -->\n", "<!-- End of the figures. -->\n"


def page() -> str:
    """Return the whole page, with the figures that are kept."""
    before, _, rest = PATH.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    found = json.loads(KEPT.read_text(encoding="utf-8"))
    machine = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    failed = "".join(f"**{name}** could not be run: {' '.join(why.split())}\n\n" for name, why in found["failed"].items())
    return f"{before}{BEGIN}\n{as_markdown(found['figures'])}\n\n{failed}The machine: {machine}.\n\n{END}{after}"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        shutil.copyfile(Path(sys.argv[1]) / "bench.json", KEPT)
        shutil.copyfile(Path(sys.argv[1]) / PLOT, PATH.parent / PLOT)
    PATH.write_text(page(), encoding="utf-8")
