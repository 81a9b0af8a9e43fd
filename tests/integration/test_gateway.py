"""The gateway between unmodified TOMs and Apache Kafka: TOM Toolkit 2.32.4's own Hermes code, and tom_hermes with 3.1.0."""

import html
import io
import json
import re
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from astropy.io import fits
from typer.testing import CliRunner

from bridge.cli import app
from bridge.codecs.record import header
from bridge.demo.toms import Tom, create_tom
from tests.support.gatekeeping import KEY, OTHER_KEY, RunningGateway, running_gateway, tom_with_tom_hermes
from tests.support.inside import Inside
from tests.support.kafka import ApacheKafka
from tests.support.world import Toms, dump, seed, unique

TWO = "2.32.4"
TOM_NAME = "My TOM"
TOPICS = ["tom.gateway", "tom.gateway.small"]
GONE = "tom.gateway.gone"
USE_HERMES = Path(__file__).parents[1] / "support" / "scripts" / "use_hermes.py"
names = unique("G")
WHEN = "2024-03-01T05:06:07.250000+00:00"
POINT = {"telescope": "LCO", "instrument": "Sinistro", "filter": "rp", "magnitude": 18.125, "error": 0.02, "unit": "AB"}
LIMIT = {"telescope": "LCO", "instrument": "Sinistro", "filter": "gp", "limit": 20.5}
SPECTRUM = {
    "telescope": "FTN", "instrument": "FLOYDS", "flux": [1.5e-16, 0.0, 2e-16], "wavelength": [3500.0, 3501.5, 3503.0],
    "flux_units": "erg / s / cm² / Å", "wavelength_units": "Angstrom",
}  # fmt: skip


