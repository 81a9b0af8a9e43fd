"""Tell how many lists of each name a TOM has: run inside a TOM by `Tom.run_script`."""

import json
import sys

from tom_targets.models import TargetList

print("TOM-RESULT " + json.dumps({name: TargetList.objects.filter(name=name).count() for name in json.load(sys.stdin)}))
