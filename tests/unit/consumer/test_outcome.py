"""What became of a record."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


# a record of several events

PARTS = [
    Outcome.of(Written(target_id=1, written=2)),
    Outcome.of(Written(target_id=2, present=1)),
    Outcome.of(Written(target_id=3, written=1, failures=[Failure("datum 0", "unstorable", "no bandpass", 0)])),
    refused("ambiguous_target", "two of them", ({"id": 4}, {"id": 5})),
    skipped("unmatched", "no target there"),
]


@given(st.lists(st.tuples(st.sampled_from(["M31", "ζ Pup"]), st.sampled_from(PARTS)), min_size=1), st.integers(0, 2))
def test_of_several_parts_nothing_is_lost_and_nothing_is_called_better_than_it_is(
    parts: list[tuple[str, Outcome]], unread: int
) -> None:
    rows = [Failure(f"photometry[{number}]", "bad_row", "no date") for number in range(unread)]
    whole = Outcome.of_all(parts, unread=rows)

    outcomes = [outcome for _about, outcome in parts]
    assert whole.is_dead_letter == (unread > 0 or any(outcome.is_dead_letter for outcome in outcomes))
    assert whole.has_written == any(outcome.has_written for outcome in outcomes)
    assert (whole.written.written if whole.written else 0) == sum(o.written.written for o in outcomes if o.written)
    assert len(whole.candidates) == sum(len(outcome.candidates) for outcome in outcomes)
    assert (whole.end == "skipped") == (not unread and all(outcome.end == "skipped" for outcome in outcomes))
    if len(parts) > 1 or unread:
        assert len(whole.failures) == unread + sum(1 for outcome in outcomes if outcome.is_dead_letter)


def test_refused_items_are_named_with_the_target_they_are_about() -> None:
    whole = Outcome.of_all([("M31", PARTS[0]), ("ζ Pup", PARTS[3])])

    assert (whole.end, whole.reason) == ("partial", "ambiguous_target")
    assert whole.failures == (Failure("ζ Pup, all of it", "ambiguous_target", "two of them"),)


def test_of_one_part_it_is_that_one() -> None:
    assert Outcome.of_all([("M31", PARTS[2])]) is PARTS[2]
