"""What became of a record."""

import pytest

from bridge.consumer.outcome import Outcome, refused, skipped
from bridge.tom.written import Failure, Written


@pytest.mark.parametrize(
    ("written", "end"),
    [
        (Written(target_id=1, written=1), "written"),
        (Written(target_id=1, changed=True), "written"),
        (Written(target_id=1, present=4), "present"),
        (Written(target_id=1), "present"),
        (Written(target_id=1, written=4, failures=[Failure("datum 1", "unstorable", "no bandpass")]), "partial"),
    ],
)
def test_the_end_of_a_write(written: Written, end: str) -> None:
    assert Outcome.of(written).end == end


def test_failures_travel_with_the_outcome_and_the_first_is_the_reason() -> None:
    failures = [Failure("datum 1", "unstorable", "no bandpass"), Failure("datum 2", "tom_error", "failed")]
    outcome = Outcome.of(Written(target_id=1, failures=failures))

    assert outcome.reason == "unstorable"
    assert outcome.detail == "2 items refused; first datum 1: no bandpass"
    assert outcome.failures == tuple(failures)


def test_dead_letters_are_what_was_refused_in_whole_or_in_part() -> None:
    assert refused("a", "b").is_dead_letter
    assert Outcome(end="partial").is_dead_letter
    assert not skipped("a").is_dead_letter
    assert not Outcome(end="would_write").is_dead_letter
