"""What programs do inside a TOM's Django - brokers, pipelines, an administrator's shell: run by `Ingest.run`.

The payload is ``{"do": name, ...}`` with the name of one of the functions in `ACTIONS` and its arguments, and the result is
what that returns. Targets are named by primary key. The models of datums are those of the TOM's own version.
"""

import json
import sys
from datetime import UTC, datetime, timedelta

from django.contrib.auth.models import Permission, User
from django.db import transaction
from tom_dataproducts import models as data
from tom_targets.models import PersistentShare, Target, TargetExtra, TargetList, TargetName

TYPED = hasattr(data, "PhotometryReducedDatum")
"""Whether there is a model for each kind of datum, as in 3.x."""
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


def create_target(name, ra, dec, aliases=(), extras=None, lists=(), owners=()):
    target = Target.objects.create(name=name, type="SIDEREAL", ra=ra, dec=dec)
    for owner in owners:
        target.give_user_access(User.objects.get(username=owner))
    change_target(target.pk, aliases=aliases, extras=extras, lists=lists)
    return target.pk


def change_target(target, aliases=(), extras=None, lists=(), fields=None):
    found = Target.objects.get(pk=target)
    for name, value in (fields or {}).items():
        setattr(found, name, value)
    if fields:
        found.save()
    for alias in aliases:
        TargetName.objects.create(target=found, name=alias)
    for key, value in (extras or {}).items():
        TargetExtra.objects.update_or_create(target=found, key=key, defaults={"value": value})
    for list_name in lists:
        TargetList.objects.get_or_create(name=list_name)[0].targets.add(found)


def delete_target(target):
    Target.objects.get(pk=target).delete()


def save_datums(target, datums):
    """Save one at a time: ``{"timestamp", "value" (as in 2.x), "data_type", "source_name"}``. Return primary keys."""
    made = [build_datum(target, **datum) for datum in datums]
    for datum in made:
        datum.save()
    return [datum.pk for datum in made]


def build_datum(target, timestamp, value, data_type="photometry", source_name="Pipeline"):
    fields = {
        "target": Target.objects.get(pk=target),
        "data_type": data_type,
        "timestamp": datetime.fromisoformat(timestamp),
        "value": value,
        "source_name": source_name,
    }
    return data.try_parse_reduced_datum(fields) if TYPED else data.ReducedDatum(**fields)


def get_or_create_datum(target, number=0):
    """Do as a broker module does, which asks whether it has the datum. Return whether it was new."""
    return photometry_model().objects.get_or_create(**photometry_fields(Target.objects.get(pk=target), number))[1]


def bulk_create_photometry(target, count, first=0, ignore_conflicts=TYPED):
    """Add many magnitudes at once, without a signal. Return the rows there are of them, and the keys Django was told.

    With ``ignore_conflicts`` - what 3.x's own data processor uses, and 2.x's does not - Django is told no keys.
    """
    found = Target.objects.get(pk=target)
    model = photometry_model()
    made = [model(**photometry_fields(found, number)) for number in range(first, first + count)]
    made = model.objects.bulk_create(made, ignore_conflicts=ignore_conflicts)
    rows = model.objects.filter(target=found, source_name="Broker").count()
    return {"rows": rows, "pks": [datum.pk for datum in made]}


def photometry_model():
    return data.PhotometryReducedDatum if TYPED else data.ReducedDatum


def photometry_fields(target, number):
    common = {"target": target, "timestamp": BEGIN + timedelta(minutes=number), "source_name": "Broker"}
    magnitude = 15 + number / 1000
    if TYPED:
        return common | {"brightness": magnitude, "brightness_error": 0.25, "bandpass": "r"}
    return common | {"data_type": "photometry", "value": {"magnitude": magnitude, "error": 0.25, "filter": "r"}}


def create_persistent_share(target, destination, user):
    owner = User.objects.get(username=user)
    return PersistentShare.objects.create(target=Target.objects.get(pk=target), destination=destination, user=owner).pk


def allow_persistent_shares(user):
    """Give an ordinary user what an administrator has to give before the page offers them the form."""
    permissions = Permission.objects.filter(content_type__app_label=PersistentShare._meta.app_label)
    User.objects.get(username=user).user_permissions.add(*permissions.filter(content_type__model="persistentshare"))


def each(steps):
    """Do the steps, which are payloads of their own, one after another: a process takes longer to start than most take."""
    return [act(step) for step in steps]


def committed(steps):
    """Do the steps in one transaction; inside of one, at a savepoint."""
    with transaction.atomic():
        return each(steps)


def rolled_back(steps):
    """Do the steps in a transaction, or at a savepoint, that is undone in the end."""
    with transaction.atomic():
        results = each(steps)
        transaction.set_rollback(True)
    return results


def execute(code, arguments):
    """Run Python code that reads ``arguments`` and sets ``result``."""
    names = {"arguments": arguments, "result": None}
    exec(compile(code, "<test>", "exec"), names)
    return names["result"]


ACTIONS = {
    action.__name__: action
    for action in (
        allow_persistent_shares,
        bulk_create_photometry,
        change_target,
        committed,
        create_persistent_share,
        create_target,
        delete_target,
        each,
        execute,
        get_or_create_datum,
        rolled_back,
        save_datums,
    )
}


def act(payload):
    arguments = dict(payload)
    return ACTIONS[arguments.pop("do")](**arguments)


if __name__ == "__main__":
    sys.stdout.write(f"TOM-RESULT {json.dumps(act(json.load(sys.stdin)))}\n")
