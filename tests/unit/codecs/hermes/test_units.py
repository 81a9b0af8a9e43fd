"""Units in both directions, against values that a person knows, and astropy's own conversions."""

import pytest
from astropy import units as u
from hypothesis import given
from hypothesis import strategies as st

from bridge.codecs.hermes import units, vocabulary
from bridge.codecs.hermes.units import Outgoing
from tests.support import hermes_rules

FLAM = "erg / s / cm² / Å"


def test_hermes_words_are_those_that_hermes_takes() -> None:
    assert list(vocabulary.TABLES) == ["targets", *hermes_rules.TABLES]
    assert list(vocabulary.BRIGHTNESSES) == hermes_rules.BRIGHTNESS_UNITS
    assert list(vocabulary.FLUXES) == hermes_rules.FLUX_UNITS
    assert list(vocabulary.WAVELENGTHS) == hermes_rules.WAVELENGTH_UNITS
    assert list(vocabulary.ANGLES) == hermes_rules.ANGLE_UNITS
    assert list(vocabulary.DISTANCES) == hermes_rules.DISTANCE_UNITS
    assert list(vocabulary.PERIODS) == hermes_rules.PERIOD_UNITS
    assert list(vocabulary.FLUX_TYPES) == hermes_rules.FLUX_TYPES
    assert list(vocabulary.SPECTRUM_TYPES) == hermes_rules.SPEC_TYPES
    assert list(vocabulary.TRANSIENT_TYPES) == hermes_rules.TRANSIENT_TYPES


def test_every_unit_of_a_distance_is_read() -> None:
    assert [unit for unit in vocabulary.DISTANCES if units.parsecs(1.0, unit) is None] == []


def spelt(*lines: tuple[str, str]) -> list[tuple[str, str]]:
    """Return each spelling of a line with the unit that the line is about."""
    return [(text, unit) for unit, texts in lines for text in texts.split(" | ")]


@pytest.mark.parametrize(
    ("toms", "hermes"),
    spelt(
        ("AB mag", "AB mag | AB | ab | ABmag | mag(AB) | ABflux | AB_MAG"),
        ("Vega mag", "Vega mag | Vega | vega mag | mag(Vega)"),
        ("mJy", "mJy | millijansky"),
        (FLAM, f"{FLAM} | erg / (Angstrom s cm2) | erg/s/cm2/A | erg/s/cm^2/Ang | ergs/cm2/s/A | erg cm-2 s-1 Å-1"),
        (FLAM, "erg s**-1 cm**-2 angstrom**-1 | erg / s / cm2 / AA"),
    ),
)
def test_a_brightness_in_a_unit_of_hermes_goes_out_as_it_is(toms: str, hermes: str) -> None:
    assert units.brightness_to_hermes(toms) == Outgoing(hermes)
    assert units.same_unit(units.brightness_unit(toms), hermes)
    assert units.same_unit(toms, hermes)


@pytest.mark.parametrize(
    ("toms", "hermes"),
    spelt(
        ("Å", "Å | \N{ANGSTROM SIGN} | Angstrom | AA | A | angstroms"),
        ("nm", "nm | nanometers"),
        ("µm", "um | µm | \N{GREEK SMALL LETTER MU}m | micron"),
        ("Hz", "Hz | hertz"),
        ("GHz", "GHz"),
        ("THz", "THz"),
    ),
)
def test_wavelengths_in_a_unit_of_hermes_go_out_as_they_are(toms: str, hermes: str) -> None:
    assert units.wavelength_to_hermes(toms) == Outgoing(hermes)
    assert units.same_unit(units.wavelength_unit(hermes), toms)


@pytest.mark.parametrize(
    ("toms", "hermes"),
    spelt(
        ("degrees", "degrees | deg | degree | °"),
        ("arcmin", "arcmin | arcminutes | '"),
        ("arcsec", "arcsec | arcseconds | \" | ''"),
        ("mas", "mas | milliarcseconds"),
    ),
)
def test_errors_of_positions_in_a_unit_of_hermes_go_out_as_they_are(toms: str, hermes: str) -> None:
    assert units.angle_to_hermes(toms) == Outgoing(hermes)
    assert units.angle_unit(toms) == hermes


