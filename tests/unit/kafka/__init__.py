"""Tests of bridge.kafka that need no broker."""
