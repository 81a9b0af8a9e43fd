"""Give an account and a group all rights on targets that a crash left without: run inside a TOM by `Tom.run_script`.

It is what the docs tell a TOM's administrator to do. Prints the names of those targets.
"""

import json
import sys

from django.contrib.auth.models import Group, User
from guardian.shortcuts import assign_perm
from tom_targets.models import Target

wanted = json.load(sys.stdin)
user, group = User.objects.get(username=wanted["username"]), Group.objects.get(name=wanted["group"])
mended = []
for target in Target.objects.filter(name__startswith=wanted["prefix"]):
    rights = [f"{target._meta.app_label}.{action}_{target._meta.model_name}" for action in ("view", "change", "delete")]
    if all(who.has_perm(right, target) for who in [user] for right in rights):
        continue
    mended.append(target.name)
    for right in rights:
        assign_perm(right, user, target)
        assign_perm(right, group, target)
print("TOM-RESULT " + json.dumps(mended))