@pytest.fixture(scope="module")
def gateway(apache_kafka: ApacheKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    apache_kafka.create_topic(TOPICS[0], partitions=2)
    apache_kafka.create_topic(TOPICS[1], config={"max.message.bytes": "20000"})
    apache_kafka.create_topic(GONE)
    with running_gateway(
        tmp_path_factory.mktemp("gateway"), bootstrap=apache_kafka.bootstrap, topics=[*TOPICS, GONE]
    ) as running:
        yield running


@pytest.fixture(scope="module")
def tom2(gateway: RunningGateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tom]:
    """TOM Toolkit 2.32.4 that has set BASE_URL and HERMES_API_KEY, and nothing else."""
    tom = create_tom(
        tmp_path_factory.mktemp("tom2"),
        version=TWO,
        name=TOM_NAME,
        users={"alice": "alice-canary-pw", "bridge": "bridge-canary-pw"},
        superusers={"admin": "admin-pw"},
        settings=gateway.settings_of_a_tom(),
        cheap_passwords=True,
    )
    tom.start()
    with Inside(tom):
        yield tom
    tom.stop()


@pytest.fixture(scope="module")
def tom3(gateway: RunningGateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tom]:
    """TOM Toolkit 3.1.0 with tom_hermes; it is only asked by scripts."""
    home = tmp_path_factory.mktemp("tom3")
    with Inside(tom_with_tom_hermes(home, name=TOM_NAME, base_url=gateway.url, topic=TOPICS[0])) as tom:
        yield tom


def use(tom: Tom, action: str, **more: Any) -> Any:
    return tom.run_script(USE_HERMES, {"action": action, **more})


def datum(value: dict[str, Any], data_type: str = "photometry", **more: Any) -> dict[str, Any]:
    return {"data_type": data_type, "timestamp": WHEN, "value": value, **more}


def target(name: str, *datums: dict[str, Any], **more: Any) -> dict[str, Any]:
    fields = {"name": name, "type": "SIDEREAL", "ra": 150.25, "dec": -12.5, "epoch": 2000.0}
    return {"fields": fields, "owners": ["alice"], "datums": list(datums), **more}


def about(gateway: RunningGateway, name: str, topic: str = TOPICS[0]) -> list[Any]:
    """Return records about a target."""
    return [found for found in gateway.records(topic) if f'"{name}"'.encode() in (found.record.value or b"")]


def content(found: Any) -> dict[str, Any]:
    """Return what stands on the topic, as any program reads it."""
    return dict(json.loads(found.record.value))


def test_toms_menu_offers_the_topics_that_the_gateway_says(gateway: RunningGateway, tom2: Tom):
    (entry,) = use(tom2, "menu")

    assert entry[1] == [[f"hermes:{topic}", topic] for topic in [*TOPICS, GONE]]


def test_what_publish_to_hermes_shares_is_on_the_topic_as_hermes_would_have_put_it(gateway: RunningGateway, tom2: Tom):
    name = next(names)
    seed(tom2, target(name, datum(POINT), datum(LIMIT), datum(SPECTRUM, "spectroscopy"), aliases=[f"{name} alias"]))

    said = use(
        tom2, "publish", target=name, topic=TOPICS[0], title="My title", submitter="alice", authors=None, message="Look!"
    )

    assert (said["status"], said["said"]) == (200, "Submitted message succesfully")
    assert said["marked"] == 3, "TOM Toolkit notes what it has shared"
    (found,) = about(gateway, name)
    headers = dict(found.record.headers)
    assert list(headers) == ["topic", "_id", "_format", "title", "_sender"]
    assert headers["_id"].hex() == said["ids"][0].replace("-", "")
    assert (headers["_format"], headers["title"], headers["_sender"]) == (b"json", b"My title", b"My TOM")
    assert found.record.key is None
    row = {"target_name": name, "date_obs": WHEN}
    units = {"brightness_unit": "AB mag", "limiting_brightness_unit": "AB mag"}
    seen = {"telescope": "LCO", "instrument": "Sinistro"}
    assert content(found) == {
        "title": "My title", "topic": TOPICS[0], "submitter": "alice", "authors": "", "message_text": "Look!",
        "data": {
            "targets": [
                {
                    "name": name, "ra": 150.25, "dec": -12.5, "epoch": "2000.0", "aliases": [f"{name} alias"],
                    "ra_error_units": "degrees", "dec_error_units": "degrees", "new_discovery": False,
                },
            ],
            "photometry": [
                {**row, **seen, **units, "bandpass": "rp", "brightness": 18.125, "brightness_error": 0.02},
                {**row, **seen, **units, "bandpass": "gp", "limiting_brightness": 20.5},
            ],
            "spectroscopy": [
                {
                    **row, "telescope": "FTN", "instrument": "FLOYDS", "flux": [1.5e-16, 0.0, 2e-16],
                    "wavelength": [3500.0, 3501.5, 3503.0], "flux_units": "erg / s / cm² / Å", "wavelength_units": "Å",
                    "flux_type": "Fλ", "proprietary_period_units": "Days",
                },
            ],
            "extra_data": {},
        },
    }  # fmt: skip


def spectrum_file() -> bytes:
    """Return a spectrum as a FITS file, from 3500 Å on in steps of 1.5."""
    file, image = io.BytesIO(), fits.PrimaryHDU(np.array([1.5e-16, 0.0, 2e-16]))
    image.header.update(CTYPE1="WAVE", CUNIT1="Angstrom", CRPIX1=1.0, CRVAL1=3500.0, CDELT1=1.5)
    image.writeto(file)
    return file.getvalue()


def test_a_spectrum_that_the_tom_makes_of_a_file_goes_with_its_units(gateway: RunningGateway, tom2: Tom):
    """TOM Toolkit writes units as astropy does, and no telescope; Hermes itself takes neither."""
    name = next(names)
    pk = seed(tom2, target(name))[name]
    upload = requests.post(
        f"{tom2.url}api/dataproducts/",
        data={"target": pk, "data_product_type": "spectroscopy"},
        files={"file": ("spectrum.fits", spectrum_file())},
        auth=("admin", "admin-pw"),
        timeout=60,
    )
    assert upload.status_code == 201, upload.text
    (made,) = (row for row in dump(tom2)["datums"] if row["target"] == name)
    assert (made["value"]["flux_units"], made["value"]["wavelength_units"]) == ("erg / (Angstrom s cm2)", "Angstrom")

    said = use(tom2, "publish", target=name, topic=TOPICS[0], title="t", submitter="alice")

    assert (said["status"], said["marked"]) == (200, 1), said
    (found,) = about(gateway, name)
    (row,) = content(found)["data"]["spectroscopy"]
    assert row.pop("wavelength") == pytest.approx([3500.0, 3501.5, 3503.0], rel=1e-12)
    assert datetime.fromisoformat(row.pop("date_obs")) == datetime.fromisoformat(made["timestamp"])
    assert row == {
        "target_name": name, "flux": [1.5e-16, 0.0, 2e-16], "flux_units": "erg / s / cm² / Å", "wavelength_units": "Å",
        "flux_type": "Fλ", "proprietary_period_units": "Days",
    }  # fmt: skip


def test_a_spectrum_without_units_goes_in_those_of_tom_toolkit(gateway: RunningGateway, tom2: Tom):
    name = next(names)
    old = {key: value for key, value in SPECTRUM.items() if "units" not in key}
    seed(tom2, target(name, datum(old, "spectroscopy")))

    said = use(tom2, "publish", target=name, topic=TOPICS[0], title="t", submitter="alice")

    assert said["status"] == 200, said
    (found,) = about(gateway, name)
    (row,) = content(found)["data"]["spectroscopy"]
    assert (row["flux_units"], row["wavelength_units"]) == ("erg / s / cm² / Å", "Å")


def test_a_limit_in_vega_magnitudes_stays_one(gateway: RunningGateway, tom2: Tom):
    """TOM Toolkit 2 says its unit in brightness_unit alone, and Hermes then calls the limit AB."""
    name = next(names)
    seed(tom2, target(name, datum(LIMIT | {"unit": "Vega mag"})))

    use(tom2, "publish", target=name, topic=TOPICS[0], title="t", submitter="alice")

    (found,) = about(gateway, name)
    (row,) = content(found)["data"]["photometry"]
    assert (row["limiting_brightness"], row["limiting_brightness_unit"]) == (20.5, "Vega mag")


def test_another_tom_reads_it_with_toolkits_own_handler(gateway: RunningGateway, tom2: Tom, toms: Toms):
    name = next(names)
    seed(tom2, target(name, datum(POINT), datum(LIMIT)))
    reader = toms.get("destination", TWO)
    seed(reader, {"fields": target(name)["fields"]})
    use(tom2, "publish", target=name, topic=TOPICS[0], title="t", submitter="alice")

    shared = [each for each in gateway.contents(TOPICS[0]) if each.get("data", {}).get("targets")]  # of all tests here
    contents = [each for each in shared if each["data"]["targets"][0]["name"] == name]
    assert use(reader, "read", contents=contents) == 2

    at = {row["value"]["filter"]: row["value"] for row in dump(reader)["datums"] if row["target"] == name}
    assert (at["rp"]["magnitude"], at["rp"]["unit"], at["gp"]["limit"]) == (18.125, "AB mag", 20.5)


def test_continuous_sharing_with_what_is_there_and_what_comes(gateway: RunningGateway, tom2: Tom):
    """A share of existing data names no submitter, and Hermes itself always refuses it."""
    name = next(names)
    pk = seed(tom2, target(name, datum(POINT)))[name]
    admin = ("admin", "admin-pw")
    share = {"target": pk, "destination": f"hermes:{TOPICS[0]}", "user": 1, "share_existing_data": True}

    answer = requests.post(f"{tom2.url}targets/persistentshare/", json=share, auth=admin, timeout=60)
    assert answer.status_code == 201, answer.text
    row = {"target": pk, "data_type": "photometry", "timestamp": "2024-03-02T05:06:07Z", "value": POINT | {"magnitude": 18.5}}
    answer = requests.post(f"{tom2.url}api/reduceddatums/", json=row, auth=admin, timeout=60)
    assert answer.status_code == 201, answer.text

    found = sorted(map(content, about(gateway, name)), key=lambda one: one["data"]["photometry"][0]["date_obs"])
    assert [[row["brightness"] for row in one["data"]["photometry"]] for one in found] == [[18.125], [18.5]]
    assert [one["submitter"] for one in found] == ["My TOM", TOM_NAME]
    assert {one["title"] for one in found} == {
        f"Setting up continuous sharing for {name} from {TOM_NAME}.",
        f"Updated data for {name} from {TOM_NAME}.",
    }


def test_the_forms_of_tom_toolkit_share_through_it(gateway: RunningGateway, tom2: Tom):
    name = next(names)
    pk = seed(tom2, target(name))[name]
    form = {
        "share_destination": f"hermes:{TOPICS[0]}", "share_title": "By hand", "share_message": "", "submitter": "alice",
        "target": pk,
    }  # fmt: skip

    said = use(tom2, "post", name="targets:share", target=name, user="alice", form=form)

    assert said["said"] == ["Submitted message succesfully"]
    (found,) = about(gateway, name)
    assert header(found.record.headers, "title") == b"By hand"


def test_open_in_hermes_leads_to_a_page_that_publishes_the_draft(gateway: RunningGateway, tom2: Tom):
    name = next(names)
    seed(tom2, target(name, datum(POINT)))
    pk = next(row["pk"] for row in dump(tom2)["datums"] if row["target"] == name)
    form = {"share_destination": f"hermes:{TOPICS[0]}", "submitter": "alice", "share-box": [pk]}

    said = use(tom2, "post", name="targets:hermes-preload", target=name, user="alice", form=form)

    assert said["status"] == 302
    assert said["location"].startswith(f"{gateway.url}submit-message?id=")
    assert about(gateway, name) == []
    publish_on(said["location"], f"Publish to {TOPICS[0]}")
    (found,) = about(gateway, name)
    assert content(found)["data"]["photometry"][0]["brightness"] == 18.125


def publish_on(location: str, button: str) -> None:
    """Press the button on a draft's page."""
    page = requests.get(location, timeout=30)
    assert page.status_code == 200
    assert f">{button}</button>" in page.text, page.text
    form = {name: html.unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text)}
    answer = requests.post(location.partition("?")[0], data=form, timeout=30)
    assert (answer.status_code, answer.url) == (200, location)
    assert "Published" in answer.text


