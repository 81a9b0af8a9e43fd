"""Tests of bridge.tom that need no TOM."""
