"""Comparing what a source TOM has with what arrived at a destination: in their databases, field by field.

Works on what ``scripts/dump_tom.py`` returns, of either version of TOM Toolkit. It shares no code with what translates
events, so that a fault there cannot hide here.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Comparison", "compare_target", "measurements"]

_NOT_SHARED = {"id", "created", "modified", "permissions", "shared_by", "shared_from"}
_ABOUT = {"aliases", "extras", "lists", "groups", "owners"}
_ONE_NAME = {
    "magnitude": "brightness", "error": "brightness_error", "filter": "bandpass",
    "flux_units": "flux_unit", "wavelength_units": "wavelength_unit",
}  # fmt: skip

Dump = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One line of the comparison.

    Parameters
    ----------
    what
        What was compared.
    wanted, found
        How many there are at the source and at the destination.
    differences
        Each in a sentence; none if all is equal.
    """

    what: str
    wanted: int
    found: int
    differences: tuple[str, ...] = ()


def compare_target(
    source: Dump,
    destination: Dump,
    name: str,
    *,
    at_destination: str,
    lists: Collection[str],
    created: bool,
    hidden: Collection[str] = (),
) -> list[Comparison]:
    """Compare a target, its aliases, extras, lists, datums and data products.

    Parameters
    ----------
    source, destination
        Dumps of both TOMs.
    name, at_destination
        The target's name at either.
    lists
        Lists that it has to be in at the destination.
    created
        Whether the bridge made it; one that was there before keeps its own fields and extras.
    hidden
        Keys of datums that the source's API does not show, so that they can't have been shared.
    """
    one, other = _target(source, name), _target(destination, at_destination)
    found = [_names(one, other), _lists(other, lists)]
    if created:
        fields = sorted(one.keys() & other.keys() - _NOT_SHARED - _ABOUT)
        changed = [f"{key}: {one[key]!r} became {other[key]!r}" for key in fields if one[key] != other[key]]
        found.insert(0, Comparison("fields", len(fields), len(fields) - len(changed), tuple(changed)))
        found.insert(2, _same("extras", _items(one["extras"]), _items(other["extras"])))
    wanted = measurements(source, name)
    arrived = measurements(destination, at_destination)
    for data_type in sorted({kind for kind, _source in wanted}):
        for from_product in (False, True):
            mine = _visible(wanted.get((data_type, from_product), []), hidden)
            theirs = _visible(arrived.get((data_type, from_product), []), hidden)
            if mine or theirs:
                what = f"{data_type} from data products" if from_product else data_type
                found.append(_same(what, mine, theirs))
    products = _products(source, name)
    if products:
        found.append(_same("data products", products, _products(destination, at_destination)))
    return found


def measurements(dump: Dump, name: str) -> dict[tuple[str, bool], list[dict[str, Any]]]:
    """Return a target's measurements in one shape for both versions, by data type and whether they are a product's."""
    found: dict[tuple[str, bool], list[dict[str, Any]]] = {}
    for row in dump["datums"]:
        if row["target"] != name:
            continue
        value = dict(row["value"])
        if row["model"] != "ReducedDatum" or "value" in value:
            value |= value.pop("value", None) or {}
        if row["data_type"] == "spectroscopy" and "error" in value:
            value["flux_error"] = value.pop("error")
        value = {_ONE_NAME.get(key, key): item for key, item in value.items() if item not in (None, "", [])}
        if str(value.get("reduction_version", "")).rpartition("tom-bridge ")[1]:
            del value["reduction_version"]
        found.setdefault((row["data_type"], row["data_product_pk"] is not None), []).append(
            {"timestamp": row["timestamp"], **value}
        )
    return found


def _visible(rows: list[dict[str, Any]], hidden: Collection[str]) -> list[dict[str, Any]]:
    shown = [{key: item for key, item in row.items() if key not in hidden} for row in rows]
    return [row for row in shown if "limit" not in hidden or "brightness" in row or "flux" in row or "ra" in row]


def _target(dump: Dump, name: str) -> dict[str, Any]:
    found = [target for target in dump["targets"] if target["name"] == name]
    return dict(found[0]) if found else {"name": None, "aliases": [], "extras": {}, "lists": []}


def _names(one: Mapping[str, Any], other: Mapping[str, Any]) -> Comparison:
    wanted = {one["name"], *one["aliases"]}
    missing = wanted - {other["name"], *other["aliases"]}
    return Comparison(
        "name and aliases",
        len(wanted),
        len(wanted - missing),
        tuple(f"{name!r} is missing" for name in sorted(missing)),
    )


def _lists(other: Mapping[str, Any], lists: Collection[str]) -> Comparison:
    missing = set(lists) - set(other["lists"])
    return Comparison(
        "target lists", len(lists), len(lists) - len(missing), tuple(f"not in {name!r}" for name in sorted(missing))
    )


def _products(dump: Dump, name: str) -> list[dict[str, Any]]:
    return [
        {"sha256": row["sha256"], "type": row["data_product_type"], "extra_data": row["extra_data"]}
        for row in dump["data_products"]
        if row["target"] == name
    ]


def _items(extras: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value} for key, value in extras.items()]


def _same(what: str, wanted: list[dict[str, Any]], found: list[dict[str, Any]]) -> Comparison:
    """Compare two collections whatever their order, each row to the last digit."""
    left = list(found)
    missing = []
    for row in wanted:
        if row in left:
            left.remove(row)
        else:
            missing.append(row)
    differences = [f"missing: {_short(row)}" for row in missing] + [f"not at the source: {_short(row)}" for row in left]
    return Comparison(what, len(wanted), len(found), tuple(differences))


def _short(row: Mapping[str, Any]) -> str:
    text = ", ".join(f"{key}={value!r}" for key, value in row.items())
    return text if len(text) <= 160 else f"{text[:157]}..."
