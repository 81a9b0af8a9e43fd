"""Tables in files: what stands in them, how others read them, and that they are there as a whole or not at all."""

import csv
import errno
import io
import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from astropy.table import Table
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from bridge.cli import app
from bridge.errors import Misconfigured, Retryable
from bridge.events import AstrometryDatum, Origin, PhotometryDatum, ShareEvent, SpectroscopyDatum
from bridge.observe import parquet
from bridge.observe.distinct import Census, distinct
from bridge.observe.export import FORMATS, Tally, export, format_of, open_writer, whole_file
from bridge.observe.lightcurves import TABLES, datum_rows
from bridge.observe.sightings import Sighting
from tests.unit import strategies
from tests.unit.observe.test_lightcurves import NOW, POINT, seen, shared

META = {"topic": "share-stream:tom.shares", "where": 'target = "η Car"'}
LIMIT = PhotometryDatum(timestamp=NOW + timedelta(days=1, microseconds=1), limit=20.25, bandpass="g", unit="ABmag")
NASTY = 'a "quoted", name\n# %ECSV\r\n=1+1\u2028\x85\x00\t;é'
WRONG = PhotometryDatum(timestamp=NOW, limit=1.0, source_name=NASTY, bandpass="#r", extra={"x": NASTY})

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write datums as a table of a format."""

    def run(form: str, *sightings: Sighting, data_type: str = "photometry", tally: Tally | None = None) -> Path:
        path = tmp_path / f"table.{form}"
        path.unlink(missing_ok=True)
        table = TABLES[data_type]
        writer = open_writer(form, path, table, META)
        export(
            distinct(sightings, where=None, census=Census()),
            table=table,
            writer=writer,
            tally=Tally() if tally is None else tally,
        )
        writer.close()
        return path

    return run


def rows_of_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_with_astropy(path: Path) -> Table:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(unit|dubious year)")  # foreign words for units; UTC before 1960
        return Table.read(path)


def test_csv_has_a_header_and_plain_values(write: Write) -> None:
    first, second = rows_of_csv(write("csv", shared(POINT, LIMIT)))

    assert list(first) == [column.name for column in TABLES["photometry"].columns]
    assert (first["time"], first["mjd"], first["brightness"], first["limit"]) == (
        "2026-11-01T00:00:00.000000Z",
        "61345.0",
        "18.5",
        "",
    )
    assert (second["time"], second["brightness"], second["limit"]) == ("2026-11-02T00:00:00.000001Z", "", "20.25")
    assert (first["partition"], first["offset"], first["origin_primary_key"]) == ("2", "0", "12")


def test_csv_holds_whatever_a_source_writes(write: Write) -> None:
    [row] = rows_of_csv(write("csv", shared(WRONG)))

    assert row["source_name"] == NASTY
    assert json.loads(row["extra"]) == {"x": NASTY}


def test_arrays_are_json_in_csv(write: Write) -> None:
    spectrum = SpectroscopyDatum(timestamp=NOW, flux=(1.0, 0.1), wavelength=(4.0, 5.0))
    [row] = rows_of_csv(write("csv", shared(spectrum), data_type="spectroscopy"))

    assert (json.loads(row["flux"]), json.loads(row["flux_error"])) == ([1.0, 0.1], [])


@pytest.mark.parametrize("form", ["ecsv", "parquet"])
def test_astropy_reads_units_times_and_descriptions(form: str, write: Write) -> None:
    table = read_with_astropy(write(form, shared(POINT, LIMIT)))

    assert {name: str(table[name].unit) for name in table.colnames if getattr(table[name], "unit", None)} == {
        "mjd": "d",
        "brightness": "mag(AB)",
        "brightness_error": "mag",
        "limit": "mag(AB)",
        "exposure_time": "s",
        "ra": "deg",
        "dec": "deg",
    }
    assert isinstance(table["time"], Time)
    assert table["time"].scale == "utc"
    assert abs((table["time"][1] - Time("2026-11-02T00:00:00.000001", scale="utc")).sec) < 1e-8
    assert table["mjd"][1] == pytest.approx(table["time"].mjd[1], abs=1e-11)
    assert table["brightness"].description == "Brightness; missing for a limit alone."
    assert table.meta == META
    assert (table["brightness"][0], table["target"][1], table["offset"][0]) == (18.5, "SN 2024abc", 0)
    missing = table["brightness"].mask if form == "ecsv" else np.isnan(table["brightness"])  # Parquet's reader knows no masks
    assert list(missing) == [False, True]


@pytest.mark.parametrize("form", ["ecsv", "parquet"])
def test_astropy_reads_spectra_of_different_lengths(form: str, write: Write) -> None:
    spectra = [
        SpectroscopyDatum(timestamp=NOW, flux=(1.0, 2.0), wavelength=(4.0, 5.0), flux_unit="mJy", wavelength_unit="Å"),
        SpectroscopyDatum(
            timestamp=NOW, flux=(1.0,), flux_error=(0.1,), wavelength=(4.0,), flux_unit="mJy", wavelength_unit="Å"
        ),
    ]
    table = read_with_astropy(write(form, shared(*spectra), data_type="spectroscopy"))

    assert [list(flux) for flux in table["flux"]] == [[1.0, 2.0], [1.0]]
    assert [list(error) for error in table["flux_error"]] == [[], [0.1]]
    assert (str(table["flux"].unit), str(table["wavelength"].unit)) == ("mJy", "Angstrom")


def test_astropy_reads_ecsv_whatever_a_source_writes(write: Write) -> None:
    table = read_with_astropy(write("ecsv", shared(WRONG, POINT)))

    assert len(table) == 2
    assert table["source_name"][0] == r"""a "quoted", name\n# %ECSV\r\n=1+1\u2028\u0085\u0000""" + "\t;é"
    assert json.loads(table["extra"][0]) == {"x": NASTY}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("key", "fits"), [(2**63 - 1, True), (2**63, False), (-(2**63), True), (-(10**30), False)])
