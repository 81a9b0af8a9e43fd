"""``bridge_relay``, ``bridge_outbox``, ``bridge_share``."""
