"""The benchmark's own parts; nothing here is timed."""
