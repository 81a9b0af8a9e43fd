"""Each datum once: what makes one the same as another, and that what was seen is remembered however much it is."""

from contextlib import closing

import pytest

from bridge.codecs.native import identified, new_event
from bridge.events import (
    DataProduct,
    DataProductShared,
    PhotometryDatum,
    ReferencedContent,
    ShareBody,
    Target,
    TargetIdentity,
    TargetShared,
    datum_identity,
)
from bridge.observe.distinct import Census, Seen, distinct
from bridge.observe.filters import Where
from bridge.observe.lightcurves import datum_rows
from bridge.observe.names import TargetNames
from bridge.observe.sightings import Sighting, Unreadable
from bridge.translate.datums import origin_address
from tests.unit.observe.test_lightcurves import HUB, NOW, POINT, TARGET, TOM, row, seen, shared


def count(*sightings: Sighting, where: str = "", target: str = "") -> tuple[int, int]:
    """Return how many datums there are, and how many were there once more."""
    census, names = Census(), TargetNames(target) if target else None
    found = list(distinct(sightings, where=Where.parse(where) if where else None, census=census, target=names))
    return len(found), census.repeated


def test_a_datum_that_is_shared_several_times_is_one() -> None:
    event = shared(POINT)

    assert count(event, event, shared(identified(TOM.url, POINT)), shared(POINT, POINT)) == (1, 4)


def test_a_datum_that_travels_with_a_data_product_is_the_same() -> None:
    product = DataProduct(
        name="a.csv",
        data_product_type="photometry",
        size=1,
        sha256="0" * 64,
        content=ReferencedContent(url="https://files.example.org/a.csv"),
        datums=(POINT,),
    )
    body: ShareBody = DataProductShared(tom=TOM, target=TARGET, product=product)

    assert count(seen(new_event(body, now=NOW)), shared(POINT)) == (1, 1)


def test_two_targets_with_the_same_limit_have_two() -> None:
    """As those of one survey field, whose image has one limit."""
    other = TargetIdentity(name="SN 2024abd", type="SIDEREAL", primary_key=8)

    assert count(shared(POINT), shared(POINT, target=other)) == (2, 0)


@pytest.mark.parametrize("through_hub", [False, True])
def test_a_target_that_was_renamed_at_its_source_is_the_same(through_hub: bool) -> None:
    renamed = TargetIdentity(name="SN 2026xyz", type="SIDEREAL", primary_key=7)
    of_renamed = passed_on(POINT, target=renamed, hub_target=renamed) if through_hub else shared(POINT, target=renamed)

    assert count(shared(POINT), of_renamed) == (1, 1)


def test_two_targets_are_two_even_if_one_has_the_name_that_the_other_had() -> None:
    renamed, heir = (TargetIdentity(name="SN 2024abc", type="SIDEREAL", primary_key=key) for key in (7, 8))

    assert count(shared(POINT, target=renamed), shared(POINT, target=heir)) == (2, 0)


@pytest.mark.parametrize(
    ("name", "aliases", "expected"),
    [("sn2024ABC", (), (1, 1)), ("AT 2024abc", ("SN 2024abc",), (1, 1)), ("ZTF24x", (), (1, 1)), ("SN 2024abd", (), (2, 0))],
)
def test_without_a_primary_key_a_target_is_known_by_any_of_its_names(
    name: str, aliases: tuple[str, ...], expected: tuple[int, int]
) -> None:
    keyless = TARGET.model_copy(update={"primary_key": None})
    other = TargetIdentity(name=name, type="SIDEREAL", aliases=aliases)

    assert count(shared(POINT, target=keyless), shared(POINT, target=other)) == expected
    assert count(shared(POINT, target=other), shared(POINT, target=keyless)) == expected
    assert count(passed_on(POINT, target=keyless, hub_target=other), shared(POINT, target=keyless)) == expected


def test_a_hub_that_knows_the_target_by_another_name_passes_on_the_same_datum() -> None:
    other = TargetIdentity(name="AT 2024abc", type="SIDEREAL", primary_key=99)

    assert count(shared(POINT), passed_on(POINT, hub_target=other)) == (1, 1)
    assert count(passed_on(POINT, hub_target=other), shared(POINT)) == (1, 1)


