"""When two targets of one name are not the same: the table of design.md."""

import pytest

from bridge.events import TargetIdentity
from bridge.tom.matching import mismatch


def star(**about: object) -> TargetIdentity:
    return TargetIdentity.model_validate({"name": "a", "type": "SIDEREAL"} | about)


ASTEROID = TargetIdentity(name="a", type="NON_SIDEREAL", inclination=10.0)
HERE = star(ra=197.45, dec=-23.38)

SAME: dict[str, tuple[TargetIdentity, TargetIdentity]] = {
    "the same position": (HERE, HERE),
    "within the limit": (HERE, star(ra=197.45, dec=-23.38 + 59 / 3600)),
    "on both sides of the meridian": (star(ra=359.999, dec=0.0), star(ra=0.001, dec=0.0)),
    "no coordinates in the event": (star(), HERE),
    "no coordinates there": (HERE, star()),
    "half a position": (star(ra=10.0), HERE),
    "coordinates nowhere": (star(), star()),
    "non-sidereal, whatever the elements": (ASTEROID, ASTEROID.model_copy(update={"inclination": 20.0})),
    "a fast star, seen at another epoch": (
        star(ra=269.452, dec=4.6934, pm_ra=-802.8, pm_dec=10362.4, epoch=2000.0),
        star(ra=269.4462, dec=4.7682, epoch=2026.0),
    ),
    "non-sidereal with coordinates": (
        ASTEROID.model_copy(update={"ra": 1.0, "dec": 1.0}),
        ASTEROID.model_copy(update={"ra": 90.0, "dec": 1.0}),
    ),
}
DIFFERENT: dict[str, tuple[TargetIdentity, TargetIdentity, str]] = {
    "beyond the limit": (HERE, star(ra=197.45, dec=-23.38 + 62 / 3600), "62 arcsec away on the sky (at most 60"),
    "elsewhere": (HERE, star(ra=17.45, dec=23.38), "648,000 arcsec away"),
    "sidereal in the event, not there": (HERE, ASTEROID, "is NON_SIDEREAL there and SIDEREAL in the event"),
    "not in the event, sidereal there": (ASTEROID, HERE, "is SIDEREAL there and NON_SIDEREAL in the event"),
    "a fast star that has not moved": (
        star(ra=269.452, dec=4.6934, pm_ra=-802.8, pm_dec=10362.4, epoch=2000.0),
        star(ra=269.452, dec=4.6934, epoch=2026.0),
        "270 arcsec away",
    ),
}


@pytest.mark.parametrize("case", SAME)
def test_these_are_the_same(case: str) -> None:
    assert mismatch(*SAME[case], 60.0) is None


@pytest.mark.parametrize("case", DIFFERENT)
def test_these_are_not_and_the_reason_says_why(case: str) -> None:
    one, other, why = DIFFERENT[case]

    assert why in (mismatch(one, other, 60.0) or "")


def test_the_limit_is_a_setting() -> None:
    apart = star(ra=197.45, dec=-23.38 + 30 / 3600)

    assert mismatch(HERE, apart, 60.0) is None
    assert mismatch(HERE, apart, 10.0) is not None
