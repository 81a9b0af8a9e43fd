"""Hermes messages, read and written."""
