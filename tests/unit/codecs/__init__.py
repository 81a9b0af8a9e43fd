"""Tests of bridge.codecs."""
