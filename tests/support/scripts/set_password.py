"""Give an account another password, and end its sessions and tokens: run inside a TOM by `Tom.run_script`."""

import json
import sys

from django.contrib.auth.models import User

payload = json.load(sys.stdin)
user = User.objects.get(username=payload["user"])
user.set_password(payload["password"])
user.save()
try:
    from rest_framework.authtoken.models import Token

    Token.objects.filter(user=user).delete()
except Exception:  # noqa: BLE001  2.x has no such table
    pass
print("TOM-RESULT true")
