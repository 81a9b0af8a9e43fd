"""Decisions: Kafka record <-> share event."""
