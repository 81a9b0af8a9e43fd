"""Observers: what is shared, seen, filtered, looked at and exported, without moving anybody's offsets."""
