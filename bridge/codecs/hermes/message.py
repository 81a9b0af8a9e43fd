"""The words of the format: a Hermes message as it stands on the wire, and where it came from.

Nothing is required here but the shape of an object, and unknown keys are kept: what can be made of a row is decided row by row,
so that one bad row does not lose the others. Source: ``hermes/serializers.py``, and what its users really send.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeGuard
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from bridge.codecs import native
from bridge.codecs.headers import shown
from bridge.codecs.hermes.vocabulary import TABLES
from bridge.codecs.record import Record, header
from bridge.errors import Poison
from bridge.events import TomIdentity, normalise_url
from bridge.events.words import Several

__all__ = ["HERMES_URL", "BridgeNotes", "HermesData", "HermesMessage", "HermesSource", "NotedTom", "parse_message"]

HERMES_URL = "https://hermes.lco.global/"
"""Stands for every Hermes topic where datums get their identity, so that it is the same whichever topic they came through."""

_NOT_JSON = {
    "avro": "Avro",
    "circular": "a GCN circular",
    "external": "a reference to a message that is kept elsewhere, which is never fetched",
    "gcntextnotice": "a GCN notice in text form",
    "voevent": "a VOEvent",
}
"""What hop's labels of formats mean."""
_LONGEST_NAME = 100
"""Of a source, as `TomIdentity` has it."""

_OLD_ROWS = {
    "photometryId": "target_name",
    "dateObs": "date_obs",
    "band": "bandpass",
    "brightnessError": "brightness_error",
    "brightnessUnit": "brightness_unit",
}
"""Keys of rows in 2022 -> keys since."""
_OLD_DATE = re.compile(r"(\d\d)/(\d\d)/(\d\d) (\d\d:\d\d:\d\d)")
"""What TOM Toolkit wrote in 2022, ``strftime("%x %X")``: month, day and year."""


class HermesSource(TomIdentity):
    """Whom the bridge holds for the source of a Hermes message: its topic, under the name of the submitter."""

    url: str = HERMES_URL
    topic: str
    """Address of the topic, such as ``kafka://kafka.scimma.org/tomtoolkit.test``."""
    message: UUID
    """The message's uuid."""

    @property
    def address(self) -> str:
        return self.topic

    @property
    def source_name(self) -> str:
        return f"Hermes:{self.topic_name}"

    @property
    def topic_name(self) -> str:
        """The topic without its broker."""
        return self.topic.rpartition("/")[2] or self.topic

    def page(self, primary_key: int | None) -> str:  # noqa: ARG002  a Hermes message knows no primary keys
        return f"{self.topic}?message={self.message}"

    @classmethod
    def of(cls, name: str, *, topic: str, message: UUID) -> Self:
        """Return the source of that name, which is cut where it is longer than a name may be; without one, the topic's."""
        printable = "".join(character if character.isprintable() else " " for character in name)
        nameless = cls(name="-", topic=topic, message=message)
        shortened = " ".join(printable.split())[:_LONGEST_NAME].strip() or nameless.topic_name[:_LONGEST_NAME]
        return nameless.model_copy(update={"name": shortened})


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False, use_attribute_docstrings=True)


def _name_or_url(text: str) -> str:
    return normalise_url(text) if "://" in text else text


Url = Annotated[str, AfterValidator(normalise_url)]


class NotedTom(_Wire):
    """The source TOM of a message that the bridge wrote."""

    name: str = ""
    url: Url


class BridgeNotes(_Wire):
    """``data.tom_bridge``: what the bridge says in a message of its own, where Hermes has no key for it.

    Anybody can write anything here, so it is believed only where that does no harm: for who is to act on it, for units that
    agree with what the rows say, for the type of the target, and for what its row does not say.
    """

    version: int = 1
    event: UUID | None = None
    """The share event that the message was made from."""
    tom: NotedTom | None = None
    hops: Several[Url] = ()
    """TOMs that the data had been through before that TOM."""
    destinations: Several[Annotated[str, AfterValidator(_name_or_url)]] | None = None
    """If given, only these act on it."""
    target: dict[str, JsonValue] = Field(default_factory=dict)
    """Of the target: ``type``, ``scheme``, and by our names what else Hermes has no key for, ``extras`` among it."""
    units: dict[str, JsonValue] = Field(default_factory=dict)
    """How the source TOM spells the units of all rows: ``brightness``, ``flux``, ``wavelength``, ``ra_error``, ``dec_error``;
    and what ``proper_motion`` is in."""

    def unit(self, of: str) -> str | None:
        """Return a unit that is noted."""
        noted = self.units.get(of)
        return noted if isinstance(noted, str) else None

    def about_target(self, key: str) -> str:
        """Return a text that is noted of the target, or an empty one."""
        noted = self.target.get(key)
        return noted if isinstance(noted, str) else ""


