"""Arbitrary valid share events: what a source TOM may hold, however odd."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from bridge import blobs
from bridge.codecs.native import identified, new_event
from bridge.events import (
    AstrometryDatum,
    DataProduct,
    DataProductShared,
    ListMember,
    Origin,
    OtherDatum,
    PhotometryDatum,
    ReducedDatum,
    ReducedDatumsShared,
    ReferencedContent,
    ShareBody,
    ShareEvent,
    SpectroscopyDatum,
    Target,
    TargetListShared,
    TargetShared,
    TomIdentity,
)
from bridge.events.words import Number

ODD_NAMES = ["SN 2024abc", "SN2024abc", "α Centauri", "V* η Car", 'a "quoted", name', "O'Neill+1/2", " spaced", "(433) Eros"]

printable = st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"])
texts = st.text(printable, max_size=12)
names = st.sampled_from(ODD_NAMES) | st.text(printable, min_size=1, max_size=20).filter(str.strip)
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, -0.0, 1e-15, 0.1, 18.0, 1e22])
perhaps = st.none() | numbers
keys = st.integers(min_value=1, max_value=2**63 - 1)
zones = st.sampled_from([UTC, timezone(timedelta(hours=-10)), timezone(timedelta(hours=5, minutes=45))])
moments = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2100, 1, 1), timezones=zones)  # noqa: DTZ001
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**19), 10**19) | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
origins = st.none() | st.builds(Origin, model=texts, primary_key=keys)

TARGET_NUMBERS = [name for name, field in Target.model_fields.items() if field.annotation == Number | None]


@st.composite
def targets(draw: st.DrawFn) -> Target:
    """Sidereal and not, with any of the numbers there or absent."""
    chosen = draw(st.dictionaries(st.sampled_from(TARGET_NUMBERS), numbers, max_size=6))
    return Target(
        name=draw(names),
        type=draw(st.sampled_from(["SIDEREAL", "NON_SIDEREAL"])),
        aliases=tuple(draw(st.lists(names, max_size=4))),
        primary_key=draw(st.none() | keys),
        scheme=draw(st.sampled_from(["", "MPC_MINOR_PLANET", "MPC_COMET", "JPL_MAJOR_PLANET"])),
        extras=draw(st.dictionaries(texts, texts, max_size=3)),
        **chosen,
    )


def _common() -> dict[str, Any]:
    return {"timestamp": moments, "source_name": texts, "source_location": texts, "origin": origins}


def _instrumented() -> dict[str, Any]:
    rest = {"telescope": texts, "instrument": texts, "reduction_version": texts}
    return _common() | rest | {"extra": st.dictionaries(texts, documents, max_size=3)}


@st.composite
def photometry(draw: st.DrawFn) -> PhotometryDatum:
    brightness = draw(perhaps)
    limit = draw(perhaps if brightness is not None else numbers)
    rest = {"brightness_error": perhaps, "bandpass": texts, "unit": texts, "exposure_time": perhaps}
    return PhotometryDatum(brightness=brightness, limit=limit, **draw(st.fixed_dictionaries(_instrumented() | rest)))


@st.composite
def spectra(draw: st.DrawFn) -> SpectroscopyDatum:
    length = draw(st.integers(1, 5))
    array = st.lists(numbers, min_size=length, max_size=length).map(tuple)
    rest = {
        "flux": array,
        "wavelength": array,
        "flux_error": array | st.just(()),
        "flux_unit": texts,
        "wavelength_unit": texts,
        "setup": texts,
        "exposure_time": perhaps,
    }
    return SpectroscopyDatum(**draw(st.fixed_dictionaries(_instrumented() | rest)))


positions = st.builds(
    AstrometryDatum,
    **_instrumented(),
    ra=numbers,
    dec=numbers,
    ra_error=perhaps,
    dec_error=perhaps,
    ra_error_units=texts,
    dec_error_units=texts,
)
others = st.builds(
    OtherDatum,
    **_common(),
    data_type=st.sampled_from(["photometry", "Spectroscopy", "radial_velocity", " notes "]) | texts.filter(bool),
    value=documents.filter(lambda value: value is not None),
)
typed_datums: st.SearchStrategy[ReducedDatum] = st.one_of(photometry(), spectra(), positions)
datums: st.SearchStrategy[ReducedDatum] = typed_datums | others
toms = st.builds(
    TomIdentity,
    name=names,
    url=st.sampled_from(["https://tom.example.org", "HTTPS://Alpha.org:443/tom/", "http://127.0.0.1:8001/"]),
)


@st.composite
def datum_batches(draw: st.DrawFn, url: str) -> tuple[ReducedDatum, ...]:
    """One to four datums, with and without their identity."""
    batch = draw(st.lists(datums, min_size=1, max_size=4))
    return tuple(identified(url, datum) if draw(st.booleans()) else datum for datum in batch)


@st.composite
def products(draw: st.DrawFn, url: str) -> DataProduct:
    content = draw(st.binary(max_size=200))
    place = blobs.pack(content) if draw(st.booleans()) else ReferencedContent(url="https://files.example.org/a.fits")
    assert place is not None
    return DataProduct(
        name=draw(st.sampled_from(["lightcurve.csv", "spectrum α.fits", "a b,c.txt"])),
        data_product_type=draw(texts),
        size=len(content),
        sha256=blobs.sha256(content),
        content=place,
        product_id=draw(texts),
        extra_data=draw(texts),
        origin=draw(origins),
        datums=draw(st.just(()) | datum_batches(url)),
    )


@st.composite
def bodies(draw: st.DrawFn) -> ShareBody:
    """Any of the four kinds."""
    about: dict[str, Any] = {
        "tom": draw(toms),
        "hops": draw(st.lists(st.sampled_from(["https://a.org/", "https://b.org/tom/"]), max_size=2)),
        "destinations": draw(st.none() | st.lists(names, max_size=2)),
        "title": draw(texts),
        "submitter": draw(texts),
        "authors": draw(texts),
        "message": draw(texts),
    }
    url, target = about["tom"].url, draw(targets())
    kind = draw(st.sampled_from(["target", "list", "datums", "product"]))
    if kind == "target":
        return TargetShared(**about, target=target, target_lists=draw(st.lists(names, max_size=2)))
    if kind == "list":
        members = st.lists(st.builds(ListMember, name=names, primary_key=st.none() | keys), max_size=3)
        return TargetListShared(**about, name=draw(names), members=draw(members))
    if kind == "datums":
        return ReducedDatumsShared(**about, target=target.identity(), datums=draw(datum_batches(url)))
    return DataProductShared(**about, target=target.identity(), product=draw(products(url)))


@st.composite
def events(draw: st.DrawFn) -> ShareEvent:
    """Any valid share event."""
    return new_event(draw(bodies()), now=draw(moments), event_id=draw(st.uuids()))
