"""The table of all names: it finds every owner of a name, counts the targets, and stays small."""

import tracemalloc
from array import array
from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.tom.names import AllNames, NameTable, names_of

keys = st.integers(min_value=1, max_value=30)
simple = st.sampled_from([f"n{number}" for number in range(12)])
targets = st.dictionaries(keys, st.sets(simple, max_size=4))
changes = st.lists(st.one_of(st.tuples(keys, st.sets(simple, max_size=3)), keys), max_size=30)


def table_of(owned: Mapping[int, Iterable[str]]) -> NameTable:
    pairs = [(hash(name), target_id) for target_id, names in owned.items() for name in names]
    return NameTable.of(array("q", [one for one, _ in pairs]), array("q", [other for _, other in pairs]), owned)


@given(targets, changes)
def test_it_knows_what_a_dictionary_would(read: dict[int, set[str]], later: list[tuple[int, set[str]] | int]) -> None:
    model = {target_id: set(names) for target_id, names in read.items()}
    names = AllNames(table_of(read))
    for change in later:
        if isinstance(change, int):
            model.pop(change, None)
            names.drop(change)
        else:
            target_id, more = change
            had = model.get(target_id, read.get(target_id, set()))  # what was read comes back with its target
            model[target_id] = had | more
            names.add(target_id, more)

    assert len(names) == len(model)
    assert {target_id for target_id in range(40) if target_id in names} == set(model)
    for number in range(12):
        owners = {target_id for target_id, has in model.items() if f"n{number}" in has}
        assert owners <= names.owners(f"n{number}"), "an owner is never left out"
        assert names.owners(f"n{number}") <= set(model)


@given(targets)
def test_what_was_read_is_found_and_nothing_else(read: dict[int, set[str]]) -> None:
    table = table_of(read)

    for number in range(13):
        assert table.owners(f"n{number}") == {target_id for target_id, names in read.items() if f"n{number}" in names}


def test_names_of_one_hash_are_found_together_and_told_apart_by_those_who_confirm() -> None:
    table = NameTable.of(array("q", [hash("a"), hash("a")]), array("q", [2, 1]), [1, 2])

    assert table.owners("a") == {1, 2}


def test_the_highest_key_counts_new_targets() -> None:
    names = AllNames(table_of({3: ["a"], 7: ["b"]}))
    assert names.last_key == 7

    names.add(9, ["c"])
    assert names.last_key == 9

    late = AllNames(table_of({3: ["a"], 7: ["b"]}))
    late.add(5, ["d"])
    assert late.last_key == 7
    assert AllNames(table_of({})).last_key == 0


@pytest.mark.parametrize(
    ("row", "names"),
    [
        ({"name": "SN 2024abc", "aliases": [{"name": "ZTF24-aaa"}, {"name": "sn2024ABC"}]}, {"sn2024abc", "ztf24aaa"}),
        ({"name": " x ", "aliases": []}, {"x"}),
        ({"name": "", "aliases": [{"name": "--"}]}, set()),
        ({"name": None}, set()),
    ],
)
def test_the_names_of_a_row_are_as_they_are_compared(row: dict[str, object], names: set[str]) -> None:
    assert names_of(row) == names


def test_a_hundred_thousand_targets_take_a_few_megabytes() -> None:
    hashes, owners = array("q"), array("q")
    for target_id in range(100_000):
        for name in (f"sn{target_id}", f"ztf{target_id}"):
            hashes.append(hash(name))
            owners.append(target_id)
    tracemalloc.start()
    try:
        names = AllNames(NameTable.of(hashes, owners, range(100_000)))
        kept, _most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert names.owners("ztf77777") == {77_777}
    assert kept < 6_000_000
