"""Share events that Hermes can carry at least in part, from what TOMs really hold to the odd."""

from typing import Any

from hypothesis import strategies as st

from bridge.events import (
    AstrometryDatum,
    DataProductShared,
    PhotometryDatum,
    ReducedDatum,
    ReducedDatumsShared,
    ShareBody,
    SpectroscopyDatum,
    Target,
    TargetShared,
    TomIdentity,
)
from tests.unit import strategies as any_

angles = st.floats(0, 360, exclude_max=True) | st.sampled_from([0.0, 10.5, 359.999])
declinations = st.floats(-90, 90) | st.sampled_from([-90.0, 0.0, 90.0])
positive = st.floats(1e-100, 1e6) | st.just(0.0)
mjds = st.floats(1, 199_999).map(lambda value: round(value, 6))
magnitudes = st.floats(-30, 40).filter(lambda value: value == 0 or abs(value) > 1e-100) | st.sampled_from([0.0, 18.25])
fluxes = st.floats(1e-30, 1e6) | st.just(0.0)
printable = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zs"]), min_size=1, max_size=10)
extra_texts = st.dictionaries(
    st.sampled_from(["redshift", "host_redshift", "host_name", "comments", "classification", "new_discovery", "z"]),
    st.sampled_from(["0.05", "1e-3", "M 31", "SN Ia", "true", "False", ""]),
    max_size=3,
)


@st.composite
def sidereal(draw: st.DrawFn) -> Target:
    number = st.none() | st.floats(-1e5, 1e5, allow_subnormal=False).map(lambda value: round(value, 9))
    return Target(
        name=draw(any_.names),
        type="SIDEREAL",
        aliases=tuple(draw(st.lists(any_.names, max_size=3))),
        primary_key=draw(st.none() | any_.keys),
        ra=draw(angles),
        dec=draw(declinations),
        epoch=draw(st.none() | st.sampled_from([2000.0, 2015.5, 1950.0])),
        pm_ra=draw(number),
        pm_dec=draw(number),
        parallax=draw(st.none() | positive),
        distance=draw(st.none() | positive),
        distance_err=draw(st.none() | positive),
        extras=draw(extra_texts | st.dictionaries(any_.texts, any_.texts, max_size=2)),
    )


@st.composite
def non_sidereal(draw: st.DrawFn) -> Target:
    orbit: dict[str, Any] = {}
    comet = draw(st.booleans())
    if comet or draw(st.booleans()):
        orbit |= {"perihdist": draw(positive), "epoch_of_perihelion": draw(mjds)}
    if not comet or draw(st.booleans()):
        orbit |= {"semimajor_axis": draw(positive), "mean_anomaly": draw(angles | st.just(0.0))}
    return Target(
        name=draw(any_.names),
        type="NON_SIDEREAL",
        scheme=draw(st.sampled_from(["", "MPC_MINOR_PLANET", "MPC_COMET", "JPL_MAJOR_PLANET"])),
        epoch_of_elements=draw(mjds),
        inclination=draw(st.floats(0, 180)),
        lng_asc_node=draw(angles),
        arg_of_perihelion=draw(angles),
        eccentricity=draw(st.floats(0, 2)),
        mean_daily_motion=draw(st.none() | positive),
        abs_mag=draw(st.none() | magnitudes),
        **orbit,
    )


targets = sidereal() | non_sidereal()


def _common() -> dict[str, Any]:
    words = st.just("") | printable
    extra = st.dictionaries(
        st.sampled_from(
            ["observer", "comments", "catalog", "reducer", "classification", "spec_type", "airmass", "mpc_sitecode"]
        ),
        st.sampled_from(["Object", "A. Observer", 1.2, "", None, ["x"]]),
        max_size=3,
    )
    rest = {"telescope": words, "instrument": words, "reduction_version": st.just("") | printable, "extra": extra}
    return {"timestamp": any_.moments, "source_name": st.sampled_from(["", "ZTF"])} | rest


@st.composite
def photometry(draw: st.DrawFn) -> PhotometryDatum:
    unit = draw(
        st.sampled_from(["", "AB", "AB mag", "mag", "Vega mag", "mJy", "Jy", "uJy", "erg / (Angstrom s cm2)", "counts"])
    )
    numbers = magnitudes if "A" in unit or unit in {"", "mag", "Vega mag"} else fluxes
    brightness = draw(st.none() | numbers)
    return PhotometryDatum(
        brightness=brightness,
        brightness_error=draw(st.none() | fluxes),
        limit=draw(numbers if brightness is None else st.none() | numbers),
        unit=unit,
        bandpass=draw(st.just("") | printable),
        exposure_time=draw(st.none() | positive),
        **draw(st.fixed_dictionaries(_common())),
    )


@st.composite
def spectra(draw: st.DrawFn) -> SpectroscopyDatum:
    length = draw(st.integers(1, 6))
    array = st.lists(st.floats(-1e3, 1e6), min_size=length, max_size=length).map(tuple)
    return SpectroscopyDatum(
        flux=draw(array),
        wavelength=draw(array),
        flux_error=draw(array | st.just(())),
        flux_unit=draw(st.sampled_from(["", "mJy", "Jy", "erg / (Angstrom s cm2)", "erg/s/cm2/A", "adu"])),
        wavelength_unit=draw(st.sampled_from(["", "Angstrom", "nm", "um", "micron", "m", "Hz", "pixel"])),
        setup=draw(st.just("") | printable),
        exposure_time=draw(st.none() | positive),
        **draw(st.fixed_dictionaries(_common())),
    )


@st.composite
def positions(draw: st.DrawFn) -> AstrometryDatum:
    error = st.none() | positive
    units = st.sampled_from(["", "degrees", "deg", "arcsec", "mas", "uas"])
    return AstrometryDatum(
        ra=draw(angles),
        dec=draw(declinations),
        ra_error=draw(error),
        dec_error=draw(error),
        ra_error_units=draw(units),
        dec_error_units=draw(units),
        **draw(st.fixed_dictionaries(_common())),
    )


datums: st.SearchStrategy[ReducedDatum] = photometry() | photometry() | spectra() | positions() | any_.others


@st.composite
def bodies(draw: st.DrawFn) -> ShareBody:
    """Bodies of all kinds that carry something for Hermes."""
    about: dict[str, Any] = {
        "tom": TomIdentity(name="My TOM", url="https://my-tom.org/"),
        "hops": draw(st.lists(st.sampled_from(["https://a.org/", "https://b.org/tom/"]), max_size=2)),
        "destinations": draw(st.none() | st.just(["their-tom"])),
        "title": draw(any_.texts),
        "submitter": draw(any_.texts),
        "authors": draw(any_.texts),
        "message": draw(any_.texts),
    }
    target = draw(targets)
    kind = draw(st.sampled_from(["target", "datums", "datums", "product"]))
    if kind == "target":
        return TargetShared(**about, target=target, target_lists=draw(st.lists(any_.names, max_size=2)))
    if kind == "datums":
        return ReducedDatumsShared(**about, target=target.identity(), datums=draw(st.lists(datums, min_size=1, max_size=6)))
    product = draw(any_.products("https://my-tom.org/")).model_copy(
        update={"datums": tuple(draw(st.lists(datums, max_size=4)))}
    )
    return DataProductShared(**about, target=target.identity(), product=product)
