"""Tests of bridge.consumer."""
