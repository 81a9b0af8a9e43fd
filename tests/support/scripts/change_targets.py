"""Change targets as people do at a TOM: run inside a TOM by `Tom.run_script`.

The payload is a list of ``[what, target's name, argument]``; ``what`` is one of the functions below.
"""

import json
import sys

from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from guardian.shortcuts import assign_perm, remove_perm
from tom_targets.merge import target_merge
from tom_targets.models import Target, TargetName

APP = Target._meta.app_label


def rename(target, name):
    target.name = name
    target.save()


def alias(target, name):
    TargetName.objects.create(target=target, name=name)


def move(target, dec):
    target.dec = dec
    target.save()


def delete(target, _):
    target.delete()


def merge(target, into):
    target_merge(Target.objects.get(name=into), target)


def hide(target, username):
    for action in ("view", "change", "delete"):
        remove_perm(f"{APP}.{action}_target", User.objects.get(username=username), target)


def only_show(target, username):
    hide(target, username)
    assign_perm(f"{APP}.view_target", User.objects.get(username=username), target)


def show(target, username):
    target.give_user_access(User.objects.get(username=username))


def end_sessions(_target, _):
    Session.objects.all().delete()


for what, name, argument in json.load(sys.stdin):
    globals()[what](Target.objects.filter(name=name).first(), argument)
print("TOM-RESULT null")
