"""Positions on the sky, compared with astropy."""

import astropy.units as u
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given
from hypothesis import strategies as st

from bridge.events import TargetIdentity
from bridge.translate.sky import position_at, separation_arcsec

longitudes = st.floats(0, 360, exclude_max=True)
latitudes = st.floats(-90, 90)


@given(longitudes, latitudes, longitudes, latitudes)
def test_the_separation_is_astropys(ra1: float, dec1: float, ra2: float, dec2: float) -> None:
    theirs = SkyCoord(ra1, dec1, unit="deg").separation(SkyCoord(ra2, dec2, unit="deg")).arcsec

    assert separation_arcsec(ra1, dec1, ra2, dec2) == pytest.approx(theirs, abs=1e-4)


@given(longitudes, st.floats(-89, 89), st.floats(-60, 60), st.floats(-60, 60))
def test_small_separations_are_astropys(ra: float, dec: float, east: float, north: float) -> None:
    here = SkyCoord(ra, dec, unit="deg")
    there = here.spherical_offsets_by(east * u.arcsec, north * u.arcsec)
    ours = separation_arcsec(ra, dec, float(there.ra.deg), float(there.dec.deg))

    assert ours == pytest.approx(here.separation(there).arcsec, abs=1e-6)


@pytest.mark.parametrize(
    ("one", "other", "arcsec"),
    [
        ((0.0, 0.0), (0.0, 0.0), 0.0),
        ((359.9999, 0.0), (0.0001, 0.0), 0.72),
        ((-0.0001, 0.0), (359.9999, 0.0), 0.0),
        ((10.0, 90.0), (200.0, 90.0), 0.0),
        ((10.0, 89.99), (190.0, 89.99), 72.0),
        ((0.0, 0.0), (180.0, 0.0), 648_000.0),
        ((30.0, 60.0), (31.0, 60.0), 1799.98),
    ],
)
def test_separations_at_the_edges(one: tuple[float, float], other: tuple[float, float], arcsec: float) -> None:
    assert separation_arcsec(*one, *other) == pytest.approx(arcsec, abs=0.01)


def sidereal(**about: float) -> TargetIdentity:
    return TargetIdentity(name="a", type="SIDEREAL", **about)  # type: ignore[arg-type]


@given(longitudes, st.floats(-80, 80), st.floats(-1_000, 1_000), st.floats(-1_000, 1_000), st.floats(1990, 2050))
def test_a_position_moves_as_astropy_moves_it(ra: float, dec: float, pm_ra: float, pm_dec: float, epoch: float) -> None:
    moved = SkyCoord(ra, dec, unit="deg", pm_ra_cosdec=pm_ra * u.mas / u.yr, pm_dec=pm_dec * u.mas / u.yr).spherical_offsets_by(
        pm_ra * (epoch - 2015.5) * u.mas, pm_dec * (epoch - 2015.5) * u.mas
    )
    ours = position_at(sidereal(ra=ra, dec=dec, pm_ra=pm_ra, pm_dec=pm_dec, epoch=2015.5), epoch)

    assert ours is not None
    assert separation_arcsec(*ours, float(moved.ra.deg), float(moved.dec.deg)) < 1.0


def test_barnards_star_is_ten_arcseconds_further_each_year() -> None:
    barnard = sidereal(ra=269.452, dec=4.6934, pm_ra=-802.8, pm_dec=10362.4, epoch=2000.0)
    then = position_at(barnard, 2026.0)

    assert then is not None
    assert separation_arcsec(269.452, 4.6934, *then) == pytest.approx(26 * 10.3935, abs=0.1)


def test_a_position_without_epoch_is_of_2000_and_one_without_motion_stays() -> None:
    assert position_at(sidereal(ra=1.0, dec=2.0, pm_dec=3_600_000.0), 2001.0) == (1.0, 3.0)
    assert position_at(sidereal(ra=1.0, dec=2.0, epoch=1950.0), 2050.0) == (1.0, 2.0)


def test_at_the_pole_motion_in_right_ascension_means_nothing() -> None:
    assert position_at(sidereal(ra=1.0, dec=90.0, pm_ra=1_000.0), 2050.0) == (1.0, 90.0)


@pytest.mark.parametrize("about", [{}, {"ra": 1.0}, {"dec": 1.0}])
def test_without_both_coordinates_there_is_no_position(about: dict[str, float]) -> None:
    assert position_at(sidereal(**about), 2000.0) is None
