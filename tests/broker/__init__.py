"""Tests on the embedded broker."""
