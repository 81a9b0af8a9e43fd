"""Tell everything in a TOM that sharing concerns, in one shape for 2.x and 3.x: run inside a TOM by `Tom.run_script`.

The payload is null, ``{"only_counts": true}`` for the table sizes alone, or ``{"target": name}`` to have of datums and
data products those of that target alone. The result:

targets        every field of the model (floats exact, times ISO), and aliases, extras, lists, groups and owners
               (names of who has the view permission on the object)
target_lists   name -> names of its targets; lists of the same name are told together
datums         of all models: model, pk, target (name), data_type, timestamp (UTC, microseconds), source_name,
               source_location, data_product (its product_id), data_product_pk, and value: the JSON in 2.x; every
               typed column and the JSON as ``value`` in 3.x
data_products  pk, product_id, target, data_product_type, extra_data, filename, sha256, size, datums (their number)
counts         table -> rows
"""
# ruff: noqa: SLF001 - Django documents _meta for others to use

import hashlib
import json
import sys
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import PurePosixPath

from django.contrib.auth.models import Group, User
from guardian.models import GroupObjectPermission, UserObjectPermission
from tom_dataproducts import models as data
from tom_targets.models import PersistentShare, Target, TargetExtra, TargetList, TargetName

DATUM_MODELS = getattr(data, "REDUCED_DATUM_MODELS", (data.ReducedDatum,))
TYPED = len(DATUM_MODELS) > 1
ENVELOPE = {"id", "target", "data_product", "timestamp", "source_name", "source_location", "data_type"}
COUNTED = (
    Target,
    TargetName,
    TargetExtra,
    TargetList,
    TargetList.targets.through,
    PersistentShare,
    data.DataProduct,
    *DATUM_MODELS,
    UserObjectPermission,
    GroupObjectPermission,
    Group,
    User,
    User.groups.through,
)


def main(payload):
    counts = {model._meta.label: model.objects.count() for model in COUNTED}
    if (payload or {}).get("only_counts"):
        return {"counts": counts}
    chosen = {"target__name": payload["target"]} if (payload or {}).get("target") else {}
    return {
        "targets": dump_targets(),
        "target_lists": dump_target_lists(),
        "datums": dump_datums(chosen),
        "data_products": dump_data_products(chosen),
        "counts": counts,
    }


def plain(value):
    return value.astimezone(UTC).isoformat(timespec="microseconds") if isinstance(value, datetime) else value


def fields_of(instance, leave_out=()):
    names = [field.name for field in instance._meta.concrete_fields if field.name not in leave_out]
    return {name: plain(getattr(instance, name)) for name in names if name != "basetarget_ptr"}


def collect(rows):
    """Turn (target id, name) rows into target id -> sorted names."""
    names = defaultdict(list)
    for target_id, name in rows:
        names[int(target_id)].append(name)
    return {target_id: sorted(found) for target_id, found in names.items()}


def viewers(permissions, name):
    granted = permissions.objects.filter(
        content_type__app_label=Target._meta.app_label,
        content_type__model=Target._meta.model_name,
        permission__codename="view_target",
    )
    return collect(granted.values_list("object_pk", name))


def dump_targets():
    aliases = collect(TargetName.objects.values_list("target_id", "name"))
    lists = collect(TargetList.objects.filter(targets__isnull=False).values_list("targets__id", "name"))
    groups = viewers(GroupObjectPermission, "group__name")
    owners = viewers(UserObjectPermission, "user__username")
    extras = defaultdict(dict)
    for target_id, key, value in TargetExtra.objects.values_list("target_id", "key", "value"):
        extras[target_id][key] = value
    return [
        fields_of(target)
        | {
            "aliases": aliases.get(target.pk, []),
            "extras": extras.get(target.pk, {}),
            "lists": lists.get(target.pk, []),
            "groups": groups.get(target.pk, []),
            "owners": owners.get(target.pk, []),
        }
        for target in Target.objects.order_by("pk")
    ]


def dump_target_lists():
    names = {name: [] for name in TargetList.objects.values_list("name", flat=True)}
    for list_name, target_name in TargetList.objects.filter(targets__isnull=False).values_list("name", "targets__name"):
        names[list_name].append(target_name)
    return {name: sorted(members) for name, members in sorted(names.items())}


def dump_datums(chosen):
    return [
        {
            "model": model.__name__,
            "pk": datum.pk,
            "target": datum.target.name,
            "data_type": getattr(datum, "data_type", model.__name__.removesuffix("ReducedDatum").lower()),
            "timestamp": plain(datum.timestamp),
            "source_name": datum.source_name,
            "source_location": datum.source_location,
            "data_product": datum.data_product.product_id if datum.data_product else None,
            "data_product_pk": datum.data_product_id,
            "value": fields_of(datum, leave_out=ENVELOPE) if TYPED else datum.value,
        }
        for model in DATUM_MODELS
        for datum in model.objects.filter(**chosen).select_related("target", "data_product").order_by("pk")
    ]


def dump_data_products(chosen):
    made = Counter()
    for model in DATUM_MODELS:
        made.update(model.objects.exclude(data_product=None).values_list("data_product_id", flat=True))
    return [
        {
            "pk": product.pk,
            "product_id": product.product_id,
            "target": product.target.name,
            "data_product_type": product.data_product_type,
            "extra_data": product.extra_data,
            "filename": PurePosixPath(product.data.name).name if product.data else None,
            **digest(product),
            "datums": made[product.pk],
        }
        for product in data.DataProduct.objects.filter(**chosen).select_related("target").order_by("pk")
    ]


def digest(product):
    if not product.data:
        return {"sha256": None, "size": None}
    with product.data.open("rb") as file:
        return {"sha256": hashlib.file_digest(file.file, "sha256").hexdigest(), "size": product.data.size}


print("TOM-RESULT " + json.dumps(main(json.load(sys.stdin))))
