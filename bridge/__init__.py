"""The TOM stream bridge: targets and data travel between TOMs as share events over Kafka.

``bridge.subscribe`` and ``bridge.publish`` are its Python interface; see docs/python.md. They are loaded when they are used.
"""

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bridge.observe.filters import Where
    from bridge.subscribing import Events, publish, rows, subscribe

__all__ = ["Events", "Where", "__version__", "publish", "rows", "subscribe"]

__version__ = version("tom-bridge")

_FOUND_IN = {
    "Events": "bridge.subscribing",
    "Where": "bridge.observe.filters",
    "publish": "bridge.subscribing",
    "rows": "bridge.subscribing",
    "subscribe": "bridge.subscribing",
}
"""Loaded when first asked for: who imports the package for share events alone loads no Kafka client."""


def __getattr__(name: str) -> Any:
    if name not in _FOUND_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(_FOUND_IN[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_FOUND_IN})
