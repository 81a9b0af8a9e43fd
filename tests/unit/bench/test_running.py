"""The benchmark's command line: it judges nothing, and a part that cannot be run stops no other."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from bench.__main__ import PARTS, main
from bench.report import Figure
from bench.stage import Bench

MISSED = Figure(what="how fast", value=1.0, unit="times", goal=30.0)


def replace_part(monkeypatch: pytest.MonkeyPatch, name: str, measure: Callable[[Bench], Iterator[Figure]]) -> None:
    module = ModuleType(f"bench.{name}")
    module.measure = measure  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)


def test_a_goal_that_is_not_reached_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    replace_part(monkeypatch, "curve", lambda _bench: iter([MISSED]))
    path = tmp_path / "build" / "bench.json"

    assert main(["--only", "curve", "--json", str(path)]) == 0

    out = capsys.readouterr().out
    assert "cores" in out
    assert "curve  how fast" in out
    [figure] = json.loads(path.read_text())["figures"]
    assert (figure["part"], figure["reached"]) == ("curve", False)


def test_a_part_that_cannot_be_run_is_said_and_the_others_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def breaks_off(_bench: Bench) -> Iterator[Figure]:
        yield MISSED
        raise RuntimeError("the TOM is gone")

    replace_part(monkeypatch, "writing", breaks_off)
    replace_part(monkeypatch, "saving", lambda _bench: iter([MISSED]))
    path = tmp_path / "bench.json"

    assert main(["--only", "writing", "saving", "--json", str(path)]) == 1

    assert "writing could not be run: RuntimeError: the TOM is gone" in capsys.readouterr().out
    content = json.loads(path.read_text())
    assert [figure["part"] for figure in content["figures"]] == ["writing", "saving"]
    assert content["failed"] == {"writing": "RuntimeError: the TOM is gone"}


def test_some_parts_that_are_measured_anew_leave_the_figures_of_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path, values = tmp_path / "bench.json", iter([1.0, 2.0, 3.0])
    for name in ("writing", "saving"):
        replace_part(monkeypatch, name, lambda _bench: iter([replace(MISSED, value=next(values))]))

    assert main(["--only", "writing", "saving", "--json", str(path)]) == 0
    assert main(["--only", "writing", "--json", str(path)]) == 0

    figures = json.loads(path.read_text())["figures"]
    assert [(figure["part"], figure["value"]) for figure in figures] == [("writing", 3.0), ("saving", 2.0)]


def test_what_was_found_is_kept_though_a_later_part_is_cut_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def cut_off(_bench: Bench) -> Iterator[Figure]:
        raise KeyboardInterrupt
        yield MISSED

    replace_part(monkeypatch, "writing", lambda _bench: iter([MISSED]))
    replace_part(monkeypatch, "saving", cut_off)
    path = tmp_path / "bench.json"

    with pytest.raises(KeyboardInterrupt):
        main(["--only", "writing", "saving", "--json", str(path)])

    assert [figure["part"] for figure in json.loads(path.read_text())["figures"]] == ["writing"]


def test_each_part_has_a_folder_of_its_own_that_goes_with_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    homes = []

    def remember(bench: Bench) -> Iterator[Figure]:
        with bench.part("3.1.0 SQLite"):
            homes.append(bench.home)
        homes.append(bench.home)
        assert all(home.is_dir() for home in homes)
        yield MISSED

    replace_part(monkeypatch, "curve", remember)

    assert main(["--quick", "--only", "curve"]) == 0

    inner, outer = homes
    assert (inner.name, inner.parent, outer.name) == ("3_1_0_sqlite", outer, "curve")
    assert not outer.exists()


@pytest.mark.parametrize("name", PARTS)
def test_each_part_is_a_module_that_measures(name: str) -> None:
    text = (Path(main.__code__.co_filename).parent / f"{name}.py").read_text(encoding="utf-8")
    assert "def measure(bench: Bench) -> Iterator[Figure]:" in text
