"""What we publish in Hermes' form, read by TOMs without the bridge: tom-alertstreams with Hermes' own ingest handler."""

import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka.admin import AclOperation

from bridge.codecs.hermes.losses import Lost
from bridge.codecs.native import encode, new_event
from bridge.events import (
    PhotometryDatum,
    ReducedDatum,
    ReducedDatumsShared,
    ShareBody,
    SpectroscopyDatum,
    Target,
    TargetShared,
    TomIdentity,
)
from bridge.kafka.admin import Admin
from bridge.kafka.connection import Connection, connect_settings
from bridge.kafka.hermes import WirePublisher
from bridge.kafka.publisher import Publisher
from bridge.settings import StreamEntry
from tests.support.alertstreams import ReadingTom, reading_tom
from tests.support.kafka import ApacheKafka
from tests.support.waiting import wait_for
from tests.support.world import dump, seed, target_of, unique

TWO, THREE = "2.32.4", "3.1.0"
SECRET = "canary-of-the-reader"
SOURCE = TomIdentity(name="Source TOM", url="https://tom.example.org/")
NIGHT = datetime(2026, 11, 23, 4, 30, 15, 250000, tzinfo=UTC)
names = unique("A")


class Reader:
    """A TOM that runs ``readstreams`` on its topic, and what publishes there."""

    def __init__(self, reading: ReadingTom, connection: Connection) -> None:
        self.tom = reading.tom
        self.topic = reading.topic
        self._reading = reading
        self._connection = connection

    def publish(self, *bodies: ShareBody) -> list[Lost]:
        """Publish events as a stream with FORMAT = "hermes" does, and return what is lost."""
        lost: list[Lost] = []

        def told(_subject: str, more: Sequence[Lost]) -> None:
            lost.extend(more)

        records = [encode(new_event(body, now=datetime.now(UTC))) for body in bodies]
        limit = Admin(self._connection).most_bytes
        publisher = WirePublisher(Publisher(self._connection), self._connection, told=told, limit=limit)
        assert publisher.publish(self.topic, records) == len(records)
        return lost

    def read(self, target: str, count: int) -> list[dict[str, Any]]:
        """Let ``readstreams`` run until a target has so many datums; return them in the order of their times."""
        found: list[dict[str, Any]] = []
        log = self._reading.log
        read_before = log.stat().st_size if log.exists() else 0

        def all_there() -> bool:
            said = log.read_bytes()[read_before:].decode()
            assert process.poll() is None, f"readstreams ended:\n{said}"
            assert "Traceback" not in said, f"a message is lost:\n{said}"  # the handler failed, and the next one is read
            found[:] = [datum for datum in dump(self.tom)["datums"] if datum["target"] == target]
            return len(found) >= count

        with self._reading.reading() as process:
            wait_for(all_there, f"{target} has {count} datums, see {log}", seconds=60.0, every=0.5)
        assert len(found) == count
        return sorted(found, key=lambda datum: datum["timestamp"])


@pytest.fixture(scope="module")
def reader(apache_kafka: ApacheKafka, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Reader]:
    """Return the reader of a version, made when it is first asked for."""
    made: dict[str, Reader] = {}

    def make(version: str) -> Reader:
        topic, user = f"tom.{uuid.uuid4().hex}", f"reader-{uuid.uuid4().hex}"
        apache_kafka.create_topic(topic)
        apache_kafka.add_user(user, SECRET)
        apache_kafka.allow(user, topics={topic: [AclOperation.READ, AclOperation.WRITE]}, group=f"{user}-*")
        address = f"kafka://{apache_kafka.sasl_bootstrap}/"
        login = {"USERNAME": user, "PASSWORD": SECRET}
        entry = StreamEntry.model_validate({"BASE_URL": address, **login, "SSL_CA_LOCATION": str(apache_kafka.ca_pem)})
        connection = connect_settings("stream", entry)
        # A broker that has just started knows no coordinator of a group for a moment, over which hop fails. This waits for it.
        Admin(connection).rights("group", f"{user}-tom")
        reading = reading_tom(
            tmp_path_factory.mktemp("reader") / "tom",
            version=version,
            topic=topic,
            stream={"URL": address, "GROUP_ID": f"{user}-tom", **login},
            authorities=apache_kafka.ca_pem,
        )
        return Reader(reading, connection)

    def get(version: str) -> Reader:
        if version not in made:
            made[version] = make(version)
        return made[version]

    return get


both = pytest.mark.parametrize("version", [TWO, THREE])


def shares(name: str, *datums: ReducedDatum) -> tuple[ShareBody, ShareBody]:
    target = Target(name=name, type="SIDEREAL", ra=123.456, dec=-7.5, aliases=(f"alias of {name}",), primary_key=1)
    return TargetShared(tom=SOURCE, target=target), ReducedDatumsShared(tom=SOURCE, target=target, datums=datums)


def photometry(hour: int, **fields: Any) -> PhotometryDatum:
    common = {"timestamp": NIGHT.replace(hour=hour), "telescope": "LT", "instrument": "IO:O", "bandpass": "r", "unit": "AB"}
    return PhotometryDatum.model_validate(common | fields)