def test_tom_hermes_shares_all_that_a_target_has_and_what_cannot_go_is_left_out_by_hand(gateway: RunningGateway, tom3: Tom):
    """tom_hermes stores drafts and nothing else, and chooses no rows; a brightness of 0.0 is none to it, nor to Hermes."""
    name = next(names)
    old = {key: value for key, value in SPECTRUM.items() if "units" not in key} | {"instrument": "x"}
    zero = POINT | {"magnitude": 0.0, "filter": "B"}
    seed(
        tom3, target(name, datum(POINT), datum(LIMIT), datum(zero), datum(SPECTRUM, "spectroscopy"), datum(old, "spectroscopy"))
    )
    form = {"hermes_topic": TOPICS[0], "submitter": "alice", "message_title": "From 3.1"}

    said = use(tom3, "post", name="tom_hermes:target-preload", target=name, user="alice", form=form)

    assert said["status"] == 302
    page = requests.get(said["location"], timeout=30).text
    refused = re.findall(r"<li>(data\.[^<]*)</li>", page)
    assert {place.partition("[")[0] for place in refused} == {"data.photometry"}
    publish_on(said["location"], re.findall(r">(Publish to [^<]*)</button>", page)[0])
    (found,) = about(gateway, name)
    shared = content(found)
    assert (shared["title"], shared["submitter"], shared["data"]["targets"][0]["name"]) == ("From 3.1", "alice", name)
    rows = [(row.get("brightness"), row.get("limiting_brightness")) for row in shared["data"]["photometry"]]
    assert rows == [(18.125, None), (None, 20.5)]
    spectra = [(row["instrument"], row["flux_units"], row["wavelength_units"]) for row in shared["data"]["spectroscopy"]]
    assert sorted(spectra) == [("FLOYDS", "erg / s / cm² / Å", "Å"), ("x", "erg / s / cm² / Å", "Å")]


