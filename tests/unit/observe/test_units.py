"""Units as source TOMs write them: which way is up, and what astropy reads in a table's header."""

import warnings

import pytest
from astropy import units as u

from bridge.observe.lightcurves import TABLES, Column
from bridge.observe.units import astropy_unit, is_magnitude, named_unit


@pytest.mark.parametrize(
    ("text", "named", "is_upside_down", "for_astropy"),
    [
        ("", "mag", True, ""),
        ("mag", "mag", True, "mag"),
        ("AB mag", "AB mag", True, "mag(AB)"),
        ("ABmag", "AB mag", True, "mag(AB)"),
        ("mag(AB)", "AB mag", True, "mag(AB)"),
        ("Vega mag", "Vega mag", True, "mag"),
        ("STmag", "STmag", True, "mag(ST)"),
        ("mmag", "mmag", True, "mmag"),
        ("millimag", "millimag", True, "millimag"),
        ("AB mmag", "AB mmag", True, "AB mmag"),
        ("mJy", "mJy", False, "mJy"),
        ("µJy", "µJy", False, "uJy"),
        ("image", "image", False, "image"),
        ("nanomaggies", "nanomaggies", False, "nanomaggies"),
        ("erg / s / cm² / Å", "erg / (Angstrom s cm2)", False, "erg / (Angstrom s cm2)"),
        ("counts/s\n# x", "counts/s\n# x", False, ""),
        ("x" * 100, "x" * 100, False, ""),
    ],
)
def test_units_of_brightness_as_they_are_read(text: str, named: str, is_upside_down: bool, for_astropy: str) -> None:
    assert named_unit(text) == named
    assert is_magnitude(named_unit(text)) is is_upside_down
    assert astropy_unit([text]) == for_astropy


def test_one_unit_spelt_in_several_ways_is_one_and_several_are_none() -> None:
    assert astropy_unit(["AB mag", "ABmag"]) == "mag(AB)"
    assert astropy_unit(["mag", "Vega mag"]) == ""
    assert astropy_unit([]) == ""


def column(table: str, name: str) -> Column:
    return next(column for column in TABLES[table].columns if column.name == name)


FLUX, WAVELENGTH = column("spectroscopy", "flux"), column("spectroscopy", "wavelength")
BRIGHTNESS, ERROR = column("photometry", "brightness"), column("astrometry", "measured_ra_error")
PER_ANGSTROM = u.erg / u.s / u.cm**2 / u.AA


@pytest.mark.parametrize(
    ("about", "text", "meant"),
    [
        (WAVELENGTH, "A", u.AA),
        (WAVELENGTH, "Å", u.AA),
        (WAVELENGTH, "angstrom", u.AA),
        (WAVELENGTH, "Angstroms", u.AA),
        (WAVELENGTH, "microns", u.um),
        (WAVELENGTH, "µm", u.um),
        (WAVELENGTH, "nanometers", u.nm),
        (WAVELENGTH, "mm", u.mm),
        (WAVELENGTH, "10 A", 10 * u.AA),
        (WAVELENGTH, "GHz", u.GHz),
        (ERROR, "arcseconds", u.arcsec),
        (ERROR, "degrees", u.deg),
        (ERROR, "°", u.deg),
        (ERROR, "milliarcsec", u.mas),
        (ERROR, '"', u.arcsec),
        (FLUX, "erg/s/cm2/A", PER_ANGSTROM),
        (FLUX, "ergs/s/cm^2/Angstrom", PER_ANGSTROM),
        (FLUX, "1e-15 erg/s/cm2/A", 1e-15 * PER_ANGSTROM),
        (FLUX, "W m-2 A-1", u.W / u.m**2 / u.AA),
        (FLUX, "mJy", u.mJy),
        (BRIGHTNESS, "ABmag", u.Unit("mag(AB)")),
        (BRIGHTNESS, "Vega mag", u.mag),
        (BRIGHTNESS, "mmag", u.mmag),
        (BRIGHTNESS, "erg/s/cm2/A", PER_ANGSTROM),
    ],
)
def test_astropy_reads_what_was_meant(about: Column, text: str, meant: u.UnitBase) -> None:
    """An ``A`` is no ampere."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*multiple slashes")
        read = u.Unit(astropy_unit([text], about.read_unit), parse_strict="raise")

    assert read == u.Unit(meant)


@pytest.mark.parametrize(
    ("about", "texts"),
    [(WAVELENGTH, ["Angstrom", "angstrom", "A", "Å"]), (ERROR, ["arcsec", "arcseconds"]), (FLUX, ["mJy", " mJy"])],
)
def test_a_column_has_one_unit_however_it_is_spelt(about: Column, texts: list[str]) -> None:
    assert astropy_unit(texts, about.read_unit) != ""


def test_every_column_whose_unit_the_rows_say_reads_it_as_what_it_is() -> None:
    quantities = {"unit": 0.0, "flux_unit": 0.0, "wavelength_unit": 1.0, "ra_error_unit": 2.0, "dec_error_unit": 2.0}
    spelt = ("erg/s/cm2/A", "microns", "arcseconds")
    read = ("erg / (Angstrom s cm2)", "um", "arcsec")
    for table in TABLES.values():
        for about in table.columns:
            if about.unit_in:
                kind = int(quantities[about.unit_in])
                assert about.read_unit(spelt[kind]) == read[kind], about.name
