"""Rows of Hermes' table of targets -> targets as TOMs have them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue, ValidationError

from bridge.codecs.hermes.fields import Complaints, Fields, Refusal, complaint, measured
from bridge.codecs.hermes.message import BridgeNotes
from bridge.codecs.hermes.rows import Said
from bridge.codecs.hermes.units import parsecs, proper_motions
from bridge.codecs.hermes.values import Unreadable, declination, julian_year, mjd, right_ascension, text
from bridge.events import Target, TargetIdentity, canonical_json, simplify_name

__all__ = ["SharedTarget", "TargetTable", "extras", "read_target"]

_ELEMENTS = {
    "epoch_of_elements": ("epoch_of_elements", mjd),
    "orbital_inclination": ("inclination", measured),
    "longitude_of_the_ascending_node": ("lng_asc_node", measured),
    "argument_of_the_perihelion": ("arg_of_perihelion", measured),
    "eccentricity": ("eccentricity", measured),
    "semimajor_axis": ("semimajor_axis", measured),
    "mean_anomaly": ("mean_anomaly", measured),
    "perihelion_distance": ("perihdist", measured),
    "epoch_of_perihelion": ("epoch_of_perihelion", mjd),
}
"""Hermes' orbital elements -> a TOM's, and how each is read."""
DEFAULT_EPOCH = 2000.0
_NOT_NOTED = {"name", "type", "scheme", "aliases", "primary_key", "extras"}
"""What is read elsewhere, or not at all: a primary key would be the source TOM's, which is not the source of the message."""
_TYPES = {"SIDEREAL", "NON_SIDEREAL"}
_SCHEMES = {"MPC_MINOR_PLANET", "MPC_COMET", "JPL_MAJOR_PLANET"}


@dataclass(frozen=True, slots=True)
class SharedTarget:
    """A target, and the target lists it is to be in."""

    target: Target
    lists: tuple[str, ...]


class TargetTable:
    """The targets of a message, and which of them a row is about.

    Parameters
    ----------
    rows
        Of the table of targets, each with the name by which it is reported.
    said
        What the message says of all its rows.
    complaints
        Takes the rows that cannot be read.
    """

    def __init__(self, rows: Iterable[tuple[str, Mapping[str, Any]]], said: Said, complaints: Complaints) -> None:
        self.shared: dict[str, SharedTarget] = {}
        self._names: list[str] = []
        self._contradictory: set[str] = set()
        found: dict[str, list[tuple[str, SharedTarget]]] = {}
        for item, row in rows:
            name = Fields(row).text("name")
            self._names.append(name)
            try:
                found.setdefault(name, []).append((item, read_target(row, said)))
            except Refusal as why:
                complaints.add(item, why.reason, why.detail, name)
            except ValidationError as error:
                complaints.add(item, "bad_row", complaint(error), name)
        for name, several in found.items():
            self._share(name, several, complaints)
        self._by_simple_name: dict[str, set[str]] = {}
        for name, shared in self.shared.items():
            for other in shared.target.names:
                self._by_simple_name.setdefault(simplify_name(other), set()).add(name)

    def name_of(self, row: Fields) -> str:
        """Take out of a row which target it is about, and return that target's name.

        As Hermes documents, ``target_index`` may stand for the name, and neither is needed where there is one target.

        Raises
        ------
        Refusal
            If it names no target, or one of which the message says two different things.
        """
        name, index = row.text("target_name"), row.number("target_index")
        if not name and index is not None and index in range(len(self._names)):
            name = self._names[int(index)]
        if not name and index is None and len(self._names) == 1:
            name = self._names[0]
        if not name or "\x00" in name:
            raise Refusal("no_target", "the row does not say which target it is about")
        if name in self._contradictory:
            raise Refusal("duplicate_target", "two targets of the message have the name that the row gives")
        simple = simplify_name(name)
        same = self._by_simple_name.get(simple, set()) if simple else set()
        return name if name in self.shared or len(same) != 1 else next(iter(same))

    def identity(self, name: str) -> TargetIdentity:
        """Return what the message says of a target, or the name alone if it has no such target."""
        if name in self.shared:
            return self.shared[name].target.identity()
        return TargetIdentity(name=name, type="SIDEREAL")

    def _share(self, name: str, several: list[tuple[str, SharedTarget]], complaints: Complaints) -> None:
        if not several:
            return
        together = _together([shared for _item, shared in several])
        if together is not None:
            self.shared[name] = together
            return
        self._contradictory.add(name)
        for item, _shared in several:
            complaints.add(item, "duplicate_target", "two targets of the message have this name, and differ", name)


def read_target(row: Mapping[str, Any], said: Said) -> SharedTarget:
    """Read a row.

    Raises
    ------
    Refusal
        If it has no name, or a position that cannot be read.
    """
    fields = Fields(row)
    name = fields.need("name", text, "no_name")
    numbers: dict[str, float | None] = _elements(fields)
    has_elements = any(value is not None for value in numbers.values())
    numbers |= _position(fields) | _motion(fields, said) | _distance(fields)
    kind = "NON_SIDEREAL" if has_elements else "SIDEREAL"
    scheme = _scheme(numbers) if has_elements else ""
    if said.notes is not None:
        noted_type, noted_scheme = said.notes.about_target("type"), said.notes.about_target("scheme")
        kind = noted_type if noted_type in _TYPES else kind
        scheme = noted_scheme if noted_scheme in _SCHEMES and kind == "NON_SIDEREAL" else scheme
    aliases = fields.take("aliases", _texts) or ()
    lists = fields.take("group_associations", _texts) or ()
    _drop_defaults(fields)
    found = {key: value for key, value in numbers.items() if value is not None}
    target = Target.model_validate(
        {"name": name, "type": kind, "scheme": scheme, "aliases": aliases, "extras": extras(fields.rest), **found}
    )
    return SharedTarget(target if said.notes is None else _with_noted(target, said.notes), lists)