def test_a_wrong_key_publishes_nothing(gateway: RunningGateway):
    name = next(names)
    message = {"title": "t", "topic": TOPICS[0], "submitter": "s", "data": {"targets": [{"name": name, "ra": 1, "dec": 2}]}}
    url = f"{gateway.url}api/v0/submit_message/"

    for key, status in ((KEY[:-1], 401), ("None", 401), (OTHER_KEY, 200)):
        answer = requests.post(url, json=message, headers={"Authorization": f"Token {key}"}, timeout=30)
        assert answer.status_code == status, key

    (found,) = about(gateway, name)
    assert header(found.record.headers, "_sender") == b"other-tom"


def test_another_clients_topic_and_an_unknown_one_are_refused(gateway: RunningGateway, tom2: Tom):
    name = next(names)
    seed(tom2, target(name, datum(POINT)))

    said = use(tom2, "publish", target=name, topic="tom.nowhere", title="t", submitter="alice")

    assert said["status"] == 403
    assert "You do not have permission to write to topic tom.nowhere" in said["said"]
    assert said["marked"] == 0
    message = {"title": "t", "topic": TOPICS[1], "submitter": "s"}
    headers = {"Authorization": f"Token {OTHER_KEY}"}
    answer = requests.post(f"{gateway.url}api/v0/submit_message/", json=message, headers=headers, timeout=30)
    assert answer.status_code == 403


