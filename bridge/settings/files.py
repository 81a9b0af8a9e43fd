"""Which file the settings are read from, where nobody names one."""

from pathlib import Path

__all__ = ["DEFAULT_FILES", "settings_file"]

DEFAULT_FILES = ("bridge.toml", "config/bridge.toml")
"""Looked for in this order, in the present folder."""


def settings_file(named: Path | None) -> Path:
    """Return the file that is named, else the first of the usual ones that is there, else the first."""
    return named or next((Path(name) for name in DEFAULT_FILES if Path(name).is_file()), Path(DEFAULT_FILES[0]))
