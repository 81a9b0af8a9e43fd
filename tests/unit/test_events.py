"""Share events: the words themselves, and what identifies things."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from bridge.events import (
    EVENT_TYPES,
    RESERVED_TYPES,
    DataProduct,
    PhotometryDatum,
    ReducedDatum,
    ReducedDatumsShared,
    SpectroscopyDatum,
    Target,
    TargetIdentity,
    TargetListShared,
    TargetShared,
    TomIdentity,
    normalise_url,
    simplify_name,
    utc_text,
)
from tests.unit import strategies

TOM = TomIdentity(name="Example TOM", url="https://tom.example.org/")
NIGHT = datetime(2024, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
READ = TypeAdapter[ReducedDatum](ReducedDatum)


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://tom.example.org", "https://tom.example.org/"),
        ("HTTPS://TOM.Example.ORG/", "https://tom.example.org/"),
        ("https://tom.example.org:443/", "https://tom.example.org/"),
        ("http://tom.example.org:80", "http://tom.example.org/"),
        ("http://tom.example.org:443/", "http://tom.example.org:443/"),
        ("http://127.0.0.1:8001", "http://127.0.0.1:8001/"),
        ("https://example.org/Tom", "https://example.org/Tom/"),
        ("https://example.org/tom//", "https://example.org/tom/"),
        ("https://example.org/tom/?page=1#top", "https://example.org/tom/"),
        ("  https://tom.example.org/ ", "https://tom.example.org/"),
        ("https://[2001:DB8::1]:8000/", "https://[2001:db8::1]:8000/"),
    ],
)
def test_a_toms_url_has_one_normal_form(url: str, normal: str) -> None:
    assert normalise_url(url) == normal
    assert normalise_url(normal) == normal


@pytest.mark.parametrize(
    "url",
    ["", "tom.example.org", "ftp://tom.example.org/", "https://", "https:///path", "/targets/", "kafka://localhost/"],
)
def test_what_is_no_toms_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not a TOM's URL"):
        normalise_url(url)


def test_a_url_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(ValueError, match="must not carry") as refusal:
        normalise_url("https://alice:s3cret@tom.example.org/")

    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "simple"),
    [
        ("SN 2024abc", "sn2024abc"),
        ("SN2024abc", "sn2024abc"),
        ("(433) Eros", "433eros"),
        ("ZTF-24_aaa", "ztf24aaa"),
        ("M 31.V1+x", "m31.v1+x"),
        ("α Cen", "αcen"),
        ("Üb", "üb"),
        ("a\tb", "a\tb"),
        ("İ", "i̇"),
        ("", ""),
    ],
)
def test_names_are_simplified_as_tom_toolkit_does(name: str, simple: str) -> None:
    assert simplify_name(name) == simple


@given(st.text())
def test_simplified_names_equal_the_literal_code_of_tom_toolkit(name: str) -> None:
    theirs = name.lower().replace(" ", "").replace("-", "").replace("_", "").replace("(", "").replace(")", "")

    assert simplify_name(name) == theirs


@given(strategies.moments)
@example(datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=45))))
def test_a_moment_is_written_in_utc_with_microseconds_and_read_back_the_same(moment: datetime) -> None:
    text = utc_text(moment)

    assert text.endswith("Z")
    assert len(text) == len("2024-01-02T03:04:05.678901Z")
    assert datetime.fromisoformat(text) == moment


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        PhotometryDatum(timestamp=datetime(2024, 1, 1), brightness=18.0)  # noqa: DTZ001


@pytest.mark.parametrize("time", [60311.5, "60311.5", 60311, "60311"])
def test_an_mjd_is_refused_rather_than_taken_for_seconds_since_1970(time: Any) -> None:
    with pytest.raises(ValidationError):
        READ.validate_python({"data_type": "photometry", "timestamp": time, "brightness": 18.25})


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf"), "NaN", "Infinity"])
def test_numbers_are_finite(number: Any) -> None:
    with pytest.raises(ValidationError, match=r"finite|valid number"):
        PhotometryDatum(timestamp=NIGHT, brightness=number)
    with pytest.raises(ValidationError, match=r"finite|valid number"):
        Target(name="a", type="SIDEREAL", ra=number)


def test_numbers_inside_raw_values_are_finite() -> None:
    with pytest.raises(ValidationError, match=r"finite|valid number"):
        PhotometryDatum(timestamp=NIGHT, brightness=1.0, extra={"airmass": [float("inf")]})
    with pytest.raises(ValidationError, match=r"finite|valid number"):
        READ.validate_python({"data_type": "polarimetry", "timestamp": NIGHT, "value": {"q": float("nan")}})


def test_a_photometric_datum_needs_a_brightness_or_a_limit() -> None:
    with pytest.raises(ValidationError, match="a brightness or a limit"):
        PhotometryDatum(timestamp=NIGHT, bandpass="r")
    assert PhotometryDatum(timestamp=NIGHT, brightness=0.0).brightness == 0.0


@pytest.mark.parametrize("changed", [{"wavelength": (1.0,)}, {"flux_error": (0.1,)}, {"flux": (), "wavelength": ()}])
def test_a_spectrums_arrays_have_one_length_and_are_not_empty(changed: dict[str, Any]) -> None:
    arrays: dict[str, Any] = {"flux": (1.0, 2.0), "wavelength": (4000.0, 4001.0)}

    assert SpectroscopyDatum(timestamp=NIGHT, **arrays).flux_error == ()
    with pytest.raises(ValidationError):
        SpectroscopyDatum(timestamp=NIGHT, **(arrays | changed))


@pytest.mark.parametrize("name", ["../x.csv", "a/b.csv", "a\\b.csv", "..", ".", "a\nb.csv", "a\x00.csv", ""])
def test_a_data_products_name_has_no_folders_or_control_characters(name: str) -> None:
    about: dict[str, Any] = {"data_product_type": "photometry", "size": 0, "sha256": "0" * 64}
    with pytest.raises(ValidationError):
        DataProduct(name=name, **about, content={"url": "https://files.example.org/x"})  # type: ignore[arg-type]


def test_a_raw_value_makes_any_data_type_an_other_datum() -> None:
    raw = READ.validate_python({"data_type": "photometry", "timestamp": NIGHT, "value": {"mag": "18"}})
    typed = READ.validate_python({"data_type": "photometry", "timestamp": NIGHT, "brightness": 18.0})

    assert type(raw).__name__ == "OtherDatum"
    assert type(typed).__name__ == "PhotometryDatum"


def test_the_identity_block_has_the_targets_identity_and_nothing_else() -> None:
    target = Target(name="a", type="SIDEREAL", aliases=("b",), primary_key=4, ra=1.0, dec=2.0, distance=3.0, extras={"k": "v"})
    identity = target.identity()

    assert type(identity) is TargetIdentity
    assert identity == TargetIdentity(name="a", type="SIDEREAL", aliases=("b",), primary_key=4, ra=1.0, dec=2.0)


def test_a_targets_names_are_primary_name_and_aliases_each_once() -> None:
    assert TargetIdentity(name="a", type="SIDEREAL", aliases=("b", "a", "b", "c")).names == ("a", "b", "c")


def test_a_targets_events_share_one_key_whatever_is_shared_of_it() -> None:
    target = Target(name="SN 2024abc", type="SIDEREAL", aliases=("x",), primary_key=41)
    datum = PhotometryDatum(timestamp=NIGHT, brightness=18.0)
    renamed = target.model_copy(update={"name": "other", "aliases": ()})
    about_it = [
        TargetShared(tom=TOM, target=target),
        TargetShared(tom=TOM, target=renamed),
        ReducedDatumsShared(tom=TOM, target=target.identity(), datums=(datum,)),
    ]

    assert {body.partition_key for body in about_it} == {"https://tom.example.org/targets/41/"}


def test_without_a_primary_key_the_normalised_name_is_the_key_and_aliases_do_not_matter() -> None:
    one = TargetShared(tom=TOM, target=Target(name="SN 2024abc", type="SIDEREAL", aliases=("x",)))
    other = TargetShared(tom=TOM, target=Target(name="sn2024ABC", type="SIDEREAL"))

    assert one.partition_key == other.partition_key == "https://tom.example.org/targets/?name=sn2024abc"


def test_there_are_four_types_and_three_reserved_ones_for_each() -> None:
    assert sorted(EVENT_TYPES) == [
        "tom.data_product.shared.v1",
        "tom.reduced_datums.shared.v1",
        "tom.target.shared.v1",
        "tom.target_list.shared.v1",
    ]
    assert len(RESERVED_TYPES) == 12
    assert not RESERVED_TYPES & EVENT_TYPES.keys()
    assert TargetListShared.ACCEPTED_AS == "target_lists"


def test_every_field_says_what_it_is() -> None:
    undescribed = [
        f"{model.__name__}.{name}"
        for model in (TomIdentity, Target, PhotometryDatum, DataProduct)
        for name, field in model.model_fields.items()
        if not field.description and name not in {"data_type", "origin", "content"}
    ]

    assert undescribed == []