def test_what_hermes_rules_refuse_is_told_by_the_tom(gateway: RunningGateway, tom2: Tom):
    name = next(names)
    seed(tom2, target(name, datum(POINT | {"magnitude": 0.0})))

    said = use(tom2, "publish", target=name, topic=TOPICS[0], title="t", submitter="alice")

    assert (said["status"], said["marked"]) == (400, 0)
    assert "brightness or limiting_brightness are required" in said["said"]
    assert about(gateway, name) == []


def test_more_than_the_topic_takes_is_413(gateway: RunningGateway, tom2: Tom):
    name = next(names)
    numbers = [round((number * 7919 % 104729) / 7.0, 9) for number in range(20_000)]
    seed(tom2, target(name, datum(SPECTRUM | {"flux": numbers, "wavelength": numbers}, "spectroscopy")))

    said = use(tom2, "publish", target=name, topic=TOPICS[1], title="t", submitter="alice")

    assert (said["status"], said["marked"]) == (413, 0)
    assert "larger than topic tom.gateway.small takes" in said["said"]
    assert use(tom2, "publish", target=name, topic=TOPICS[0], title="t", submitter="alice")["status"] == 200


def test_a_topic_that_is_gone_is_no_reason_to_hold_back_the_others(gateway: RunningGateway, apache_kafka: ApacheKafka):
    apache_kafka.delete_topic(GONE)
    headers = {"Authorization": f"Token {KEY}"}
    url = f"{gateway.url}api/v0/submit_message/"

    answers = [
        requests.post(url, json={"title": "t", "topic": topic, "submitter": "s"}, headers=headers, timeout=30)
        for topic in (GONE, TOPICS[0])
    ]

    assert [answer.status_code for answer in answers] == [503, 200]
    assert "topic does not exist" in gateway.lines[-2]["why"]


