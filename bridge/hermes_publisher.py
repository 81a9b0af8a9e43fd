"""Publishing through the Hermes API: records of ours become Hermes messages, and count when Hermes has published them."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from bridge.codecs import native
from bridge.codecs.hermes.losses import Lost
from bridge.codecs.hermes.writing import Translation, halves, hermes_messages
from bridge.codecs.record import Record
from bridge.errors import BridgeError, Rejected, Retryable
from bridge.events import ShareEvent
from bridge.hermes_api import CONNECT_SECONDS, READ_SECONDS, HermesApi

__all__ = ["HermesPublisher"]

_R = TypeVar("_R")
_Report = Callable[[BridgeError | None], None]
_Messages = Sequence[dict[str, Any]]

MOST_WAITING = 20
"""Events that are taken and not sent yet."""
PAUSES_SECONDS = (1.0, 4.0, 16.0)
"""How long `HermesPublisher.publish` waits before it asks again."""
LONGEST_PAUSE_SECONDS = 60.0
"""It does not wait longer than this, whatever Hermes asks for."""
LAST_ANSWER_SECONDS = CONNECT_SECONDS + READ_SECONDS + 5.0
"""How long an answer that is under way is waited for when everything else is given up: longer than Hermes may take for it. What
Hermes has published without anybody hearing of it is published again."""


class HermesPublisher:
    """Publishes as `bridge.kafka.publisher.Publisher` does, in order, one message after the other.

    Hermes gives each message an id of its own, so an event that is sent again, because its answer was lost, is on the topic
    twice. Who reads it with the bridge finds what is there.

    Parameters
    ----------
    api
        The account; it is closed by `abandon`.
    authors
        For events that name none.
    told
        Told what an event is about and what of it Hermes does not carry.
    sleep
        Waits for so many seconds.
    """

    def __init__(
        self,
        api: HermesApi,
        *,
        authors: str = "",
        told: Callable[[str, Sequence[Lost]], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._api = api
        self._authors = authors
        self._told = told
        self._sleep = sleep
        self._waiting: queue.Queue[tuple[str, _Messages, _Report] | None] = queue.Queue()
        self._done: queue.Queue[tuple[_Report, BridgeError | None]] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._given_up: BridgeError | None = None

    def publish(
        self, topic: str, records: Iterable[Record], *, on_delivered: Callable[[int], None] = lambda _number: None
    ) -> int:
        """Publish events in order and return how many, all of them published by Hermes.

        Hermes is asked about every message first: if it would refuse one, none is sent. An event of which it carries nothing is
        left out, and that is told.

        Parameters
        ----------
        topic
            Where to.
        records
            Share events in the native form.
        on_delivered
            Called with the number done so far, for progress.

        Raises
        ------
        BridgeError
            As `HermesApi.submit`; what was published before stays published.
        """
        translations = [self._translate_or_tell(topic, record) for record in records]
        for message in (message for translation in translations for message in translation.messages):
            wrong = self._patiently(partial(self._api.validate, message))
            if wrong:
                named = message["data"]["targets"][0]["name"]
                raise Rejected("refused_by_hermes", f"nothing was published: {named!r}: {'; '.join(wrong)}"[:1000])
        for number, translation in enumerate(translations, 1):
            for message in translation.messages:
                _submit_in_parts(message, lambda part: self._patiently(partial(self._api.submit, part)))
            on_delivered(number)
        return sum(bool(translation.messages) for translation in translations)

    def send(self, topic: str, record: Record, report: _Report) -> bool:
        """Hand an event over without waiting for it; return False if there is no room at present.

        Parameters
        ----------
        topic
            Where to.
        record
            A share event in the native form.
        report
            Called once, by `serve`, when Hermes has published the event (None), or why it has not. After a failure no later
            event is sent: each is reported with the same error.

        Raises
        ------
        BridgeError
            If Hermes carries nothing of the event.
        """
        if self._waiting.qsize() >= MOST_WAITING:
            return False
        event, translation = self._translate(topic, record)
        if translation.messages:
            self._waiting.put((event.body.subject, translation.messages, report))
            self._start()
        else:
            self._done.put((report, None))
        return True

    def serve(self, seconds: float) -> None:
        """Let reports come in, for so long or until there is one."""
        try:
            report, error = self._done.get(timeout=seconds) if seconds > 0 else self._done.get_nowait()
            while True:
                report(error)
                report, error = self._done.get_nowait()
        except queue.Empty:
            return

    def abandon(self) -> None:
        """Give up every event that is not sent; each is reported as failed. The one under way may be published all the same."""
        self._given_up = Retryable("given up")
        with suppress(queue.Empty):
            while (taken := self._waiting.get_nowait()) is not None:
                self._done.put((taken[2], self._given_up))
        self.serve(0)
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(LAST_ANSWER_SECONDS)
            self._thread = None
            self.serve(0)
        self._api.close()

    def trouble(self, topic: str) -> BridgeError | None:  # noqa: ARG002  as a Kafka publisher's
        """Return nothing: what goes wrong is reported with the event."""
        return None

    def _translate(self, topic: str, record: Record) -> tuple[ShareEvent, Translation]:
        event = native.decode(record)
        translation = hermes_messages(event, topic=topic, authors=self._authors)
        if translation.lost:
            self._told(event.body.subject, translation.lost)
        return event, translation

    def _translate_or_tell(self, topic: str, record: Record) -> Translation:
        try:
            return self._translate(topic, record)[1]
        except Rejected as error:
            self._told(native.decode(record).body.subject, (Lost("event", error.detail),))
            return Translation(messages=(), lost=())

    def _patiently(self, ask: Callable[[], _R]) -> _R:
        for pause in PAUSES_SECONDS:
            try:
                return ask()
            except Retryable as error:
                self._sleep(min(max(pause, error.retry_after or 0.0), LONGEST_PAUSE_SECONDS))
        return ask()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="bridge-hermes", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        error: BridgeError | None = None
        while (taken := self._waiting.get()) is not None:
            subject, messages, report = taken
            for message in messages:
                error = error or self._submit(subject, message)
            self._done.put((report, error))

    def _submit(self, subject: str, message: dict[str, Any]) -> BridgeError | None:
        try:
            _submit_in_parts(message, self._submit_now)
        except Rejected as error:
            return Rejected(error.reason, f"{subject!r}: {error.detail}")
        except BridgeError as error:
            return error
        except Exception as error:  # noqa: BLE001  a thread that ends of a fault of ours would leave its events waiting for ever
            return Retryable(f"internal error on {subject!r} ({type(error).__name__}); please report it")
        return None

    def _submit_now(self, message: dict[str, Any]) -> None:
        if self._given_up is not None:
            raise self._given_up
        self._api.submit(message)


def _submit_in_parts(message: dict[str, Any], submit: Callable[[dict[str, Any]], object]) -> None:
    """Submit a message; if its topic takes less than topics do by default, halves of it, and of these if need be."""
    try:
        submit(message)
    except Rejected as error:
        parts = halves(message) if error.reason == "too_large_for_topic" else ()
        if not parts:
            raise
        for part in parts:
            _submit_in_parts(part, submit)
