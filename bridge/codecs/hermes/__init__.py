"""Hermes messages, as they stand on HOPSKOTCH's topics: record <-> share events."""
