"""Which dead letters are open, by consumer and reason, in bounded memory: what `open_letters` says, without keeping records."""

import hashlib
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from typing import Any

from bridge.codecs.dead_letter import PREFIX, letter_id
from bridge.codecs.record import ConsumedRecord, Headers, header
from bridge.observe.page.lines import named, short

__all__ = ["MOST_OPEN", "OpenLetters"]

MOST_OPEN = 50_000
"""Letters whose end is waited for; beyond it the oldest are forgotten, and said to be."""
MOST_SHOWN = 20
"""Letters that are shown, the newest."""
MOST_REASONS = 50
"""Consumers and reasons that are told apart; whoever may write to the topic could name any number."""


@dataclass(frozen=True, slots=True)
class _Letter:
    destination: str
    reason: str
    about: bytes
    place: tuple[int, int]
    straight: bool


class OpenLetters:
    """The dead letters of one topic that have not come to their end. Not for several threads.

    Parameters
    ----------
    most
        Letters that are kept.
    """

    def __init__(self, most: int = MOST_OPEN) -> None:
        self._most = most
        self._open: OrderedDict[str, _Letter] = OrderedDict()
        self._by_record: dict[bytes, list[str]] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._shown: deque[tuple[str, dict[str, Any]]] = deque(maxlen=10 * MOST_SHOWN)
        self.forgotten = 0
        """Letters that are no longer waited for."""

    def add(self, consumed: ConsumedRecord) -> None:
        """Take a record of the dead-letter topic."""
        headers = consumed.record.headers
        for name in ("resolves", "replaces"):
            if ended := _text(headers, name):
                self._end(ended)
        if reason := _text(headers, "reason"):
            self._begin(letter_id(consumed), reason, consumed)

    def counts(self) -> Counter[tuple[str, str]]:
        """Return how many are open, by consumer and reason."""
        found = Counter((letter.destination, letter.reason) for letter in self._open.values())
        if len(found) <= MOST_REASONS:
            return found
        kept = Counter(dict(found.most_common(MOST_REASONS - 1)))
        kept["", "others"] = found.total() - kept.total()
        return kept

    def newest(self) -> list[dict[str, Any]]:
        """Return what is shown of the newest open ones, newest first."""
        return [line for name, line in reversed(self._shown) if name in self._open][:MOST_SHOWN]

    def _begin(self, name: str, reason: str, consumed: ConsumedRecord) -> None:
        if name in self._ended:
            return  # its end was read before it: another partition
        headers = consumed.record.headers
        origin, destination = _text(headers, "origin"), _text(headers, "destination")
        straight = bool(origin) and not _text(headers, "replaces")
        place = (consumed.partition, consumed.offset)
        letter = _Letter(short(destination), short(reason), _about(consumed, origin), place, straight)
        copies = self._by_record.setdefault(letter.about, [])
        if straight:
            # A consumer that was killed before it could commit makes the letter once more: the last of them counts.
            for earlier in [each for each in copies if self._open[each].place < place]:
                self._end(earlier)
        if any(self._open[each].straight and self._open[each].place > place for each in self._by_record.get(letter.about, ())):
            self._note_end(name)
            return
        self._open[name] = letter
        self._by_record.setdefault(letter.about, []).append(name)
        self._shown.append((name, _line(name, consumed, letter)))
        while len(self._open) > self._most:
            self.forgotten += 1
            self._end(next(iter(self._open)))

    def _end(self, name: str) -> None:
        letter = self._open.pop(name, None)
        if letter is not None:
            copies = self._by_record[letter.about]
            copies.remove(name)
            if not copies:
                del self._by_record[letter.about]
        self._note_end(name)

    def _note_end(self, name: str) -> None:
        self._ended[name[:64]] = None
        while len(self._ended) > self._most:
            self._ended.popitem(last=False)


def _about(consumed: ConsumedRecord, origin: str) -> bytes:
    """Return what two letters of one record have in common, as a digest."""
    record = consumed.record
    left_out = [_text(record.headers, f"left_out_{what}") for what in ("bytes", "sha256")]
    theirs = [(name, value) for name, value in record.headers if not name.startswith(PREFIX)]
    parts = repr((_text(record.headers, "destination"), origin, record.key, theirs, left_out)).encode()
    return hashlib.sha256(parts + (b"-" if record.value is None else b"+" + record.value)).digest()[:16]


def _line(name: str, consumed: ConsumedRecord, letter: _Letter) -> dict[str, Any]:
    headers = consumed.record.headers
    subject = (header(headers, "ce_subject") or b"").decode(errors="replace")
    return {
        "id": name,
        "topic": consumed.topic,
        "destination": letter.destination,
        "reason": letter.reason,
        "detail": short(_text(headers, "detail")),
        "time": short(_text(headers, "time"), 40),
        "origin": short(_text(headers, "origin")),
        "about": named(subject),
    }


def _text(headers: Headers, name: str) -> str:
    return (header(headers, f"{PREFIX}{name}") or b"").decode(errors="replace")
