"""The corpus of records that nobody should send: ``tests/data/poison``, and builders of what is too large for a file."""

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.codecs.record import Record

__all__ = ["CASES", "CASES_BUILT", "FOLDER", "GOOD", "LARGE", "MANIFEST", "SOURCE", "USUAL", "Case", "good_record"]

FOLDER = Path(__file__).parents[1] / "data" / "poison"
LARGE = 950_000
"""A case larger than this does not fit into the usual topics."""
SOURCE = "https://elsewhere.example.org/"
USUAL: Mapping[str, Any] = {
    "ce_specversion": "1.0",
    "ce_id": "12345678-1234-4678-9234-567812345678",
    "ce_source": SOURCE,
    "ce_type": "tom.reduced_datums.shared.v1",
    "ce_time": "2026-11-23T04:30:00Z",
}
"""Headers of a case, unless it says otherwise: those of a batch of datums."""
GOOD = (FOLDER / "good.json").read_bytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A record, and what becomes of it.

    Parameters
    ----------
    name, about
        For people.
    key, value, headers
        As they are on the wire, where a header may have no value.
    ends
        ``poison``, ``read`` or ``ignored``.
    reason, says
        Of poison: the reason code, and words of the detail, to who knows share events only.
    consumed
        Outcome, or reason of the dead letter, at a consumer, which knows Hermes messages, too; its TOM has no such target.
    """

    name: str
    about: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    ends: str
    reason: str
    says: str
    consumed: str

    @property
    def record(self) -> Record:
        """The record as a consumer has it; to `bridge.kafka` a header without a value is an empty one."""
        return Record(key=self.key, value=self.value, headers=tuple((name, value or b"") for name, value in self.headers))

    @property
    def is_large(self) -> bool:
        """Whether it needs a topic of its own."""
        return self.record.size > LARGE


def good_record(value: bytes = GOOD, **changed: str) -> Record:
    """Return a record that can be read: a batch of one datum."""
    return Record(key=b"k", value=value, headers=tuple((name, text.encode()) for name, text in {**USUAL, **changed}.items()))


def _inside(place: str, content: bytes) -> bytes:
    """Return the good body with something else for what stands at a place of it."""
    document = json.loads(GOOD)
    inner = document if place in document else document["target"]
    inner[place] = "HERE"
    return json.dumps(document).encode().replace(b'"HERE"', content)


def _list(item: bytes, number: int) -> bytes:
    return b"[" + b",".join([item] * number) + b"]"


def _note(text: bytes) -> bytes:
    return b'[{"data_type": "notes", "timestamp": "2024-01-02T03:04:05Z", "value": ' + text + b"}]"


BUILDERS: dict[str, Callable[[], bytes]] = {
    "small_event": lambda: GOOD,
    "deep_arrays": lambda: b"[" * 100_000 + b"]" * 100_000,
    "deep_objects": lambda: b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "open_arrays": lambda: b"[" * 100_000,
    "large_and_cut": lambda: _inside("datums", _note(b'"' + b"hunter2 " * 625_000 + b'"'))[:-10],
    "large_event": lambda: _inside("datums", _note(b'{"text": "' + b"hunter2 " * 625_000 + b'"}')),
    "megabytes_17": lambda: _inside("datums", _note(b'"' + b"hunter2 " * 2_125_000 + b'"')),
    "five_million_objects": lambda: _inside("datums", _note(_list(b"{}", 5_000_000))),
    "many_wrong_datums": lambda: _inside("datums", _list(b"{}", 298_000)),
    "many_wrong_fluxes": lambda: _inside(
        "datums",
        b'[{"data_type": "spectroscopy", "timestamp": "2024-01-02T03:04:05Z", "wavelength": [1], "flux": '
        + _list(b'"x"', 200_000)
        + b"}]",
    ),
    "many_wrong_aliases": lambda: _inside("aliases", _list(b"1", 300_000)),
    "many_wrong_extras": lambda: _inside("extras", b"{" + b",".join(b'"k%x":1' % number for number in range(90_000)) + b"}"),
    "integers_of_4300_digits": lambda: _inside("datums", _note(_list(b"9" * 4_300, 200))),
}
HEADER_BUILDERS: dict[str, str] = {
    "long_type": "org.example.\x1b[2J\n" + "x" * 10_000,
    "endless_version": "tom.target.shared.v" + "9" * 5_000,
    "long_name": "ce_\x1b[2J\n" + "x" * 10_000,
    "long_time": "2026-11-23T04:30:00Z" + "0" * 10_000,
    "long_source": "https://tom.example.org/" + "x" * 10_000,
}


def _bytes(text: Any) -> bytes | None:
    if isinstance(text, str):
        return text.encode()
    return bytes.fromhex(text["hex"]) if "hex" in text else None


def _headers(about: Mapping[str, Any]) -> tuple[tuple[str, bytes | None], ...]:
    usual = {name: text for name, text in USUAL.items() if name not in about.get("without", ())}
    for name, text in about.get("change", {}).items():
        usual[name.removesuffix("_built")] = HEADER_BUILDERS[text] if name.endswith("_built") else text
    found = [(name, _bytes(text)) for name, text in about.get("headers", list(usual.items()))]
    for name, text in about.get("more", []):
        if name == "built:thousand":
            found += [(f"trace-{number % 500}", b"x" * (number % 40)) for number in range(1_000)]
        else:
            found.append((HEADER_BUILDERS[name.removeprefix("built:")] if name.startswith("built:") else name, _bytes(text)))
    return tuple(found)


def _value(about: Mapping[str, Any]) -> bytes | None:
    if "built" in about:
        return BUILDERS[about["built"]]()
    return None if about["value"] == "none" else (FOLDER / about["value"]).read_bytes()


def _case(name: str, about: Mapping[str, Any]) -> Case:
    ends = about.get("ends", "poison")
    return Case(
        name=name,
        about=about["about"],
        key=None if about.get("key") == "none" else f"poison-{name}".encode(),
        value=_value(about),
        headers=_headers(about),
        ends=ends,
        reason=about.get("reason", ""),
        says=about.get("says", ""),
        consumed=about.get("consumed", "skipped" if ends != "poison" else about["reason"]),
    )


MANIFEST: Mapping[str, Mapping[str, Any]] = tomllib.loads((FOLDER / "manifest.toml").read_text(encoding="utf-8"))
CASES: dict[str, Case] = {name: _case(name, about) for name, about in MANIFEST.items()}
"""All of them, by name."""
CASES_BUILT = frozenset(name for name, about in MANIFEST.items() if about.get("built", "small_event") != "small_event")
"""Those whose value is built because it is large."""
