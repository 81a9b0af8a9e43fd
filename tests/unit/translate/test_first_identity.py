"""Which datum a hub passes on: known by the identity that it had first, and told in bounded time whatever the event says."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.events import PhotometryDatum, ReducedDatum, TargetIdentity, TomIdentity, datum_identities, datum_identity
from bridge.events import datums as datums_module
from bridge.translate.datums import MOST_HOPS, first_identity, origin_address
from tests.unit import strategies

TOM = TomIdentity(name="My TOM", url="https://my-tom.org/")
TARGET = TargetIdentity(name="SN 2024abc", type="SIDEREAL", primary_key=7)
POINT = PhotometryDatum(timestamp=datetime(2026, 11, 1, tzinfo=UTC), brightness=18.0, bandpass="r")
OTHERS = [f"https://tom-{number}.org/" for number in range(100)]


def marked(datum: ReducedDatum) -> ReducedDatum:
    """Return a datum as a destination of the TOM stores it."""
    return datum.model_copy(update={"source_location": origin_address(TOM, TARGET, datum_identity(TOM.url, datum))})


@given(strategies.datums, st.lists(st.sampled_from(["https://a.org", "HTTPS://B.org:443/tom", TOM.url]), max_size=4))
def test_identities_at_several_toms_are_those_at_each(datum: ReducedDatum, urls: list[str]) -> None:
    assert list(datum_identities(urls, datum)) == [datum_identity(url, datum) for url in urls]


@pytest.mark.parametrize("place", [0, 1, MOST_HOPS - 1])
def test_the_mark_of_any_of_the_first_hops_counts(place: int) -> None:
    hops = [*OTHERS[:place], TOM.url, *OTHERS[place:]]

    assert first_identity(marked(POINT), hops) == datum_identity(TOM.url, POINT)


def test_a_mark_beyond_them_is_none() -> None:
    assert first_identity(marked(POINT), [*OTHERS[:MOST_HOPS], TOM.url]) == ""


def test_however_many_hops_there_are_few_are_tried_and_the_value_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []
    real = datums_module.datum_value
    monkeypatch.setattr(datums_module, "datum_value", lambda datum: encoded.append(datum) or real(datum))
    forged = POINT.model_copy(update={"source_location": origin_address(TOM, TARGET, "a" * 64)})
    left = iter(OTHERS * 100)

    assert first_identity(forged, left) == ""
    assert (len(encoded), len(list(left))) == (1, 100 * len(OTHERS) - MOST_HOPS)
