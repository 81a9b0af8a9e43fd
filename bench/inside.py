"""Works inside a TOM's Django until its standard input ends: a JSON command a line, a JSON answer a line (`bench.toms.Inside`).

A command is ``{"do": name, ...}`` with the name of one of the functions in `ACTIONS` and its arguments. Targets are named by
primary key; datums are of the model that the TOM's own version has for photometry.
"""

import json
import platform
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import django
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection
from tom_dataproducts import models as data
from tom_dataproducts import sharing
from tom_targets.models import PersistentShare, Target

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
TYPED = hasattr(data, "PhotometryReducedDatum")
"""Whether there is a model for each kind of datum, as in 3.x."""


def versions() -> dict[str, str]:
    """Return what works here."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT sqlite_version()" if connection.vendor == "sqlite" else "SHOW server_version")
        database = f"{'SQLite' if connection.vendor == 'sqlite' else 'PostgreSQL'} {cursor.fetchone()[0].split()[0]}"
    return {"python": platform.python_version(), "django": django.get_version(), "database": database}


def create_targets(names: list[str], destination: str = "") -> list[int]:
    """Create targets, shared continuously with a destination if one is named; return their primary keys."""
    owner, pks = User.objects.filter(is_superuser=True).first(), []
    for number, name in enumerate(names):
        target = Target.objects.create(name=name, type="SIDEREAL", ra=10.0 + number / 10, dec=20.0)
        if destination:
            PersistentShare.objects.create(target=target, destination=destination, user=owner)
        pks.append(target.pk)
    return pks


def save(targets: list[int], count: int, first: int, warm_up_seconds: float = 0.0) -> dict[str, Any]:
    """Save datums one by one, of each target in turn; return how long each took in ms, and how many raised an error.

    Before those, others are saved for some time and not counted. ``next`` in the answer is the first number not used.
    """
    found = [Target.objects.get(pk=pk) for pk in targets]
    number, taken, failures = first, [], 0
    warm = time.perf_counter() + warm_up_seconds
    while time.perf_counter() < warm:
        _build(found[number % len(found)], number).save()
        number += 1
    for _ in range(count):
        datum = _build(found[number % len(found)], number)
        number += 1
        began = time.perf_counter()
        try:
            datum.save()
        except Exception as error:  # noqa: BLE001  whatever the user of the TOM would see
            print(f"saving failed: {error!r}"[:500], file=sys.stderr)
            failures += 1
        taken.append((time.perf_counter() - began) * 1e3)
    return {"ms": taken, "failures": failures, "next": number}


def bulk_create(target: int, count: int) -> dict[str, Any]:
    """Save datums at once, as 2.x and 3.x process a data product; return how long it took in ms."""
    found = Target.objects.get(pk=target)
    datums = [_build(found, number) for number in range(count)]
    began = time.perf_counter()
    type(datums[0]).objects.bulk_create(datums, ignore_conflicts=TYPED)
    return {"ms": [(time.perf_counter() - began) * 1e3], "failures": 0}


def share_with_tom(destination: str, target: int, count: int, first: int) -> dict[str, Any]:
    """Share datums of a target as TOM Toolkit does; return the seconds from the first request with one to the last answer."""
    found = Target.objects.get(pk=target)
    datums = [_build(found, number) for number in range(first, first + count)]
    for datum in datums:
        datum.save()
    times: list[float] = []

    def timed(*arguments: Any, **more: Any) -> Any:
        times.append(time.perf_counter())
        answer = post(*arguments, **more)
        times.append(time.perf_counter())
        return answer

    post, sharing.requests.post = sharing.requests.post, timed
    try:
        answer = sharing.share_data_with_tom(destination, {}, selected_data=[datum.pk for datum in datums])
    finally:
        sharing.requests.post = post
    if not answer["message"].startswith(f"{count} of {count} "):
        raise RuntimeError(f"sharing failed: {answer}")
    return {"seconds": times[-1] - times[0]}


def waiting() -> int:
    """Return how much the relay has still to do."""
    change, outbox = apps.get_model("bridge_emitter", "Change"), apps.get_model("bridge_emitter", "OutboxEvent")
    return int(change.objects.count() + outbox.objects.filter(published_at=None).count())


def _build(target: Target, number: int) -> Any:
    common = {"target": target, "timestamp": BEGIN + timedelta(minutes=number), "source_name": "Bench"}
    magnitude = 15 + number % 5000 / 1000
    if TYPED:
        return data.PhotometryReducedDatum(**common, brightness=magnitude, brightness_error=0.25, bandpass="r")
    return data.ReducedDatum(
        **common, data_type="photometry", value={"magnitude": magnitude, "error": 0.25, "filter": "r", "number": number}
    )


ACTIONS = {action.__name__: action for action in (bulk_create, create_targets, save, share_with_tom, versions, waiting)}

if __name__ == "__main__":
    for line in sys.stdin:
        command = json.loads(line)
        answer = ACTIONS[command.pop("do")](**command)
        print(f"TOM-RESULT {json.dumps(answer)}", flush=True)