def test_within_one_target_a_datum_is_its_identity_alone() -> None:
    names = [TargetIdentity(name=name, type="SIDEREAL", aliases=("ZTF24x",)) for name in ("SN 2024abc", "AT 2024abc")]
    rows = [row for name in names for row in datum_rows(shared(POINT, target=name))]

    assert rows[0].digest == rows[1].digest
    assert count(*(shared(POINT, target=name) for name in names), target="ZTF24x") == (1, 1)
    assert count(*(shared(POINT, target=name, tom=tom) for name, tom in zip(names, (TOM, HUB), strict=True))) == (2, 0)


def test_however_many_aliases_a_target_has_few_are_remembered() -> None:
    crowd = TargetIdentity(name="A", type="SIDEREAL", aliases=tuple(f"B{number}" for number in range(1_000)))
    [found] = datum_rows(shared(POINT, target=crowd))

    assert 1 < len(found.digests) <= 50


def test_only_datums_of_the_target_that_is_wanted_come_under_any_name_that_is_known_by_then() -> None:
    renamed = shared(POINT, target=TargetIdentity(name="AT 2024abc", type="SIDEREAL"))
    whole = Target(name="SN 2024abc", type="SIDEREAL", aliases=("AT2024abc",))
    told = seen(new_event(TargetShared(tom=TOM, target=whole), now=NOW))
    another = shared(POINT.model_copy(update={"brightness": 1.0}), target=TargetIdentity(name="M31", type="SIDEREAL"))

    assert count(told, another, renamed, target="SN 2024abc") == (1, 0)
    assert count(renamed, another, told, target="SN 2024abc") == (0, 0)
    names = TargetNames("SN 2024abc")
    found = [list(distinct([renamed, another, told], where=None, census=Census(), target=names)) for _pass in range(2)]
    assert list(map(len, found)) == [0, 1]


def test_two_sources_with_the_same_measurement_have_two() -> None:
    assert count(shared(POINT), shared(POINT, tom=HUB)) == (2, 0)


def passed_on(datum: PhotometryDatum, *, target: TargetIdentity = TARGET, hub_target: TargetIdentity | None = None) -> Sighting:
    """Return a datum of the TOM's as a hub shares it on, where the target may be called otherwise."""
    address = origin_address(TOM, target, datum_identity(TOM.url, datum))
    at_hub = datum.model_copy(update={"source_name": "My TOM", "source_location": address})
    return shared(at_hub, tom=HUB, target=hub_target or TARGET.model_copy(update={"primary_key": 99}), hops=(TOM.url,))


def test_a_datum_that_comes_through_a_hub_too_is_one() -> None:
    through_hub = passed_on(POINT)

    assert count(shared(POINT), through_hub) == (1, 1)
    assert row(through_hub)["datum"] == datum_identity(TOM.url, POINT)


def test_nobody_passes_a_datum_off_as_another() -> None:
    address = origin_address(TOM, TARGET, datum_identity(TOM.url, POINT))
    forged = POINT.model_copy(update={"brightness": 12.0, "source_location": address})

    assert count(shared(POINT), shared(forged, tom=HUB, hops=(TOM.url,))) == (2, 0)


def test_only_what_is_wanted_counts() -> None:
    faint = POINT.model_copy(update={"brightness": 21.0})

    assert count(shared(POINT, faint), where="brightness < 20") == (1, 0)
    assert count(shared(POINT, faint), where='target = "ztf24X"') == (2, 0)
    assert count(shared(POINT, faint), where='target = "another"') == (0, 0)


def test_what_cannot_be_read_is_counted_by_reason_with_the_first_as_example() -> None:
    consumed, census = shared(POINT).consumed, Census()
    found = [
        Unreadable(consumed=consumed, reason="bad_json", detail="one"),
        Unreadable(consumed=consumed, reason="bad_json", detail="two"),
        Unreadable(consumed=consumed, reason="reserved_type", detail="nothing is wrong with it"),
    ]

    assert list(distinct(found, where=None, census=census)) == []
    assert census.unreadable == {"bad_json": 2}
    assert census.examples == {"bad_json": "tom.shares[2]@0: one"}


def test_digests_are_remembered_however_many_there_are() -> None:
    seen = Seen()
    digests = [number.to_bytes(16) for number in range(5000)]

    assert all(seen.add([digest]) for digest in digests)
    assert not any(seen.add([digest]) for digest in digests)
    seen.close()


def test_what_has_one_digest_in_common_with_what_was_seen_was_seen() -> None:
    with closing(Seen()) as seen:
        assert [seen.add(digests) for digests in ([b"a", b"b"], [b"c"], [b"b", b"d"], [b"d"])] == [True, True, False, False]