def measured(datum: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the time of a datum and what is said of it; the newer handler, too, fills nothing but the JSON."""
    value = datum["value"]
    return datum["timestamp"], value["value"] if datum["source_name"].startswith("Hermes:") else value


def has(**value: Any) -> dict[str, Any]:
    return {"filter": "r", "telescope": "LT", "instrument": "IO:O", "unit": "AB mag", "error": "", **value}


@both
def test_photometry_arrives(reader: Callable[[str], Reader], version: str):
    at, name = reader(version), next(names)
    seed(at.tom, {"fields": {"name": name, "type": "SIDEREAL", "ra": 123.456, "dec": -7.5}})
    datums = (
        photometry(4, brightness=18.25, brightness_error=0.03),
        photometry(5, brightness=17.5, unit="Vega mag", bandpass="V"),
        photometry(6, brightness=0.4, brightness_error=0.01, unit="mJy"),
        photometry(7, brightness=-1.5),
        photometry(8, brightness=0.0, unit="Vega mag"),
    )
    for _ in range(2):  # a target is shared again, and nothing is there twice
        assert at.publish(*shares(name, *datums)) == []
    found = at.read(name, 5)

    assert {datum["data_type"] for datum in found} == {"photometry"}
    assert {datum["source_name"].removeprefix("Hermes:") for datum in found} == {at.topic}
    *times, (last_time, last) = map(measured, found)
    assert times == [
        ("2026-11-23T04:30:15.250000+00:00", has(magnitude=18.25, error=0.03)),
        ("2026-11-23T05:30:15.250000+00:00", has(magnitude=17.5, unit="Vega mag", filter="V")),
        ("2026-11-23T06:30:15.250000+00:00", has(magnitude=0.4, error=0.01, unit="mJy")),
        ("2026-11-23T07:30:15.250000+00:00", has(magnitude=-1.5)),
    ]
    # Hermes takes a brightness of 0 for none, so that a very small one stands for it.
    assert (last_time, last["magnitude"]) == ("2026-11-23T08:30:15.250000+00:00", pytest.approx(0.0, abs=1e-9))


@both
def test_limits_arrive(reader: Callable[[str], Reader], version: str):
    at, name = reader(version), next(names)
    seed(at.tom, {"fields": {"name": name, "type": "SIDEREAL", "ra": 123.456, "dec": -7.5}})
    at.publish(*shares(name, photometry(4, limit=20.5), photometry(5, limit=19.75, unit="Vega mag")))
    found = [measured(datum) for datum in at.read(name, 2)]

    units = ("AB mag", "Vega mag")
    more = [{"limit_unit": unit} if version == THREE else {} for unit in units]  # the newer handler keeps that, too
    assert found == [
        ("2026-11-23T04:30:15.250000+00:00", has(limit=20.5) | more[0]),
        ("2026-11-23T05:30:15.250000+00:00", has(limit=19.75, unit="Vega mag") | more[1]),
    ]


def test_proper_motions_arrive_a_thousand_times_too_small_and_that_is_said(reader: Callable[[str], Reader]):
    """They go out in arcseconds, as Hermes documents, and the handler stores the number as milliarcseconds.

    The one of TOM Toolkit 2.x makes no targets.
    """
    at, name = reader(THREE), next(names)
    target = Target(name=name, type="SIDEREAL", ra=123.456, dec=-7.5, epoch=2015.5, pm_ra=-802.0, pm_dec=10362.0)
    lost = at.publish(ReducedDatumsShared(tom=SOURCE, target=target, datums=(photometry(4, brightness=18.25),)))
    at.read(name, 1)
    found = target_of(dump(at.tom), name)

    assert (found["pm_ra"], found["pm_dec"], found["epoch"]) == (-0.802, 10.362, 2015.5)
    assert [one.what for one in lost] == ["target.pm_ra", "target.pm_dec"]


def test_new_targets_and_spectra_arrive_where_the_handler_takes_them(reader: Callable[[str], Reader]):
    """The one of TOM Toolkit 2.x takes photometry alone, of targets that are there."""
    at, name = reader(THREE), next(names)
    spectrum = SpectroscopyDatum(
        timestamp=NIGHT,
        telescope="LT",
        instrument="SPRAT",
        wavelength=(4000.0, 4001.5),
        wavelength_unit="Angstrom",
        flux=(1e-15, 2.5e-15),
        flux_error=(1e-16, 2e-16),
        flux_unit="erg / s / cm2 / Angstrom",
    )
    at.publish(*shares(name, photometry(5, brightness=18.25), spectrum))
    (_, spectrum_there), (_, brightness_there) = map(measured, at.read(name, 2))
    target = target_of(dump(at.tom), name)

    assert brightness_there == has(magnitude=18.25)
    assert spectrum_there == {
        "wavelength": [4000.0, 4001.5],
        "wavelength_units": "Å",
        "flux": [1e-15, 2.5e-15],
        "flux_error": [1e-16, 2e-16],
        "flux_units": "erg / s / cm² / Å",
        "flux_type": "Fλ",
        "telescope": "LT",
        "instrument": "SPRAT",
    }
    assert (target["type"], target["ra"], target["dec"]) == ("SIDEREAL", 123.456, -7.5)
    assert target["aliases"] == [f"alias of {name}"]
