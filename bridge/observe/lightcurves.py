"""Light curves as tables: one row for each reduced datum, with its target, its units and where it comes from."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, Literal

from bridge.codecs.hermes.units import angle_unit, brightness_unit, flux_unit, wavelength_unit
from bridge.events import (
    AstrometryDatum,
    DataProductShared,
    OtherDatum,
    PhotometryDatum,
    ReducedDatum,
    ReducedDatumsShared,
    SpectroscopyDatum,
    TargetIdentity,
    canonical_json,
    simplify_name,
)
from bridge.observe.sightings import Sighting, identity_of
from bridge.translate.datums import datum_mark

__all__ = ["MJD_0", "TABLES", "Column", "DatumRow", "DatumTable", "datum_rows", "mjd"]

Form = Literal["text", "number", "integer", "time", "numbers"]

MOST_NAMES = 32
"""Names by which a target is told from others that have no primary key: the primary name, and its first aliases."""
MJD_0 = datetime(1858, 11, 17, tzinfo=UTC)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Parameters
    ----------
    name
        Its name.
    form
        What stands in it: ``text`` (never missing, but perhaps empty), ``number``, ``integer``, ``time`` (UTC), or ``numbers``,
        an array of any length.
    about
        What it means, in one sentence.
    unit
        Its unit, as astropy writes it.
    unit_in
        The column that says its unit row by row, where it has none of its own.
    read_unit
        Returns what such a unit means, which depends on what it is the unit of.
    is_error
        Whether it is the difference of two such values: that of two AB magnitudes is in plain magnitudes.
    """

    name: str
    form: Form
    about: str
    unit: str = ""
    unit_in: str = ""
    read_unit: Callable[[str], str] = brightness_unit
    is_error: bool = False


@dataclass(frozen=True)
class DatumTable:
    """A table of datums of one kind.

    Parameters
    ----------
    data_type
        Which datums: ``photometry``, ``spectroscopy``, ``astrometry``, or ``other``, which is all the rest.
    model
        Their model.
    measured
        The columns of what was measured.
    values
        Returns what stands in them.
    """

    data_type: str
    model: type[Any]
    measured: tuple[Column, ...]
    values: Callable[[Any], tuple[Any, ...]]

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """All columns, in their order."""
        return (*_WHEN, *self.measured, *_WHERE)


@dataclass(frozen=True, slots=True)
class DatumRow:
    """A datum that is about to become a row, and what tells it from every other one, be it shared as often as it may."""

    datum: ReducedDatum
    datum_id: str
    target: TargetIdentity
    sighting: Sighting

    @property
    def digest(self) -> bytes:
        """16 bytes that tell the datum from every other one of its target, whatever that is called: its identity alone."""
        return bytes.fromhex(self.datum_id)[:16]

    @property
    def digests(self) -> tuple[bytes, ...]:
        """The same among the datums of any targets: two that have one of these in common are the same datum.

        The target belongs to it: a survey's field gives all its targets the same limit at the same moment. It is known by its
        page at the TOM whose the datum is, so that it may be renamed there, and be called otherwise at a hub. Where that
        TOM says no primary key, any of its names will do, compared as TOM Toolkit compares them.
        """
        page = self._page
        names = (self.target.name, *self.target.aliases[: MOST_NAMES - 1])
        keys = [f"at {page}"] if page else [f"named {name}" for name in dict.fromkeys(map(simplify_name, names))]
        return tuple(blake2b(f"{self.datum_id} {key}".encode(), digest_size=16).digest() for key in keys)

    @property
    def _page(self) -> str:
        """The target's page at the TOM that the datum's identity names; empty if its primary key there is not known."""
        address, mark = self.datum.source_location, datum_mark(self.datum.source_location)
        if mark and self.datum_id.startswith(mark):
            page = address.partition("#datum=")[0]
        else:
            page = self.sighting.event.body.tom.page(self.target.primary_key)
        return page if re.search(r"/targets/\d+/$", page) else ""

    def cells(self, table: DatumTable) -> tuple[Any, ...]:
        """Return what stands in a table's columns."""
        datum, event, consumed = self.datum, self.sighting.event, self.sighting.consumed
        target, origin = self.target, datum.origin
        return (
            datum.timestamp,
            mjd(datum.timestamp),
            target.name,
            *table.values(datum),
            target.ra,
            target.dec,
            event.body.tom.name,
            event.source,
            datum.source_name,
            datum.source_location,
            origin.model if origin else "",
            _integer(origin.primary_key) if origin else None,
            self.datum_id,
            str(event.id),
            event.time,
            consumed.topic,
            consumed.partition,
            consumed.offset,
        )


def datum_rows(sighting: Sighting) -> Iterator[DatumRow]:
    """Yield the datums of an event, also those that travel with a data product; none for targets and lists."""
    body = sighting.event.body
    if isinstance(body, ReducedDatumsShared | DataProductShared):
        for datum in body.datums_of():
            yield DatumRow(datum, identity_of(datum, body), body.target, sighting)


def mjd(moment: datetime) -> float:
    """Return a moment as a modified Julian date, UTC."""
    return (moment - MJD_0) / _DAY


def _integer(number: int) -> int | None:
    """Return a number that fits into a column of integers, which have 64 bits; None for one that does not."""
    return number if -(2**63) <= number < 2**63 else None