@pytest.mark.parametrize(
    ("outgoing", "factor", "hermes"),
    [
        (units.brightness_to_hermes("Jy"), 1000, "mJy"),
        (units.brightness_to_hermes("uJy"), 0.001, "mJy"),
        (units.brightness_to_hermes("µJy"), 0.001, "mJy"),
        (units.brightness_to_hermes("nJy"), 1e-6, "mJy"),
        (units.brightness_to_hermes("erg / (Hz s cm2)"), 1e26, "mJy"),  # 1 Jy = 1e-23 erg/s/cm2/Hz
        (units.flux_to_hermes("W / (m2 um)"), 0.1, FLAM),  # 1e7 erg/s, 1e4 cm2, 1e4 Å
        (units.flux_to_hermes("1e-17 erg / (s cm2 Angstrom)"), 1e-17, FLAM),
        (units.wavelength_to_hermes("mm"), 1000, "µm"),
        (units.wavelength_to_hermes("MHz"), 0.001, "GHz"),
        (units.angle_to_hermes("uas"), 0.001, "mas"),
        (units.angle_to_hermes("hourangle"), 15, "degrees"),
    ],
)
def test_other_units_are_converted(outgoing: Outgoing | None, factor: float, hermes: str) -> None:
    assert outgoing == Outgoing(hermes, factor)


@pytest.mark.parametrize("text", ["counts", "adu", "ST", "mag(ST)", "maggy^2", "dex", "keV", "m / s", "0 mJy", "1e400 Jy", "%"])
def test_what_is_no_unit_of_hermes_is_not_taken_for_one(text: str) -> None:
    assert units.brightness_to_hermes(text) is None
    assert units.brightness_unit(text) == text


def test_magnitudes_are_no_flux_of_a_spectrum() -> None:
    assert [units.flux_to_hermes(text) for text in ("AB", "ABflux", "mag(AB)", "mag", "Vega mag", "ST")] == [None] * 6


def test_a_unit_that_nobody_says_stays_unsaid_in_and_has_toms_default_out() -> None:
    assert [read("") for read in (units.brightness_unit, units.flux_unit, units.wavelength_unit, units.angle_unit)] == [""] * 4
    assert [unsaid for unsaid in ("", "  ", "mag", "Mags", "magnitude", "AB", "mJy") if units.unsaid(unsaid)] == [
        "", "  ", "mag", "Mags", "magnitude",
    ]  # fmt: skip
    assert units.brightness_to_hermes("") == units.brightness_to_hermes("mag") == Outgoing("AB mag")
    assert units.flux_to_hermes("") == Outgoing(FLAM)
    assert units.wavelength_to_hermes("") == Outgoing("Å")
    assert units.angle_to_hermes("") == Outgoing("degrees")


def test_units_that_differ_are_not_the_same() -> None:
    known = ["", "AB mag", "Vega mag", "mag", "mJy", "Jy", "MJy", FLAM, "Å", "nm", "µm", "Hz", "degrees", "arcsec", "counts"]

    assert [(one, other) for one in known for other in known if one != other and units.same_unit(one, other)] == []
    assert all(units.same_unit(one, f" {one}") for one in known)


@given(st.text(max_size=30) | st.sampled_from(["1 / 0", "erg//s", "((", "**", "m(2", "/", "10**99999 m", "µ", "\x00"]))
def test_no_text_is_too_odd(text: str) -> None:
    for read in (units.brightness_unit, units.flux_unit, units.wavelength_unit, units.angle_unit):
        assert read(text) == text.strip() or units.same_unit(read(text), text)
        assert read(read(text)) == read(text)
    for write in (units.brightness_to_hermes, units.flux_to_hermes, units.wavelength_to_hermes, units.angle_to_hermes):
        write(text)
    assert units.parsecs(1.0, text) is None or text.strip()


