"""Records are counted by the time at which they were written."""

from hypothesis import given
from hypothesis import strategies as st

from bridge.observe.page.rates import Rates

NOW = 1_800_000_000_000


def test_the_last_minute_and_hour_are_told_apart() -> None:
    rates = Rates()
    for seconds in (0, 5, 59 - 10, 120, 1800, 3500, 4000):
        rates.add(time_ms=NOW - 1000 * seconds, now_ms=NOW)
    counts = rates.counts(now_ms=NOW)

    assert (counts.minute, counts.hour, len(counts.bars)) == (3, 6, 30)
    assert (counts.bars[-1], sum(counts.bars)) == (3, 6)


def test_counts_grow_old() -> None:
    rates = Rates()
    rates.add(time_ms=NOW, now_ms=NOW)

    assert rates.counts(now_ms=NOW + 120_000).minute == 0
    assert rates.counts(now_ms=NOW + 120_000).hour == 1
    assert rates.counts(now_ms=NOW + 10**9).hour == 0


def test_a_record_from_the_future_counts_as_from_now() -> None:
    rates = Rates()
    rates.add(time_ms=NOW + 10**12, now_ms=NOW)

    assert rates.counts(now_ms=NOW).minute == 1


@given(st.lists(st.tuples(st.integers(-(10**9), 10**13), st.integers(0, 7200)), max_size=30))
def test_whatever_the_clocks_say_no_more_is_counted_than_came(records: list[tuple[int, int]]) -> None:
    rates = Rates()
    for time_ms, later in records:
        rates.add(time_ms=time_ms, now_ms=NOW + 1000 * later)
    counts = rates.counts(now_ms=NOW)

    assert 0 <= counts.minute <= counts.hour <= len(records)
