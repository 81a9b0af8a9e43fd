"""Doors to Kafka: publisher, subscription, admin, embedded broker."""