_WHEN = (
    Column("time", "time", "Time of the observation, UTC."),
    Column("mjd", "number", "The same as a modified Julian date, UTC.", "d"),
    Column("target", "text", "Name of the target at the source TOM."),
)
_WHERE = (
    Column("ra", "number", "Right ascension of the target, ICRS.", "deg"),
    Column("dec", "number", "Declination of the target, ICRS.", "deg"),
    Column("tom", "text", "Name of the source TOM, or submitter of the Hermes message."),
    Column("source", "text", "URL of the source TOM, or address of the topic of the Hermes message."),
    Column("source_name", "text", "Where the source TOM had the datum from, as it says."),
    Column("source_location", "text", "Address there, as the source TOM says."),
    Column("origin_model", "text", "Django model of the datum at the source TOM."),
    Column("origin_primary_key", "integer", "Its primary key there."),
    Column("datum", "text", "Identity of the datum: SHA-256 over source TOM, data type, time and value."),
    Column("event", "text", "Id of the share event in which it was seen first."),
    Column("shared", "time", "When that event was made, UTC."),
    Column("topic", "text", "The event's topic."),
    Column("partition", "integer", "Its partition."),
    Column("offset", "integer", "Its offset there."),
)
_INSTRUMENT = (
    Column("telescope", "text", "Telescope."),
    Column("instrument", "text", "Instrument."),
    Column("reduction_version", "text", "Version of the reduction."),
    Column("extra", "text", "Everything else that came with the value, as JSON; empty if there is nothing."),
)
_EXPOSURE = Column("exposure_time", "number", "Exposure time.", "s")


def _photometry(datum: PhotometryDatum) -> tuple[Any, ...]:
    return (
        datum.bandpass,
        datum.brightness,
        datum.brightness_error,
        datum.limit,
        datum.unit,
        datum.exposure_time,
        *_instrument(datum),
    )


def _spectroscopy(datum: SpectroscopyDatum) -> tuple[Any, ...]:
    return (
        datum.wavelength,
        datum.flux,
        datum.flux_error,
        datum.wavelength_unit,
        datum.flux_unit,
        datum.setup,
        datum.exposure_time,
        *_instrument(datum),
    )


def _astrometry(datum: AstrometryDatum) -> tuple[Any, ...]:
    return (
        datum.ra,
        datum.dec,
        datum.ra_error,
        datum.dec_error,
        datum.ra_error_units,
        datum.dec_error_units,
        *_instrument(datum),
    )


def _other(datum: OtherDatum) -> tuple[Any, ...]:
    return datum.data_type, canonical_json(datum.value).decode()


def _instrument(datum: PhotometryDatum | SpectroscopyDatum | AstrometryDatum) -> tuple[str, str, str, str]:
    extra = {**(datum.model_extra or {}), **datum.extra}  # what a later version of us may have put beside it, too
    return datum.telescope, datum.instrument, datum.reduction_version, canonical_json(extra).decode() if extra else ""


def _tables(*tables: DatumTable) -> Mapping[str, DatumTable]:
    return MappingProxyType({table.data_type: table for table in tables})


TABLES = _tables(
    DatumTable(
        "photometry",
        PhotometryDatum,
        (
            Column("bandpass", "text", "Filter."),
            Column("brightness", "number", "Brightness; missing for a limit alone.", unit_in="unit"),
            Column("brightness_error", "number", "Error of the brightness.", unit_in="unit", is_error=True),
            Column("limit", "number", "Limiting brightness.", unit_in="unit"),
            Column("unit", "text", "Unit of these three as the source TOM says; empty if it does not."),
            _EXPOSURE,
            *_INSTRUMENT,
        ),
        _photometry,
    ),
    DatumTable(
        "spectroscopy",
        SpectroscopyDatum,
        (
            Column("wavelength", "numbers", "Wavelengths.", unit_in="wavelength_unit", read_unit=wavelength_unit),
            Column("flux", "numbers", "Flux at each wavelength.", unit_in="flux_unit", read_unit=flux_unit),
            Column(
                "flux_error", "numbers", "Error of the flux; empty if there is none.", unit_in="flux_unit", read_unit=flux_unit
            ),
            Column("wavelength_unit", "text", "Unit of the wavelengths as the source TOM says."),
            Column("flux_unit", "text", "Unit of flux and error as the source TOM says."),
            Column("setup", "text", "Set-up of the spectrograph."),
            _EXPOSURE,
            *_INSTRUMENT,
        ),
        _spectroscopy,
    ),
    DatumTable(
        "astrometry",
        AstrometryDatum,
        (
            Column("measured_ra", "number", "Right ascension that was measured, ICRS.", "deg"),
            Column("measured_dec", "number", "Declination that was measured, ICRS.", "deg"),
            Column(
                "measured_ra_error", "number", "Error of the right ascension.", unit_in="ra_error_unit", read_unit=angle_unit
            ),
            Column("measured_dec_error", "number", "Error of the declination.", unit_in="dec_error_unit", read_unit=angle_unit),
            Column("ra_error_unit", "text", "Unit of that error as the source TOM says."),
            Column("dec_error_unit", "text", "Unit of that error as the source TOM says."),
            *_INSTRUMENT,
        ),
        _astrometry,
    ),
    DatumTable(
        "other",
        OtherDatum,
        (
            Column("data_type", "text", "Type of the datum at the source TOM."),
            Column("value", "text", "Its value, just as the source TOM stores it, as JSON."),
        ),
        _other,
    ),
)
"""Which tables there are, by the type of their datums."""
