"""Run scripts inside a TOM's Django one after another, as `Tom.run_script` runs each: see `tests.support.inside`.

Each line on standard input is the JSON of a script's path and payload; each line on standard output that of what it
printed, or of how it failed.
"""

import io
import json
import os
import runpy
import sys
import traceback

import django
from django.db import connections

requests, replies = sys.stdin, os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what else is printed is no reply
django.setup()
for line in requests:
    path, payload = json.loads(line)
    sys.stdin, sys.stdout = io.StringIO(json.dumps(payload)), io.StringIO()
    reply = {}
    try:
        runpy.run_path(path, run_name="__main__")
    except BaseException:  # noqa: BLE001  the test that asked is to see it, whatever it is
        reply["failure"] = traceback.format_exc()
    connections.close_all()  # nothing is held in between, and a database that was restarted meanwhile is met anew
    print(json.dumps(reply | {"output": sys.stdout.getvalue()}), file=replies, flush=True)