def test_nothing_is_acknowledged_while_the_broker_is_dead_and_all_is_well_when_it_is_back(
    gateway: RunningGateway, tom2: Tom, apache_kafka: ApacheKafka
):
    first, second, third = (next(names) for _each in range(3))
    for name in (first, second, third):
        seed(tom2, target(name, datum(POINT)))

    def publish(name: str) -> dict[str, Any]:
        return dict(use(tom2, "publish", target=name, topic=TOPICS[0], title="t", submitter="alice"))

    assert publish(first)["status"] == 200
    apache_kafka.kill()
    try:
        said = publish(second)
        assert (said["status"], said["marked"]) == (503, 0)
        assert "does not count as published" in said["said"]
        began = time.monotonic()
        message = {"title": "t", "topic": TOPICS[0], "submitter": "s"}
        headers = {"Authorization": f"Token {KEY}"}
        answer = requests.post(f"{gateway.url}api/v0/submit_message/", json=message, headers=headers, timeout=30)
        assert answer.status_code == 503
        assert time.monotonic() - began < 2.0, "a TOM does not wait for a broker that is known to be away"
        assert requests.get(f"{gateway.url}healthz", timeout=30).status_code == 503
    finally:
        apache_kafka.start()
    deadline = time.monotonic() + 60
    while requests.get(f"{gateway.url}healthz", timeout=30).status_code != 200:
        assert time.monotonic() < deadline, gateway.log

    said = publish(third)

    assert (said["status"], said["marked"]) == (200, 1)
    assert len(about(gateway, first)) == len(about(gateway, third)) == 1
    assert publish(second)["status"] == 200, "it was not marked as shared, so it can be shared again"
    assert about(gateway, second)


def test_each_request_is_one_line_and_none_has_a_key(gateway: RunningGateway):
    title = f"canary {next(names)}"
    good = {"title": title, "topic": TOPICS[0], "submitter": "s"}
    before = len(gateway.lines)

    for key, message in (
        (KEY, good),
        (KEY[:-1], good),
        (KEY, good | {"submitter": [1]}),
        (OTHER_KEY, good | {"topic": TOPICS[1]}),
    ):
        headers = {"Authorization": f"Token {key}"}
        requests.post(f"{gateway.url}api/v0/submit_message/", json=message, headers=headers, timeout=30)

    lines = gateway.lines[before:]
    assert [(line.get("client"), line["outcome"]) for line in lines] == [
        ("my-tom", "published"), (None, "unknown_key"), ("my-tom", "invalid"), ("other-tom", "not_writable"),
    ]  # fmt: skip
    assert "canary" not in gateway.log


def test_check_says_whether_the_gateways_topics_are_there_and_writable(apache_kafka: ApacheKafka, tmp_path: Path):
    there = next(names)
    apache_kafka.create_topic(there)
    config = RunningGateway(tmp_path, bootstrap=apache_kafka.bootstrap, topics=[there, "tom.not.there"]).config

    said = CliRunner().invoke(app, ["check", "--config", str(config)])

    assert said.exit_code == 1
    lines = {line.split()[0]: line for line in said.stdout.splitlines() if "gateway, client" in line}
    assert f"topic share-stream:{there}: 1 partitions, readable and writable" in lines["ok"]
    assert "(gateway, client my-tom; gateway, client other-tom)" in lines["ok"]
    assert "topic share-stream:tom.not.there: does not exist (gateway, client my-tom); create it" in lines["wrong"]
    assert "canary" not in said.output


def test_a_gateway_whose_topic_is_missing_says_how_to_create_it(apache_kafka: ApacheKafka, tmp_path: Path):
    gateway = RunningGateway(tmp_path, bootstrap=apache_kafka.bootstrap, topics=["tom.not.there"])

    with pytest.raises(AssertionError, match="the gateway ended"):
        gateway.start()

    assert "tom-bridge topics create share-stream:tom.not.there" in gateway.log


def test_a_gateway_starts_without_its_broker_and_says_so(tmp_path: Path):
    with running_gateway(tmp_path, bootstrap="127.0.0.1:9", topics=["tom.shares"]) as gateway:
        assert requests.get(f"{gateway.url}healthz", timeout=30).status_code == 503
        headers = {"Authorization": f"Token {KEY}"}
        assert requests.get(f"{gateway.url}api/v0/profile/", headers=headers, timeout=30).json()["writable_topics"]
        message = {"title": "t", "topic": "tom.shares", "submitter": "s"}
        answer = requests.post(f"{gateway.url}api/v0/submit_message/", json=message, headers=headers, timeout=30)
        assert answer.status_code == 503
        assert "broker is away" in gateway.log
