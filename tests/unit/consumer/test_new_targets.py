"""How many targets a source may make in an hour."""

import pytest

from bridge.consumer.destination import NewTargets
from bridge.errors import Retryable


def test_a_source_that_made_enough_waits_until_its_first_is_an_hour_old() -> None:
    clock = [0.0]
    limit = NewTargets(2, clock=lambda: clock[0])
    for moment in (0.0, 600.0):
        clock[0] = moment
        limit.allow("https://a.org/")
        limit.add("https://a.org/")

    clock[0] = 700.0
    with pytest.raises(Retryable, match="max_new_targets_per_hour") as held:
        limit.allow("https://a.org/")
    assert held.value.retry_after == 2900.0
    limit.allow("https://b.org/")

    clock[0] = 3600.0
    limit.allow("https://a.org/")
