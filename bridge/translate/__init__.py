"""Decisions: share event -> requests of a TOM's REST API, one module per dialect."""
