"""Fills a TOM with targets: run inside it by `Tom.run_script`, with the name and alias of each, and who may change them."""

import json
import sys

from django.contrib.auth.models import Permission, User
from django.db import transaction
from tom_targets.models import Target, TargetName

BATCH = 500


def main(names: list[tuple[str, str]], username: str) -> list[int]:
    """Create targets, and return their primary keys."""
    with transaction.atomic():
        targets = [Target(name=name, type="SIDEREAL", ra=n * 0.01 % 360, dec=20.0) for n, (name, _alias) in enumerate(names)]
        Target.objects.bulk_create(targets, batch_size=BATCH)
        keys = dict(Target.objects.values_list("name", "pk"))
        TargetName.objects.bulk_create((TargetName(target_id=keys[name], name=alias) for name, alias in names), BATCH)
        # As the docs tell an administrator: rights on all targets, those to come included.
        wanted = ("view_target", "change_target")
        rights = Permission.objects.filter(content_type__app_label="tom_targets", codename__in=wanted)
        User.objects.get(username=username).user_permissions.add(*rights)
    return [keys[name] for name, _alias in names]


if __name__ == "__main__":
    print(f"TOM-RESULT {json.dumps(main(**json.load(sys.stdin)))}")
