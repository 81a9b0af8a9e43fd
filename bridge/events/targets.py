"""Targets: every field that TOM Toolkit has for one (``tom_targets.base_models.BaseTarget``)."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from bridge.events.words import Name, Number, Several, Texts, Words

__all__ = ["Target", "TargetIdentity"]


def _not_blank(name: str) -> str:
    if not name.strip():
        raise ValueError("a target's name is more than white space")
    return name


class TargetIdentity(Words):
    """What is needed to recognise a target: names, and where it is on the sky."""

    name: Annotated[Name, AfterValidator(_not_blank)]
    """Primary name; TOMs drop white space around it."""
    type: Literal["SIDEREAL", "NON_SIDEREAL"]
    """Target type, as TOM Toolkit spells it."""
    aliases: Several[Name] = ()
    """Other names of the same target."""
    primary_key: int | None = None
    """Primary key at the source TOM."""
    ra: Number | None = None
    """Right ascension, degrees, ICRS."""
    dec: Number | None = None
    """Declination, degrees, ICRS."""
    epoch: Number | None = None
    """Epoch of the position, Julian years; absent means 2000.0."""
    pm_ra: Number | None = None
    """Proper motion in right ascension times cos(dec), milliarcseconds per year."""
    pm_dec: Number | None = None
    """Proper motion in declination, milliarcseconds per year."""
    parallax: Number | None = None
    """Parallax, milliarcseconds."""
    scheme: str = ""
    """Orbital element scheme: MPC_MINOR_PLANET, MPC_COMET or JPL_MAJOR_PLANET."""
    epoch_of_elements: Number | None = None
    """Epoch of the elements, MJD."""
    mean_anomaly: Number | None = None
    """Mean anomaly, degrees."""
    arg_of_perihelion: Number | None = None
    """Argument of perihelion, degrees, J2000."""
    eccentricity: Number | None = None
    """Eccentricity, dimensionless."""
    lng_asc_node: Number | None = None
    """Longitude of the ascending node, degrees, J2000."""
    inclination: Number | None = None
    """Inclination to the ecliptic, degrees, J2000."""
    mean_daily_motion: Number | None = None
    """Mean daily motion, degrees per day."""
    semimajor_axis: Number | None = None
    """Semimajor axis, au."""
    epoch_of_perihelion: Number | None = None
    """Time of perihelion, MJD."""
    perihdist: Number | None = None
    """Perihelion distance, au."""

    @property
    def names(self) -> tuple[str, ...]:
        """Primary name and aliases, each once, in that order."""
        return tuple(dict.fromkeys((self.name, *self.aliases)))

    @property
    def is_name_alone(self) -> bool:
        """Whether nothing is said of where it is; its type is a guess then, as for a Hermes message's rows without a target.

        Who says that it is not sidereal does not guess.
        """
        places = ("ra", "dec", "epoch_of_elements", "eccentricity", "inclination")
        return self.type == "SIDEREAL" and all(getattr(self, name) is None for name in places)

    def identity(self) -> "TargetIdentity":
        """Return the identity block alone, as every datum event carries it."""
        return TargetIdentity.model_validate(self.model_dump(include=set(TargetIdentity.model_fields)))


class Target(TargetIdentity):
    """A whole target: its identity and everything else that TOM Toolkit stores with it."""

    galactic_lng: Number | None = None
    """Galactic longitude, degrees."""
    galactic_lat: Number | None = None
    """Galactic latitude, degrees."""
    distance: Number | None = None
    """Distance, parsecs."""
    distance_err: Number | None = None
    """Error of the distance, parsecs."""
    ephemeris_period: Number | None = None
    """Ephemeris period, days."""
    ephemeris_period_err: Number | None = None
    """Error of the ephemeris period, days."""
    ephemeris_epoch: Number | None = None
    """Ephemeris epoch, days."""
    ephemeris_epoch_err: Number | None = None
    """Error of the ephemeris epoch, days."""
    abs_mag: Number | None = None
    """Absolute magnitude of an asteroid or comet (H or m1), mag."""
    slope: Number | None = None
    """Slope parameter of an asteroid or comet (G or k1), mag."""
    shared_by: str = ""
    """Who had shared the target to the source TOM, if anyone (TOM Toolkit 3)."""
    shared_from: str = ""
    """Name of the TOM that had shared it to the source TOM, if any (TOM Toolkit 3)."""
    extras: Texts = Field(default_factory=dict)
    """The target's extra fields, key to value, as text."""
