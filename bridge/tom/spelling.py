"""How a name is asked for with TOM Toolkit's filter ``name``, so that targets that spell it otherwise are found as well.

That filter looks for parts of names and aliases in the database, whatever their case, several with commas between them. It
costs a TOM of 10,000 targets 15 ms, where ``name_fuzzy`` costs it 1.2 s. It proves no absence, since spaces and dashes may
stand anywhere. But those who spell a name otherwise do so between its words, and between letters and the number behind them:
"SN 2024abc", "SN2024abc" and "SN-2024abc" all have "2024abc".
"""

import re
from collections.abc import Iterable
from urllib.parse import quote

__all__ = ["filters", "telling_parts"]

SHORTEST_PART = 3
"""Shorter parts than this are in too many names to tell anything."""
MOST_CHARACTERS = 1_500
"""Longest filter, as it stands in the address; gunicorn takes 4,094 characters in all."""

_BETWEEN_WORDS = re.compile(r"[\s\-_(),]+|(?<=[^\W\d_])(?=\d)")


def telling_parts(name: str) -> list[str]:
    """Return what to ask for so that a name is found however it is likely to be spelled.

    That is the part that tells most: the longest that has a digit, or the longest. If that is short, as in "M 31", it is the
    name in all likely spellings.
    """
    parts = [part for part in _BETWEEN_WORDS.split(name.strip()) if part]
    long = [part for part in parts if len(part) >= SHORTEST_PART]
    if long:
        return [max(long, key=lambda part: (any(map(str.isdigit, part)), len(part)))]
    return [part for part in dict.fromkeys((name.strip(), *(joint.join(parts) for joint in ("", " ", "-", "_")))) if part]


def filters(parts: Iterable[str]) -> list[str]:
    """Return values of the filter that together ask for all these parts, each short enough for an address."""
    found: list[list[str]] = []
    length = MOST_CHARACTERS
    for part in dict.fromkeys(parts):
        size = len(quote(part)) + len("%2C")
        if length + size > MOST_CHARACTERS:
            found.append([])
            length = 0
        found[-1].append(part)
        length += size
    return [",".join(group) for group in found]