def test_a_primary_key_that_no_database_has_spoils_no_table(form: str, key: int, fits: bool, write: Write) -> None:
    strange = POINT.model_copy(update={"origin": Origin(model="m", primary_key=key), "brightness": 1.0})
    path = write(form, shared(strange, POINT))
    read = {"csv": rows_of_csv, "ecsv": read_with_astropy, "parquet": lambda path: pyarrow.parquet.read_table(path).to_pylist()}
    found = [str(row["origin_primary_key"]) for row in read[form](path)]

    assert found[1] == "12"
    assert (found[0] == str(key)) is fits


@given(event=strategies.events(), key=st.integers())
def test_ecsv_and_parquet_hold_what_csv_holds(event: ShareEvent, key: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    home, origin = tmp_path_factory.mktemp("tables"), Origin(model="m", primary_key=key)
    for data_type, table in TABLES.items():
        rows = [
            replace(row, datum=row.datum.model_copy(update={"origin": origin}))
            for row in datum_rows(seen(event))
            if isinstance(row.datum, table.model)
        ]
        paths = {}
        for form in FORMATS:
            paths[form] = home / f"{data_type}.{form}"
            writer = open_writer(form, paths[form], table, META)
            export(rows, table=table, writer=writer, tally=Tally())
            writer.close()
        ecsv = paths["ecsv"].read_text(encoding="utf-8").split("# schema: astropy-2.0\n")[1]
        plain = paths["csv"].read_text(encoding="utf-8")
        assert len(list(csv.reader(io.StringIO(ecsv)))) == len(list(csv.reader(io.StringIO(plain)))) == 1 + len(rows)
        columns = pyarrow.parquet.read_table(paths["parquet"]).to_pydict()
        for number, row in enumerate(rows):
            cells = [list(cell) if isinstance(cell, tuple) else cell for cell in row.cells(table)]
            assert [columns[column.name][number] for column in table.columns] == cells
        if rows:
            assert len(read_with_astropy(paths["ecsv"])) == len(rows)


def test_others_find_units_in_the_parquet_file_too(write: Write) -> None:
    found = pyarrow.parquet.read_metadata(write("parquet", shared(POINT, LIMIT))).metadata

    assert json.loads(found[b"units"])["brightness"] == "mag(AB)"


def test_parquet_is_written_in_row_groups(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "BATCH_WEIGHT", 5_000)
    monkeypatch.setattr(parquet, "GROUP_BYTES", 20_000)
    points = [POINT.model_copy(update={"brightness": number / 10}) for number in range(300)]

    path = write("parquet", shared(*points))

    assert pyarrow.parquet.read_metadata(path).num_row_groups > 3
    assert pyarrow.parquet.read_table(path)["brightness"].to_pylist() == [point.brightness for point in points]


@pytest.mark.parametrize("form", FORMATS)
def test_a_table_without_rows_is_a_table(form: str, write: Write) -> None:
    path = write(form)

    if form == "csv":
        assert rows_of_csv(path) == []
    elif form == "ecsv":
        assert read_with_astropy(path).colnames[0] == "time"
    else:
        assert pyarrow.parquet.read_table(path).num_rows == 0


@pytest.mark.parametrize("form", ["ecsv", "parquet"])
def test_a_column_whose_rows_have_several_units_has_none(form: str, write: Write) -> None:
    tally = Tally()
    flux = PhotometryDatum(timestamp=NOW, brightness=1.5, unit="mJy")
    table = read_with_astropy(write(form, shared(POINT, flux), tally=tally))

    assert table["brightness"].unit is None
    assert list(table["unit"]) == ["AB mag", "mJy"]
    assert tally.units == {"unit": {"AB mag": 1, "mJy": 1}}


def test_a_unit_counts_only_where_it_is_of_something(write: Write) -> None:
    tally = Tally()
    positions = [
        AstrometryDatum(timestamp=NOW, ra=1.0, dec=2.0, ra_error=0.1, ra_error_units="mas"),
        AstrometryDatum(timestamp=NOW, ra=1.5, dec=2.0, dec_error_units="arcsec"),
    ]
    write("ecsv", shared(*positions), data_type="astrometry", tally=tally)

    assert tally.units == {"ra_error_unit": {"mas": 1}}


def test_any_number_of_units_takes_bounded_memory(write: Write) -> None:
    tally = Tally()
    write("csv", shared(*(POINT.model_copy(update={"unit": f"u{number}"}) for number in range(300))), tally=tally)

    assert len(tally.units["unit"]) <= 101
    assert tally.units["unit"].total() == 300


def test_datums_of_other_types_are_counted_by_the_table_that_has_them(write: Write) -> None:
    tally = Tally()
    spectrum = SpectroscopyDatum(timestamp=NOW, flux=(1.0,), wavelength=(4.0,))
    write("csv", shared(POINT, spectrum), shared(spectrum), tally=tally)

    assert (tally.rows, tally.left_out) == (1, {"spectroscopy": 1})


def test_a_file_takes_its_place_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")

    with whole_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"

    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def fail_half_way(path: Path, error: BaseException) -> None:
    with whole_file(path) as temporary:
        temporary.write_text("half")
        raise error


@pytest.mark.parametrize("error", [RuntimeError("whatever"), KeyboardInterrupt()])
def test_a_file_that_is_not_completed_leaves_no_trace(error: BaseException, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")

    with pytest.raises(type(error)):
        fail_half_way(path, error)

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_said_and_leaves_no_trace(tmp_path: Path) -> None:
    with pytest.raises(Retryable, match=r"table.csv: cannot be written \(No space left on device\)"):
        fail_half_way(tmp_path / "table.csv", OSError(errno.ENOSPC, "No space left on device"))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "why"), [(".", "is a folder"), ("nowhere/a.csv", "No such file or directory")])
