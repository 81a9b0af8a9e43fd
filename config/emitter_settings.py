"""An example: what the administrator of a TOM that emits adds to its settings.py. See docs/tom-administrators.md."""  # noqa: INP001

import os

INSTALLED_APPS = [
    # ... what is there already ...
    "bridge.emitter",
]

TOM_NAME = "My TOM"

DATA_SHARING = {
    # ... what is there already ...
    "share-stream": {
        "DISPLAY_NAME": "Our share stream",
        "BASE_URL": "kafka://kafka.example.org:9093/",
        "USERNAME": "my-tom",
        "PASSWORD": os.getenv("SHARE_STREAM_PASSWORD", ""),
        "USER_TOPICS": ["tom.shares"],
        "DEFAULT_AUTHORS": "A. Astronomer and the collaboration",
        "SOURCE_URL": "https://my-tom.org/",
        # "continuous" (the default): targets that somebody shares continuously. "manual": only what is shared by hand.
        "EMIT": "all",
        "EMIT_GROUPS": ["Collaboration"],
    },
}

# How the emitter works; these are the defaults, and most TOMs need none of it.
TOM_BRIDGE = {
    "QUIET_SECONDS": 2,
    "LONGEST_WAIT_SECONDS": 30,
    "KEEP_PUBLISHED_DAYS": 7,
    "RELAY_IN_WEB_PROCESS": False,
}
