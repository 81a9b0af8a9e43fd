"""Tests without I/O; the folder mirrors bridge/."""
