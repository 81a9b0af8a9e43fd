"""Tests of bridge.translate."""
