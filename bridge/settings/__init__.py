"""Settings: the DATA_SHARING dictionary that TOMs already have, the consumers, and the gateway.

Read from a TOML file (with ``${NAME}`` for what stands in the environment) or from a Django settings module
(``DATA_SHARING``; for consumers ``BRIDGE_CONSUMERS``, for the gateway ``BRIDGE_GATEWAY``). An entry is checked when it is used,
so that a host which runs one consumer needs only that one's secrets; `Settings.problems` checks them all.
"""

from bridge.settings.consumers import ConsumerSettings
from bridge.settings.emitter import EmitterSettings
from bridge.settings.entries import DEFAULT_TOM_NAME, HermesEntry, StreamEntry, StreamTopic, TomEntry
from bridge.settings.gateway import GatewayClient, GatewaySettings
from bridge.settings.sources import Settings

__all__ = [
    "DEFAULT_TOM_NAME",
    "ConsumerSettings",
    "EmitterSettings",
    "GatewayClient",
    "GatewaySettings",
    "HermesEntry",
    "Settings",
    "StreamEntry",
    "StreamTopic",
    "TomEntry",
]