def _notes(value: Any) -> Any:
    try:
        return BridgeNotes.model_validate(value)
    except ValidationError:  # somebody else's, or damaged: the message is read without them
        return None


def _words(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    return repr(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


Text = Annotated[str, BeforeValidator(_words)]


class HermesData(_Wire):
    """``data``: tables of rows, and anything else."""

    targets: Any = None
    photometry: Any = None
    spectroscopy: Any = None
    astrometry: Any = None
    tom_bridge: Annotated[BridgeNotes | None, BeforeValidator(_notes)] = None

    @property
    def others(self) -> dict[str, Any]:
        """What is said of the message as a whole: ``event_id``, ``references``, and any key that nobody knows."""
        return dict(self.model_extra or {})

    @property
    def from_tom_toolkit(self) -> bool:
        """Whether TOM Toolkit (or tom_hermes) wrote it: its ``extra_data``, even empty, goes through Hermes unchanged."""
        return "extra_data" in self.others


class HermesMessage(_Wire):
    """A Hermes message."""

    uuid: UUID
    """hop's ``_id``, else the one in the body, else one that the message's bytes alone have."""
    title: Text = ""
    topic: Text = ""
    submitter: Text = ""
    authors: Text = ""
    message_text: Text = ""
    data: HermesData = HermesData()


def parse_message(record: Record) -> HermesMessage:
    """Read a record's value as a Hermes message.

    Raises
    ------
    Poison
        ``hermes_format``, ``not_hermes``, or as `native.parse_json`.
    native.Ignored
        If hop calls it a test.
    """
    if header(record.headers, "_test") is not None:
        raise native.Ignored("hop's header calls it a test message", reason="test_message")
    if record.value is None:
        raise Poison("null_value", "the record has no value (a tombstone); a Hermes message always has one")
    label = header(record.headers, "_format")
    if label not in {None, b"json", b"blob"}:  # `hop publish` calls a file of JSON a blob, unless it is told better
        word = (label or b"").decode(errors="replace")
        raise Poison("hermes_format", f"not a Hermes message: hop's header calls it {_NOT_JSON.get(word) or shown(word)}")
    document = native.parse_json(record.value)
    if isinstance(document, dict) and document.keys() == {"format", "content"}:
        raise Poison("hermes_format", "a message in the envelope that hop used until 2021; only messages without it are read")
    if not _is_hermes(document):
        raise Poison("not_hermes", "not a Hermes message: it has neither a Hermes table in data, nor title and submitter")
    return HermesMessage.model_validate(_of_today(document) | {"uuid": _uuid(record, document)})


def _is_hermes(document: Any) -> TypeGuard[dict[str, Any]]:
    if not isinstance(document, dict) or not isinstance(document.get("data") or {}, dict):
        return False
    known = sum(isinstance(document.get(key), str) for key in ("title", "submitter", "author", "authors", "message_text"))
    return known > 1 or not (document.get("data") or {}).keys().isdisjoint((*TABLES, "photometry_data"))


def _of_today(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message with the keys of today where it has those of 2022."""
    data = dict(document.get("data") or {})
    message = {key: value for key, value in document.items() if key != "author"} | {"data": data}
    if "author" in document:
        message["submitter"] = document.get("submitter") or document["author"]
    if isinstance(data.get("authors"), str):
        message["authors"] = document.get("authors") or data["authors"]
        del data["authors"]
    if "photometry_data" in data and "photometry" not in data:
        rows = data.pop("photometry_data")
        data["photometry"] = [_row_of_today(row) for row in rows] if isinstance(rows, list) else rows
    return message


def _row_of_today(row: Any) -> Any:
    if not isinstance(row, dict):
        return row
    renamed = {new: row[old] for old, new in _OLD_ROWS.items() if old in row and new not in row}
    renamed = {key: value for key, value in row.items() if _OLD_ROWS.get(key) not in renamed} | renamed
    written = renamed.get("date_obs")
    if isinstance(written, str) and (found := _OLD_DATE.fullmatch(written)):
        month, day, year, time = found.groups()
        renamed["date_obs"] = f"20{year}-{month}-{day}T{time}Z"
    return renamed


def _uuid(record: Record, document: Mapping[str, Any]) -> UUID:
    raw = header(record.headers, "_id")
    if raw is not None and len(raw) == 16:
        return UUID(bytes=raw)
    try:
        return UUID(str(document.get("uuid")))
    except ValueError:
        return uuid5(NAMESPACE_URL, hashlib.sha256(record.value or b"").hexdigest())
