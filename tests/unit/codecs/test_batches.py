"""Splitting datums into events that fit."""

from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bridge.codecs.batches import BATCH_BYTES, split_datums
from bridge.codecs.native import MAX_RECORD_BYTES, encode, identified, new_event
from bridge.events import OtherDatum, ReducedDatum, ReducedDatumsShared, TargetIdentity, TomIdentity
from tests.unit import strategies

NOW = datetime(2026, 11, 23, tzinfo=UTC)
TOM = TomIdentity(name="Example TOM", url="https://tom.example.org/")


def note(length: int) -> OtherDatum:
    return OtherDatum(data_type="notes", timestamp=NOW, value={"text": "x" * length})


def size(batch: tuple[ReducedDatum, ...]) -> int:
    body = ReducedDatumsShared(tom=TOM, target=TargetIdentity(name="a", type="SIDEREAL"), datums=batch)
    empty = body.model_copy(update={"datums": ()})
    return len(body.model_dump_json(exclude_none=True).encode()) - len(empty.model_dump_json(exclude_none=True).encode())


@given(st.lists(strategies.datums, max_size=8), st.integers(200, 2_000))
def test_nothing_is_lost_the_order_is_kept_and_each_batch_fits(datums: list[ReducedDatum], most_bytes: int) -> None:
    refused: list[ReducedDatum] = []
    batches = list(split_datums(datums, most_bytes=most_bytes, too_large=lambda datum, _size: refused.append(datum)))
    sent = [datum for batch in batches for datum in batch]

    assert all(batches)
    assert all(size(batch) <= most_bytes for batch in batches)
    assert [id(datum) for datum in datums if not any(datum is other for other in refused)] == [id(datum) for datum in sent]
    assert all(size((datum,)) >= most_bytes for datum in refused)


@given(st.lists(st.integers(0, 500), max_size=12), st.integers(300, 1_500))
def test_a_batch_ends_only_where_the_next_datum_would_not_fit(lengths: list[int], most_bytes: int) -> None:
    batches = list(split_datums([note(n) for n in lengths], most_bytes=most_bytes, too_large=lambda _datum, _size: None))

    for batch, following in pairwise(batches):
        assert size((*batch, following[0])) + 1 > most_bytes


def test_what_alone_is_too_large_is_reported_with_its_size_and_the_rest_is_sent() -> None:
    reported: list[tuple[ReducedDatum, int]] = []
    small, large = note(10), note(5_000)
    batches = list(split_datums([small, large, small], most_bytes=1_000, too_large=lambda *what: reported.append(what)))

    assert batches == [(small, small)]
    assert [datum for datum, _size in reported] == [large]
    assert 5_000 < reported[0][1] < 5_300


def test_no_datums_make_no_batch() -> None:
    assert list(split_datums([], too_large=lambda _datum, _size: None)) == []


def test_a_full_batch_of_a_target_with_400_long_aliases_still_fits_into_a_record() -> None:
    target = TargetIdentity(name="a" * 100, type="SIDEREAL", aliases=tuple(f"{number:0100}" for number in range(400)))
    full = next(split_datums([identified(TOM.url, note(2_000))] * 500, too_large=lambda _datum, _size: None))
    record = encode(new_event(ReducedDatumsShared(tom=TOM, target=target, datums=full), now=NOW))

    assert BATCH_BYTES * 0.95 < record.size <= MAX_RECORD_BYTES
