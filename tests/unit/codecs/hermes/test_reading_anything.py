"""Whatever chance makes of bytes and messages: share events, Poison or Ignored; and no row changes or loses another."""

import json
import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.codecs.hermes.writing import hermes_messages
from bridge.codecs.native import Ignored, new_event
from bridge.codecs.record import Record
from bridge.errors import Poison
from bridge.events import ReducedDatumsShared, ShareEvent, TargetShared, TomIdentity
from tests.support.hermes_corpus import CASES, TIME, USUAL, hermes_record, read

SOURCES = [case.record.value or b"" for case in CASES.values()]
KEYS = [
    "title", "topic", "submitter", "authors", "message_text", "uuid", "data", "targets", "photometry", "spectroscopy",
    "astrometry", "references", "event_id", "tom_bridge", "extra_data", "photometry_data", "name", "ra", "dec",
    "ra_error", "ra_error_units", "epoch", "pm_ra", "pm_dec", "distance", "distance_units", "aliases",
    "group_associations", "orbital_elements", "epoch_of_elements", "eccentricity", "discovery_info", "target_name",
    "target_index", "date_obs", "telescope", "instrument", "bandpass", "brightness", "brightness_error",
    "brightness_unit", "limiting_brightness", "limiting_brightness_unit", "unit", "exposure_time", "flux", "flux_error",
    "flux_units", "wavelength", "wavelength_units", "file_info", "hops", "tom", "url", "units", "brightness", "target",
    "type", "scheme", "destinations", "photometryId", "dateObs",
]  # fmt: skip
WORDS = [
    "A", "B", "", " ", "10.5", "-3", "23:21:16", "2460000.5", "60000", "2023-04-09T10:00:00Z", "AB mag", "Vega mag",
    "mJy", "x\x00y", "NaN", "https://tom.example.org/", "NON_SIDEREAL", "MPC_COMET", "null", "é",
]  # fmt: skip

leaves = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
words = st.sampled_from(WORDS) | st.text(st.characters(codec="utf-8"), max_size=8)
keys = st.sampled_from(KEYS) | words
documents = st.recursive(
    leaves | words, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=8), max_leaves=30
)
rows = st.lists(st.dictionaries(keys, leaves | words | st.lists(leaves | words, max_size=3), max_size=10) | leaves, max_size=5)
tables = st.dictionaries(st.sampled_from(["targets", "photometry", "spectroscopy", "astrometry"]), rows | leaves, max_size=4)
messages = st.fixed_dictionaries(
    {"title": words, "submitter": words, "data": tables | st.dictionaries(keys, documents, max_size=6)}
)
headers = st.lists(
    st.tuples(st.sampled_from(["_id", "_format", "_sender", "topic", "title", "x"]), st.binary(max_size=18)), max_size=4
)


def end_of(record: Record) -> str:
    """Return how a record ends; anything but events, Poison and Ignored comes out as it is."""
    try:
        reading = read(record)
    except (Poison, Ignored) as why:
        return why.reason
    assert reading.events or reading.refused
    for item in reading.refused:
        assert item.detail.isprintable()
        assert len(item.detail) < 300
    for event in reading.events:
        assert isinstance(event, ShareEvent)
        event.body.model_dump_json(exclude_none=True)
        json.dumps(event.body.model_dump(mode="json"), allow_nan=False).encode()
    return "read"


@given(st.binary(max_size=200), headers)
def test_any_bytes(value: bytes, chosen: list[tuple[str, bytes]]) -> None:
    assert end_of(Record(key=None, value=value, headers=tuple(chosen)))


@given(documents)
def test_any_json(document: Any) -> None:
    assert end_of(hermes_record(document))


@settings(max_examples=150)
@given(messages)
def test_any_message(message: Any) -> None:
    assert end_of(hermes_record(message)) not in {"not_hermes", "hermes_format"}


@given(st.data())
def test_a_message_that_was_damaged(data: st.DataObject) -> None:
    source = bytearray(data.draw(st.sampled_from(SOURCES)))
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(source)))
        source[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))

    assert end_of(Record(key=None, value=bytes(source), headers=USUAL))


# --- what holds for every row