@given(st.sampled_from(["Jy", "uJy", "nJy", "W / (m2 nm)", "erg / (Hz s cm2)"]), st.floats(-1e30, 1e30))
def test_conversions_are_those_of_astropy(text: str, value: float) -> None:
    outgoing = units.brightness_to_hermes(text)
    assert outgoing is not None
    there = {"mJy": u.mJy, FLAM: u.erg / u.s / u.cm**2 / u.AA}[outgoing.unit]

    assert units.scaled(value, outgoing.factor) == pytest.approx((value * u.Unit(text)).to(there).value, rel=1e-12)


def test_numbers_are_scaled_as_on_paper() -> None:
    assert units.scaled(0.00112, 1e3) == 1.12
    assert units.scaled(1.1, 1e-3) == 0.0011
    assert units.scaled(-0.25, 1e-3) == -0.00025
    assert units.scaled(0.1, 1) == 0.1


@given(st.floats(-1e6, 1e6).map(lambda value: round(value, 6)))
def test_what_a_person_writes_survives_the_way_there_and_back(value: float) -> None:
    assert units.scaled(units.scaled(value, 1e-3), 1e3) == value


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (1.0, "pc", 1.0), (4.2, "Mpc", 4.2e6), (1.5, "kpc", 1500.0), (2.0, "Gpc", 2e9), (1.0, "ly", 0.306601393785550),
        (206264.806247096, "au", 1.0), (206264.806247096, "AU", 1.0), (3.0856775814913673e16, "m", 1.0),
        (3.0856775814913673e13, "km", 1.0), (3.0856775814913673e18, "cm", 1.0),
    ],
)  # fmt: skip
def test_distances_become_parsecs(value: float, unit: str, expected: float) -> None:
    assert units.parsecs(value, unit) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("unit", ["", "z", "furlong", "mpc", "PC"])
def test_a_distance_in_no_unit_of_hermes_is_none(unit: str) -> None:
    assert units.parsecs(1.0, unit) is None


def test_a_distance_too_large_for_a_number_is_none() -> None:
    assert units.parsecs(1e308, "Gpc") is None


@pytest.mark.parametrize(
    ("given_motions", "unit", "expected"),
    [
        ((0.00112, -0.5), "", (1.12, -500.0)),
        ((-0.80, 10.36), "", (-800.0, 10360.0)),  # Barnard's star, by Hermes' documentation
        ((-802.8, 10362.5), "", (-802.8, 10362.5)),  # the same, as TOM Toolkit sends it
        ((0.5, 11.5), "", (0.5, 11.5)),
        ((0.5, 11.5), "arcsec/yr", (500.0, 11500.0)),
        ((1.5, None), "mas/yr", (1.5, None)),
        ((None, 0.25), "parsecs", (None, 250.0)),
        ((None, None), "", (None, None)),
    ],
)
def test_proper_motions_become_milliarcseconds(
    given_motions: tuple[float | None, float | None], unit: str, expected: tuple[float | None, float | None]
) -> None:
    assert units.proper_motions(*given_motions, unit) == expected


def test_zero_comes_back() -> None:
    assert units.zero_again(units.ZERO_STANDS_AS) == 0.0
    assert units.zero_again(-17.5) == -17.5
    assert units.zero_again(1e-60) == 1e-60


def test_common_units_are_known_without_astropy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "_read", lambda _text: None)
    units._outgoing.cache_clear()
    try:
        assert units.brightness_to_hermes("AB") == Outgoing("AB mag")
        assert units.brightness_unit("mJy") == "mJy"
        assert units.flux_to_hermes("erg / (Angstrom s cm2)") == Outgoing(FLAM)
        assert units.flux_unit(FLAM) == "erg / (Angstrom s cm2)"
        assert [units.wavelength_to_hermes(text) for text in ("Angstroms", "AA", "µm", "microns", "nm")] == [
            Outgoing("Å"), Outgoing("Å"), Outgoing("µm"), Outgoing("µm"), Outgoing("nm"),
        ]  # fmt: skip
        assert units.angle_to_hermes('"') == Outgoing("arcsec")
        assert units.angle_to_hermes("deg") == Outgoing("degrees")
    finally:
        units._outgoing.cache_clear()
