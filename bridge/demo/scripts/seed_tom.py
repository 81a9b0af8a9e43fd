"""Fill a TOM with targets and their data through its own models: run inside a TOM by `Tom.run_script`.

The payload is ``{"targets": [target, ...]}``, and a target has, all but ``fields`` optional:

fields      the Target model's fields
aliases     names
extras      key -> value
lists       names of target lists, made when they are not there
owners      users who may view, change and delete it
groups      groups who may do the same
datums      ``{"data_type", "timestamp" (ISO), "value" (as TOM Toolkit 2.x has it), "source_name", "source_location"}``
products    ``{"data_product_type", "filename", "content_base64", "product_id", "extra_data"}``; photometry and
            spectroscopy go through the TOM's data processor

The result is ``{"targets": {name: id}, "datums": count, "products": count}``; datums of products are not in the count.
All of it is written, or, when something is refused, none (files of products may stay behind).
"""
# ruff: noqa: SLF001 - Django documents _meta for others to use

import base64
import json
import sys
from datetime import UTC, datetime

from django.contrib.auth.models import Group, User
from django.core.files.base import ContentFile
from django.db import transaction
from guardian.shortcuts import assign_perm
from tom_dataproducts import models as data
from tom_dataproducts.data_processor import run_data_processor
from tom_targets.models import Target, TargetExtra, TargetList, TargetName

PROCESSED_TYPES = ("photometry", "spectroscopy")
ACTIONS = ("view", "change", "delete")


def main(payload):
    result = {"targets": {}, "datums": 0, "products": 0}
    with transaction.atomic():
        for wanted in payload["targets"]:
            target = create_target(wanted)
            result["targets"][target.name] = target.pk
            for datum in wanted.get("datums", ()):
                create_datum(target, datum)
                result["datums"] += 1
            for product in wanted.get("products", ()):
                create_product(target, product)
                result["products"] += 1
    return result


def create_target(wanted):
    target = Target(**wanted["fields"])
    target.save()
    for name in wanted.get("aliases", ()):
        TargetName.objects.create(target=target, name=name)
    for key, value in wanted.get("extras", {}).items():
        TargetExtra.objects.update_or_create(target=target, key=key, defaults={"value": value})
    for name in wanted.get("lists", ()):
        TargetList.objects.get_or_create(name=name)[0].targets.add(target)
    for name in wanted.get("owners", ()):
        target.give_user_access(User.objects.get(username=name))
    for name in wanted.get("groups", ()):
        for action in ACTIONS:
            assign_perm(f"{Target._meta.app_label}.{action}_target", Group.objects.get(name=name), target)
    return target


def create_datum(target, datum):
    timestamp = datetime.fromisoformat(datum["timestamp"])
    fields = {
        "target": target,
        "data_type": datum["data_type"],
        "timestamp": timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC),
        "value": dict(datum["value"]),
        "source_name": datum.get("source_name", ""),
        "source_location": datum.get("source_location", ""),
    }
    if hasattr(data, "try_parse_reduced_datum"):  # 3.x, which has a model for each kind of datum
        data.try_parse_reduced_datum(fields).save()
    else:
        data.ReducedDatum(**fields).save()


def create_product(target, product):
    record = data.DataProduct(
        target=target,
        product_id=product.get("product_id"),
        data_product_type=product["data_product_type"],
        extra_data=product.get("extra_data") or "",
    )
    record.data.save(product["filename"], ContentFile(base64.b64decode(product["content_base64"])), save=True)
    if record.data_product_type in PROCESSED_TYPES:
        run_data_processor(record)


print("TOM-RESULT " + json.dumps(main(json.load(sys.stdin))))