def _with_noted(target: Target, notes: BridgeNotes) -> Target:
    """Return a target with what the bridge has noted of it; whatever the row itself says comes first.

    Hermes fills in an epoch of 2000 where the row has none, which is what no epoch means.
    """
    here = target.model_dump(exclude_defaults=True)
    if here.get("epoch") == DEFAULT_EPOCH:
        del here["epoch"]
    noted = {key: value for key, value in notes.target.items() if key not in _NOT_NOTED and key not in here}
    more = notes.target.get("extras")
    noted_extras = extras(more) if isinstance(more, dict) else {}
    try:
        return Target.model_validate({**target.model_dump(), **noted, "extras": {**noted_extras, **target.extras}})
    except ValidationError:  # somebody else's notes, or damaged
        return target


def extras(rest: Mapping[str, JsonValue]) -> dict[str, str]:
    """Return what nobody has a field for as a TOM's extras, under names that are not those of a target's own fields."""
    return {f"hermes_{key}" if key in Target.model_fields else key: _extra(value) for key, value in rest.items()}


def _elements(fields: Fields) -> dict[str, float | None]:
    elements = fields.rest.get("orbital_elements")
    if not isinstance(elements, dict):
        return {}
    inner = Fields(elements)
    found = {key: inner.take(name, read) for name, (key, read) in _ELEMENTS.items()}
    if inner.rest:
        fields.rest["orbital_elements"] = inner.rest
    else:
        del fields.rest["orbital_elements"]
    return found


def _scheme(elements: Mapping[str, float | None]) -> str:
    """Return the scheme that has the elements: the one for comets where only that is complete, or the orbit is not closed."""
    planet = None not in (elements["semimajor_axis"], elements["mean_anomaly"])
    comet = None not in (elements["perihdist"], elements["epoch_of_perihelion"])
    is_open = (elements["eccentricity"] or 0) >= 1
    if comet and (is_open or not planet):
        return "MPC_COMET"
    return "MPC_MINOR_PLANET" if planet else ""


def _position(fields: Fields) -> dict[str, float | None]:
    given = [key for key in ("ra", "dec") if key in fields.rest]
    if len(given) == 1:
        raise Refusal("bad_position", f"{given[0]} is there, the other coordinate is missing")
    if not given:
        return {}
    ra, dec = fields.need("ra", right_ascension, "bad_position"), fields.need("dec", declination, "bad_position")
    return {"ra": ra, "dec": dec, "epoch": fields.take("epoch", julian_year)}


def _motion(fields: Fields, said: Said) -> dict[str, float | None]:
    unit = (said.notes.unit("proper_motion") if said.notes else None) or ("mas/yr" if said.from_tom_toolkit else "")
    pm_ra, pm_dec = proper_motions(fields.number("pm_ra"), fields.number("pm_dec"), unit)
    return {"pm_ra": pm_ra, "pm_dec": pm_dec}


def _distance(fields: Fields) -> dict[str, float | None]:
    unit = fields.rest.get("distance_units")

    def read(value: JsonValue) -> float:
        found = parsecs(measured(value), unit) if isinstance(unit, str) else None
        if found is None:
            raise Unreadable("a distance in a unit that is known is expected")
        return found

    found = {"distance": fields.take("distance", read), "distance_err": fields.take("distance_error", read)}
    if any(value is not None for value in found.values()):
        fields.rest.pop("distance_units", None)
    return found


def _drop_defaults(fields: Fields) -> None:
    """Drop what Hermes fills in by itself where nothing was said: units of no error, an epoch of no position."""
    for key in ("ra_error", "dec_error"):
        if key not in fields.rest:
            fields.rest.pop(f"{key}_units", None)
    if fields.rest.get("new_discovery") is False:
        del fields.rest["new_discovery"]
    if fields.rest.get("epoch") == "2000.0":
        del fields.rest["epoch"]


def _texts(value: JsonValue) -> tuple[str, ...]:
    """Return a list of texts; a text alone is a list of one."""
    found = [text(item) for item in (value if isinstance(value, list) else [value])]
    if any("\x00" in item for item in found):  # no database stores it
        raise Unreadable("texts without NUL are expected")
    return tuple(dict.fromkeys(item for item in found if item))


def _extra(value: JsonValue) -> str:
    """Return a value as the text of an extra: numbers and truth values as TOM Toolkit writes them, the rest as JSON."""
    if isinstance(value, str):
        return value
    return canonical_json(value).decode() if isinstance(value, list | dict) else repr(value)


def _together(several: list[SharedTarget]) -> SharedTarget | None:
    """Return what all rows of one name say together, or None if one contradicts another."""
    if len(several) == 1:
        return several[0]
    fields: dict[str, Any] = {}
    said: dict[str, str] = {}
    for shared in several:
        for key, value in shared.target.model_dump(exclude_defaults=True, exclude={"aliases", "extras"}).items():
            if fields.setdefault(key, value) != value:
                return None
        for key, value in shared.target.extras.items():
            if said.setdefault(key, value) != value:
                return None
    aliases = dict.fromkeys(alias for shared in several for alias in shared.target.aliases)
    lists = dict.fromkeys(name for shared in several for name in shared.lists)
    target = Target.model_validate({**fields, "aliases": tuple(aliases), "extras": said})
    return SharedTarget(target, tuple(lists))
