"""Where two targets are relative to each other on the sky."""

from math import atan2, cos, degrees, hypot, radians, sin

from bridge.events import TargetIdentity

__all__ = ["position_at", "separation_arcsec"]

DEFAULT_EPOCH = 2000.0
"""Epoch of a position that has none, Julian years."""


def separation_arcsec(ra1: float, dec1: float, ra2: float, dec2: float) -> float:
    """Return the angle between two positions, by Vincenty's formula, good at all distances.

    Parameters
    ----------
    ra1, dec1, ra2, dec2
        Degrees, one system.

    Returns
    -------
    float
        Arcseconds.
    """
    difference, one, two = radians(ra2 - ra1), radians(dec1), radians(dec2)
    across = cos(two) * sin(difference)
    along = cos(one) * sin(two) - sin(one) * cos(two) * cos(difference)
    down = sin(one) * sin(two) + cos(one) * cos(two) * cos(difference)
    return degrees(atan2(hypot(across, along), down)) * 3600


def position_at(target: TargetIdentity, epoch: float) -> tuple[float, float] | None:
    """Return a sidereal target's position at an epoch, moved along its proper motion, or None if it has no position.

    Linear motion in right ascension and declination: for the years and arcminutes that matter here it differs from the
    rigorous propagation by less than an arcsecond, away from the poles.

    Returns
    -------
    tuple of float
        Right ascension and declination, degrees.
    """
    if target.ra is None or target.dec is None:
        return None
    years = epoch - (target.epoch if target.epoch is not None else DEFAULT_EPOCH)
    dec = target.dec + (target.pm_dec or 0.0) * years / 3_600_000
    across = (target.pm_ra or 0.0) * years / 3_600_000
    shrink = cos(radians(target.dec))
    ra = target.ra + (across / shrink if abs(shrink) > 1e-6 else 0.0)
    return ra, dec
