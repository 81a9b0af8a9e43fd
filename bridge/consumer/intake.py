"""What a record says to a consumer: the events in it that are to be acted on, or what became of it without any."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from bridge.codecs.contents import Reading
from bridge.codecs.dead_letter import DeadLetter
from bridge.codecs.label import address_of, label_of
from bridge.codecs.native import Ignored
from bridge.codecs.reading import read_record
from bridge.codecs.record import Record
from bridge.consumer.admission import admit, admit_address, admit_label, admit_source
from bridge.consumer.outcome import Outcome, refused, skipped
from bridge.errors import Poison
from bridge.events import ShareEvent
from bridge.settings import ConsumerSettings
from bridge.tom.written import Failure

__all__ = ["Intake", "Taken"]

MOST_LABELS = 1000
"""Sources and types of which it is remembered whether they are acted on: who may write to a topic can make up many."""
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a record says.

    Parameters
    ----------
    events
        Those that are to be acted on; if there are none, those that it has.
    unread
        Items of which no event could be made, of kinds that are accepted.
    outcome
        The record's end, if nothing is to be written.
    """

    events: tuple[ShareEvent, ...] = ()
    unread: tuple[Failure, ...] = ()
    outcome: Outcome | None = None


class Intake:
    """Reads records for one consumer, and decides what of them it acts on.

    Parameters
    ----------
    name, url
        The destination: the consumer's name and the TOM's URL.
    settings
        What the consumer may do.
    address
        Returns the address of a topic, such as ``kafka://kafka.scimma.org/tomtoolkit.test``.
    """

    def __init__(self, *, name: str, url: str, settings: ConsumerSettings, address: Callable[[str], str]) -> None:
        self._name = name
        self._url = url
        self._settings = settings
        self._address = address
        self._judge = lru_cache(MOST_LABELS)(self._admit_label)

    def glance(self, record: Record) -> Outcome | None:
        """Return why a record is passed over, as far as that can be told without reading all of it; else None.

        What concerns others is not checked: whether it is in order is for those whom it concerns.
        """
        label = label_of(record.headers)
        if label is None:
            return None
        why = self._judge(*label)
        if why is not None or record.value is None:
            return why
        address = address_of(record.value)
        if address is None:
            return None
        return admit_address(address.hops, address.destinations, name=self._name, url=self._url)

    def read(self, record: Record, *, topic: str, time: datetime) -> Reading:
        """Read a record, whether or not it is acted on.

        Parameters
        ----------
        record
            From the topic.
        topic
            Its name.
        time
            When the record was written; a Hermes message has no time of its own.

        Raises
        ------
        Poison, Ignored
            If it says nothing that can be acted on.
        """
        return read_record(record, topic_address=self._address(topic), name_from=self._settings.hermes_name, time=time)

    def events_of(self, letter: DeadLetter) -> tuple[ShareEvent, ...]:
        """Return the events of a dead letter; none if it can't be read."""
        try:
            return self.read(letter.record, topic=letter.topic, time=letter.moment or _LONG_AGO).events
        except (Poison, Ignored):
            return ()

    def take(self, record: Record, *, topic: str, time: datetime) -> Taken:
        """Read a record, and decide what of it is acted on; parameters as for `read`."""
        try:
            reading = self.read(record, topic=topic, time=time)
        except Poison as error:
            return Taken(outcome=refused(error.reason, error.detail))
        except Ignored as error:
            return Taken(outcome=skipped(error.reason, str(error)))
        wanted = [item for item in reading.refused if item.accepted_as in self._settings.accept]
        unread = tuple(Failure(item.item, item.reason, item.detail) for item in wanted)
        passed_over = [admit(event, name=self._name, url=self._url, settings=self._settings) for event in reading.events]
        admitted = tuple(event for event, why in zip(reading.events, passed_over, strict=True) if why is None)
        if admitted:
            return Taken(events=admitted, unread=unread)
        why = passed_over[0] if passed_over else self._admit_message(reading, topic)
        if unread and (why is None or why.reason == "kind_not_accepted"):
            return Taken(events=reading.events, outcome=Outcome.of_unread(unread))
        return Taken(events=reading.events, outcome=why or skipped("kind_not_accepted", "what it tells of is not among accept"))

    def _admit_label(self, source: bytes, event_type: bytes) -> Outcome | None:
        try:
            return admit_label(source.decode(), event_type.decode(), url=self._url, settings=self._settings)
        except UnicodeDecodeError:
            return None

    def _admit_message(self, reading: Reading, topic: str) -> Outcome | None:
        """Judge a message of which no event could be made; only a Hermes message is one."""
        return admit_source(self._address(topic), self._settings) or admit_address(
            reading.hops, reading.destinations, name=self._name, url=self._url
        )
