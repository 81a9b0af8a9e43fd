"""Stands up real TOM Toolkit installations on this machine, for ``tom-bridge demo`` and for the tests."""