def test_a_place_where_no_file_can_be_is_said_at_once(name: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=why), whole_file(tmp_path / name) as temporary:
        open_writer("csv", temporary, TABLES["photometry"], {})


@pytest.mark.parametrize(
    ("name", "asked", "expected"),
    [("a.csv", None, "csv"), ("a.ECSV", None, "ecsv"), ("a.b.parquet", None, "parquet"), ("a.txt", "csv", "csv")],
)
def test_the_format_is_what_is_asked_for_or_what_the_name_says(name: str, asked: str | None, expected: str) -> None:
    assert format_of(Path(name), asked) == expected


@pytest.mark.parametrize("name", ["lightcurve", "a.fits"])
def test_a_name_that_says_no_format_is_complained_about(name: str) -> None:
    with pytest.raises(Misconfigured, match=r"--to .*: say which format with --format.*\.csv, \.ecsv, \.parquet"):
        format_of(Path(name), None)


def test_parquet_that_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "bridge.observe.parquet", None)

    with pytest.raises(Misconfigured, match=r"pip install '\.\[parquet\]'"):
        open_writer("parquet", tmp_path / "a.parquet", TABLES["photometry"], {})


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--to", "a.fits"], "say which format"),
        (["--to", "a.csv", "--where", "colour = 1"], "colour"),
        (["--to", "a.csv", "--from", "yesterday"], "nobody"),
    ],
)
def test_what_is_wrong_with_the_command_is_said_before_anything_is_read(
    arguments: list[str], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bridge.toml").write_text('[DATA_SHARING.s]\nBASE_URL = "kafka://127.0.0.1:1/"\n')
    result = CliRunner().invoke(app, ["export", "s:tom.shares", *arguments])

    assert isinstance(result.exception, Misconfigured)
    assert complaint in str(result.exception) or complaint == "nobody"
    assert "was not written" not in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bridge.toml"]