GOOD = {"target_name": "A", "date_obs": "2023-04-09T10:00:00Z", "telescope": "x", "bandpass": "g", "brightness": 18.0}


@given(st.lists(st.dictionaries(keys, leaves | words, max_size=6), max_size=5), st.integers(0, 5))
def test_bad_rows_lose_no_good_one(bad: list[dict[str, Any]], place: int) -> None:
    mixed = [*bad[:place], GOOD, *bad[place:]]
    reading = read(
        hermes_record(
            {"title": "t", "submitter": "s", "data": {"targets": [{"name": "A", "ra": 1, "dec": 2}], "photometry": mixed}}
        )
    )
    count = sum(len(event.body.datums) for event in reading.events if isinstance(event.body, ReducedDatumsShared))

    assert count + len(reading.refused) == len(mixed)
    assert f"photometry[{min(place, len(bad))}]" not in {item.item for item in reading.refused}


@given(
    st.floats(-50, 50).filter(lambda value: value == 0 or abs(value) > 1e-100),
    st.sampled_from(["brightness", "limiting_brightness"]),
    st.sampled_from(["AB mag", "Vega mag", "mJy"]),
    st.booleans(),
)
def test_a_number_keeps_value_sign_meaning_and_unit(value: float, key: str, unit: str, as_text: bool) -> None:
    row = {k: v for k, v in GOOD.items() if k != "brightness"} | {key: repr(value) if as_text else value, f"{key}_unit": unit}
    (event,) = read(hermes_record({"title": "t", "submitter": "s", "data": {"photometry": [row]}})).events
    assert isinstance(event.body, ReducedDatumsShared)
    (datum,) = event.body.datums

    assert (datum.brightness, datum.limit) == ((value, None) if key == "brightness" else (None, value))
    assert datum.unit == unit


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(lambda key: key not in KEYS), documents, max_size=4
    )
)
def test_keys_that_nobody_knows_are_kept(unknown: dict[str, Any]) -> None:
    reading = read(
        hermes_record(
            {
                "title": "t",
                "submitter": "s",
                "data": {"targets": [{"name": "A", "ra": 1, "dec": 2} | unknown], "photometry": [GOOD | unknown]},
            }
        )
    )
    said = {key: value for key, value in unknown.items() if value is not None and value not in ([], {}) and str(value).strip()}
    target, datums = (event.body for event in reading.events)

    assert isinstance(target, TargetShared)
    assert isinstance(datums, ReducedDatumsShared)
    assert {key.removeprefix("hermes_") for key in target.target.extras} >= {key.removeprefix("hermes_") for key in said}
    assert said.items() <= datums.datums[0].extra.items()


@given(st.floats(0, 360, exclude_max=True), st.floats(-90, 90), st.floats(-1e4, 1e4), st.sampled_from([18.25, 0.0, -1.5]))
def test_what_the_bridge_writes_it_reads_again(ra: float, dec: float, motion: float, brightness: float) -> None:
    """Only the main things; what Hermes cannot carry is in the writer's own tests."""
    tom = TomIdentity(name="My TOM", url="https://my-tom.org/")
    target = {"name": "A", "type": "SIDEREAL", "ra": ra, "dec": dec, "pm_ra": round(motion, 3), "epoch": 2016.0}
    datum = {
        "data_type": "photometry",
        "timestamp": "2023-04-09T10:00:00Z",
        "brightness": brightness,
        "unit": "AB",
        "bandpass": "g",
    }
    body = ReducedDatumsShared.model_validate({"tom": tom, "target": target, "datums": [datum]})
    (message,) = hermes_messages(new_event(body, now=TIME), topic="t.t").messages
    first, second = read(hermes_record(message)).events

    assert isinstance(first.body, TargetShared)
    assert isinstance(second.body, ReducedDatumsShared)
    assert first.body.hops == ("https://my-tom.org/",)
    found = first.body.target
    assert (found.ra, found.dec, found.epoch, found.type) == (ra, dec, 2016.0, "SIDEREAL")
    assert math.isclose(found.pm_ra or 0.0, round(motion, 3), rel_tol=1e-12, abs_tol=1e-12)
    assert (second.body.datums[0].brightness, second.body.datums[0].unit) == (brightness, "AB")
