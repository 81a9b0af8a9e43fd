"""Migrate a TOM's database if asked, and create its users and groups: run inside a TOM by `Tom.run_script`.

The payload is ``{"migrate": bool, "superusers": {name: password}, "users": {name: password},
"groups": {group: [names]}}``.
"""

import json
import sys

from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import transaction


def main(payload):
    if payload["migrate"]:
        call_command("migrate", interactive=False, verbosity=0)
    with transaction.atomic():
        for name, password in payload["superusers"].items():
            User.objects.create_superuser(name, f"{name}@example.org", password)
        for name, password in payload["users"].items():
            User.objects.create_user(name, f"{name}@example.org", password)
        for group_name, members in payload["groups"].items():
            group, _ = Group.objects.get_or_create(name=group_name)
            group.user_set.add(*User.objects.filter(username__in=members))


main(json.load(sys.stdin))
print("TOM-RESULT null")
