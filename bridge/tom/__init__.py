"""Doors to a TOM's REST API: session, matching, writing, reading."""
