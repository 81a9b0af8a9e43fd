"""What the page knows, in bounded memory: written by the threads that watch, read by those that answer browsers."""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bridge.codecs.record import ConsumedRecord
from bridge.observe.page.dossiers import Dossiers
from bridge.observe.page.journal import Journal
from bridge.observe.page.letters import OpenLetters
from bridge.observe.page.lines import event_line
from bridge.observe.page.rates import Rates
from bridge.observe.sightings import Sighting, sightings

__all__ = ["State"]

STALE_SECONDS = 1.0
"""How old an overview may be that is handed out."""


class _Topic:
    """What is known of one topic."""

    def __init__(self) -> None:
        self.rates = Rates()
        self.records = 0
        self.unreadable = 0
        self.newest_ms = 0
        self.kept: int | None = None
        self.partitions = 0

    def document(self, name: str, now_ms: int) -> dict[str, Any]:
        counts = self.rates.counts(now_ms=now_ms)
        return {
            "name": name,
            "minute": counts.minute,
            "hour": counts.hour,
            "bars": counts.bars,
            "kept": self.kept,
            "partitions": self.partitions,
            "unreadable": self.unreadable,
            "newest_ms": self.newest_ms or None,
        }


class State:
    """Any thread may call anything.

    Parameters
    ----------
    stream
        Key of the stream.
    title
        Its name for people.
    topics
        Topics whose events are shown.
    dossiers
        Targets that were asked for.
    address
        Returns a topic's address, as hop writes it.
    now
        Seconds since 1970.
    """

    def __init__(
        self,
        *,
        stream: str,
        title: str,
        topics: Sequence[str],
        dossiers: Dossiers,
        address: Callable[[str], str],
        now: Callable[[], float] = time.time,
    ) -> None:
        self.journal = Journal()
        self.dossiers = dossiers
        self._stream = stream
        self._title = title
        self._address = address
        self._now = now
        self._lock = threading.Lock()
        self._topics = {name: _Topic() for name in topics}
        self._consumers: dict[str, Mapping[str, Any]] = {}
        self._letters: dict[str, OpenLetters] = {}
        self._letters_trouble: dict[str, str] = {}
        self._trouble = ""
        self._caught_up = False
        self._overview = (float("-inf"), "")

    @property
    def is_well(self) -> bool:
        """Whether the broker can be reached."""
        return not self._trouble

    def saw(self, consumed: ConsumedRecord) -> None:
        """Take a record of one of the topics."""
        now_ms = int(self._now() * 1000)
        time_ms = now_ms if consumed.time is None else consumed.timestamp_ms
        unreadable = 0
        for found in sightings(consumed, topic_address=self._address(consumed.topic)):
            if isinstance(found, Sighting):
                self.dossiers.saw(found)
            else:
                unreadable = 1
            self.journal.add(event_line(found), time_ms=time_ms, now_ms=now_ms)
        with self._lock:
            topic = self._topics[consumed.topic]
            topic.rates.add(time_ms=time_ms, now_ms=now_ms)
            topic.records += 1
            topic.unreadable += unreadable
            topic.newest_ms = max(topic.newest_ms, min(time_ms, now_ms))

    def saw_letter(self, stream_topic: str, consumed: ConsumedRecord) -> None:
        """Take a record of a dead-letter topic."""
        with self._lock:
            self._letters.setdefault(stream_topic, OpenLetters()).add(consumed)

    def note_letters(self, stream_topic: str, trouble: str) -> None:
        """Note why a dead-letter topic can't be read; empty: it can."""
        with self._lock:
            self._letters.setdefault(stream_topic, OpenLetters())
            self._letters_trouble[stream_topic] = trouble

    def begin_letters_anew(self, stream_topic: str) -> None:
        """Forget the letters of a topic: it is read from its beginning once more."""
        with self._lock:
            self._letters[stream_topic] = OpenLetters()

    def note(self, *, trouble: str, caught_up: bool) -> None:
        """Note why the topics can't be read (empty: they can), and whether their history has been."""
        with self._lock:
            self._trouble, self._caught_up = trouble, caught_up

    def note_extents(self, extents: Mapping[tuple[str, int], tuple[int, int]]) -> None:
        """Note how far the topics reach."""
        with self._lock:
            for name, topic in self._topics.items():
                found = [high - low for (other, _number), (low, high) in extents.items() if other == name]
                topic.kept, topic.partitions = (sum(found) if found else None), len(found)

    def note_consumer(self, document: Mapping[str, Any]) -> None:
        """Note what is known of a consumer."""
        with self._lock:
            self._consumers[document["name"]] = document

    def overview(self) -> str:
        """Return all but the events, as JSON; at most a second old."""
        with self._lock:
            made_at, text = self._overview
            now = self._now()
            if not 0 <= now - made_at < STALE_SECONDS:
                text = json.dumps(self._document(int(now * 1000)), ensure_ascii=False)
                self._overview = (now, text)
            return text

    def _document(self, now_ms: int) -> dict[str, Any]:
        letters = []
        for stream_topic, found in self._letters.items():
            letters.append(
                {
                    "topic": stream_topic,
                    "trouble": self._letters_trouble.get(stream_topic, ""),
                    "forgotten": found.forgotten,
                    "counts": [
                        {"destination": destination, "reason": reason, "count": count}
                        for (destination, reason), count in found.counts().most_common()
                    ],
                    "newest": found.newest(),
                }
            )
        return {
            "stream": self._stream,
            "title": self._title,
            "now_ms": now_ms,
            "trouble": self._trouble,
            "caught_up": self._caught_up,
            "topics": [topic.document(name, now_ms) for name, topic in self._topics.items()],
            "consumers": list(self._consumers.values()),
            "letters": letters,
        }
