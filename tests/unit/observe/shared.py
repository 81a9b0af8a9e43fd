"""Share events from small pools, so that conditions on them are true often enough."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from bridge.codecs.hermes.message import HermesSource
from bridge.codecs.native import identified, new_event
from bridge.events import (
    AstrometryDatum,
    DataProduct,
    DataProductShared,
    ListMember,
    OtherDatum,
    PhotometryDatum,
    ReducedDatum,
    ReducedDatumsShared,
    ReferencedContent,
    ShareBody,
    ShareEvent,
    Target,
    TargetListShared,
    TargetShared,
    TomIdentity,
)

NAMES = ["SN 2024abc", "sn2024ABC", "(433) Eros", "433 eros", 'a "quoted" name', "back\\slash", "α Centauri", "and"]
TOM_NAMES = ["My TOM", "Not My TOM", "tom.example.org"]
SOURCES = ["https://my-tom.org/", "https://tom.example.org/", "http://127.0.0.1:8001/tom/"]
TOPIC = "kafka://kafka.scimma.org/tomtoolkit.test"
BANDPASSES = ["r", "g", "R", "", "gaia G"]
BRIGHTNESSES = [17.0, 18.5, -1.25, 0.0, 1e-15]
TIMES = [datetime(2026, 11, day, hour, tzinfo=UTC) for day in (1, 2, 30) for hour in (0, 13)]
SPOTS = [
    (197.45, -23.38), (197.4503, -23.3801), (0.0, 90.0), (359.9999, 0.0), (0.0001, 0.0), (180.0, -90.0),
    (10.0, 89.9999), (190.0, 89.9999), (100.0, -89.9999), (280.0, -89.9998),
]  # fmt: skip
"""Pairs of them are neighbours: in the sky, across RA 0, at the poles, and across the poles."""

moments = st.sampled_from(TIMES)
perhaps = st.none() | st.sampled_from(BRIGHTNESSES)


@st.composite
def photometry(draw: st.DrawFn) -> ReducedDatum:
    brightness = draw(perhaps)
    limit = 20.5 if brightness is None else draw(perhaps)
    return PhotometryDatum(
        timestamp=draw(moments), brightness=brightness, limit=limit, bandpass=draw(st.sampled_from(BANDPASSES))
    )


others: st.SearchStrategy[ReducedDatum] = st.builds(
    OtherDatum,
    timestamp=moments,
    data_type=st.sampled_from(["photometry", "notes"]),
    value=st.just({"bandpass": "r", "brightness": 1}),
) | st.builds(
    AstrometryDatum, timestamp=moments, ra=st.just(1.0), dec=st.just(2.0), bandpass=st.just("r"), brightness=st.just(17.0)
)
datums = st.lists(photometry() | others, min_size=1, max_size=4).map(tuple)


@st.composite
def targets(draw: st.DrawFn) -> Target:
    spot: tuple[float | None, float | None] = draw(st.sampled_from([*SPOTS, (None, None)]))
    name, *aliases = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3))
    return Target(name=name, aliases=tuple(aliases), type="SIDEREAL", ra=spot[0], dec=spot[1])


@st.composite
def bodies(draw: st.DrawFn) -> ShareBody:
    name = draw(st.sampled_from(TOM_NAMES))
    tom = TomIdentity(name=name, url=draw(st.sampled_from(SOURCES)))
    if draw(st.integers(0, 4)) == 0:
        tom = HermesSource.of(name, topic=TOPIC, message=draw(st.uuids()))
    target = draw(targets())
    kind = draw(st.sampled_from(["target", "list", "datums", "datums", "product"]))
    if kind == "target":
        return TargetShared(tom=tom, target=target)
    if kind == "list":
        return TargetListShared(tom=tom, name="SN 2024abc", members=tuple(ListMember(name=name) for name in target.names[1:]))
    found: tuple[Any, ...] = tuple(identified(tom.url, datum) for datum in draw(datums))
    if kind == "datums":
        return ReducedDatumsShared(tom=tom, target=target.identity(), datums=found)
    content = ReferencedContent(url="https://files.example.org/a.csv")
    product = DataProduct(
        name="a.csv",
        data_product_type="photometry",
        size=1,
        sha256="0" * 64,
        content=content,
        datums=found if draw(st.booleans()) else (),
    )
    return DataProductShared(tom=tom, target=target.identity(), product=product)


@st.composite
def events(draw: st.DrawFn) -> ShareEvent:
    """Events of all four types, some of them from Hermes messages."""
    return new_event(draw(bodies()), now=draw(moments), event_id=draw(st.uuids()))
