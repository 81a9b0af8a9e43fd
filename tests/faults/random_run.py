"""The random run: anything is killed at any time, and at the end the destination is exactly what the topic says.

As a program it has a broker and a TOM of its own, and prints a line with the figures:

    python -m tests.faults.random_run --seconds 300 --datums 5000 --targets 200 --replicas 3 --seed 7 [--postgres]
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bridge.errors import BridgeError
from tests.support.kafka import ApacheKafka, ensure_kafka
from tests.support.postgres import Postgres, ensure_postgres
from tests.support.replica import Replica
from tests.support.site import Site
from tests.support.world import Toms

__all__ = ["EVERYTHING", "Figures", "run"]

EVERYTHING: Mapping[str, float] = {"consumer_kill": 5, "consumer_term": 3, "tom_kill": 2, "kafka_kill": 1}
"""How often each is done, beside the others."""
SETTLE_SECONDS = 420.0
DATUMS_AN_EVENT = (1, 1, 1, 2, 5, 10)


@dataclass
class Figures:
    """What a random run did, and what came of it."""

    seed: int
    targets: int
    datums: int
    replicas: int
    seconds: float = 0.0
    storm_seconds: float = 0.0
    events: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    restarts: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    gave_up: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    half_made: list[str] = field(default_factory=list)
    """Targets that a kill of the TOM left without rights, and that its administrator had to mend."""
    problems: list[str] = field(default_factory=list)

    @property
    def line(self) -> str:
        """All of it in one line."""
        kills = " ".join(f"{name}={count}" for name, count in sorted(self.kills.items()))
        return (
            f"random run: seed={self.seed} targets={self.targets} datums={self.datums} events={self.events} "
            f"replicas={self.replicas} {kills} restarted_by_supervisor={self.restarts} ended={sum(self.outcomes.values())} "
            f"duplicates_prevented={self.outcomes['present']} attempts={self.attempts} storm_s={self.storm_seconds:.0f} "
            f"mended_by_administrator={len(self.half_made)} "
            f"seconds={self.seconds:.0f} datums_per_s={self.datums / max(self.seconds, 1):.1f} errors={len(self.errors)} "
            f"state_equal={'yes' if not self.problems else 'NO'}"
        )


def run(
    site: Site,
    *,
    seconds: float,
    datums: int,
    targets: int,
    replicas: int,
    seed: int,
    mix: Mapping[str, float] = EVERYTHING,
    pause_seconds: tuple[float, float] = (0.5, 6.0),
    at_least: Mapping[str, int] | None = None,
    say: Callable[[str], None] = lambda _text: None,
) -> Figures:
    """Publish, kill and restart for a while, let everything come to its end, and compare.

    Parameters
    ----------
    site
        With a Kafka and a destination of its own, since both are killed.
    seconds, datums, targets, replicas, seed
        How long, how much, with how many, and what decides the rest.
    mix
        What is done how often.
    pause_seconds
        How long it is left alone between two acts.
    at_least
        Acts that have to happen so often; the storm goes on until they have.
    say
        Told of each act.
    """
    figures = Figures(seed, targets, datums, replicas)
    chance, began = random.Random(f"{seed}:storm"), time.monotonic()
    for _ in range(replicas):
        site.replica().start()
    publisher = _Publisher(site, seconds=seconds * 0.8, datums=datums, targets=targets, chance=random.Random(f"{seed}:publish"))
    publisher.start()
    try:
        wanted = dict(at_least or {})
        while time.monotonic() < began + seconds or any(figures.kills[act] < number for act, number in wanted.items()):
            time.sleep(chance.uniform(*pause_seconds))  # the storm itself, not a wait for anything
            _supervise(site, figures)
            due = [act for act, number in wanted.items() if figures.kills[act] < number]
            if due and chance.random() < 0.5:
                act = chance.choice(due)  # a rare one is not waited for
            else:
                [act] = chance.choices(list(mix), list(mix.values()))
            say(f"{time.monotonic() - began:6.1f} s {act}")
            _ACTS[act](site, chance)
            figures.kills[act] += 1
        figures.storm_seconds = time.monotonic() - began
        say("the storm is over")
        publisher.join(SETTLE_SECONDS)
        assert not publisher.is_alive(), "not everything could be published"
        if publisher.error is not None:
            raise publisher.error
        deadline = time.monotonic() + SETTLE_SECONDS
        while not site.is_done():
            _supervise(site, figures)
            if time.monotonic() > deadline:
                tails = "\n".join(replica.tail() for replica in site.replicas)
                raise AssertionError(f"not done {SETTLE_SECONDS} s after the storm: {site.offsets()}\n{tails}")
            time.sleep(0.5)
        figures.seconds = time.monotonic() - began
        codes = [replica.stop() for replica in site.replicas]
        figures.half_made = site.mend_by_administrator()
        figures.problems = site.problems() + site.wrong_commits()
        figures.problems += [f"a replica ended with {code} on SIGTERM" for code in codes if code]
    finally:
        publisher.give_up.set()
        site.kill_all()
    figures.events = len(site.published)
    figures.outcomes, figures.attempts, figures.errors = site.outcomes(), site.attempts(), site.errors()
    return figures


class _Publisher(threading.Thread):
    """Publishes over a time, a little now and then, whatever becomes of the broker meanwhile."""

    def __init__(self, site: Site, *, seconds: float, datums: int, targets: int, chance: random.Random) -> None:
        super().__init__(name="publisher", daemon=True)
        self._site, self._seconds, self._chance = site, seconds, chance
        self._datums, self._targets = datums, targets
        self.error: BaseException | None = None
        self.give_up = threading.Event()

    def run(self) -> None:
        try:
            self._publish()
        except BaseException as error:  # noqa: BLE001  the main thread raises it
            self.error = error

    def _publish(self) -> None:
        # Targets come in the first third, data at any time after their target.
        began, known, left = time.monotonic(), 0, self._datums
        while (known < self._targets or left) and not self.give_up.is_set():
            passed = (time.monotonic() - began) / self._seconds
            due_targets = min(self._targets, int(passed * 3 * self._targets) + 1)
            due_left = max(0, self._datums - int(passed * self._datums) - 1)
            records = self._site.target_events(range(known, due_targets))
            known = max(known, due_targets)
            while left > due_left:
                number = min(left, self._chance.choice(DATUMS_AN_EVENT))
                records.append(self._site.datum_event(self._chance.randrange(known), number))
                left -= number
            while records and not self.give_up.is_set():
                try:
                    self._site.publish(*records)
                    break
                except BridgeError:  # publishing the same again does no harm
                    continue
            self.give_up.wait(0.2)


def _supervise(site: Site, figures: Figures) -> None:
    """Start replicas again that ended by themselves, as what runs services does."""
    for replica in site.replicas:
        if not replica.runs:
            figures.restarts += 1
            figures.gave_up.append(replica.tail(3))
            replica.start()


def _consumer_kill(site: Site, chance: random.Random) -> None:
    replica = chance.choice(site.replicas)
    replica.kill()
    replica.start()


def _consumer_term(site: Site, chance: random.Random) -> None:
    replica: Replica = chance.choice(site.replicas)
    if replica.runs:
        replica.signal(signal.SIGTERM)
        try:
            replica.process.wait(40)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"SIGTERM did not end a replica:\n{replica.tail()}") from None
    replica.start()


def _tom_kill(site: Site, chance: random.Random) -> None:
    site.destination.kill()
    time.sleep(chance.uniform(0, 4))  # it is away for a while
    site.destination.start()


def _kafka_kill(site: Site, chance: random.Random) -> None:
    site.kafka.kill()
    time.sleep(chance.uniform(0, 4))  # it is away for a while
    site.kafka.start()


_ACTS: Mapping[str, Callable[[Site, random.Random], None]] = {
    "consumer_kill": _consumer_kill,
    "consumer_term": _consumer_term,
    "tom_kill": _tom_kill,
    "kafka_kill": _kafka_kill,
}


def main() -> int:
    """Do a random run, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--datums", type=int, default=5000)
    parser.add_argument("--targets", type=int, default=200)
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--partitions", type=int, default=6)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--version", default="3.1.0")
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--home", type=Path, default=None, help="a directory that stays; a temporary one if not given")
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}", flush=True)

    def say(text: str) -> None:
        if not chosen.quiet:
            print(text, flush=True)

    with tempfile.TemporaryDirectory(prefix="random-run-") as temporary:
        home = chosen.home or Path(temporary)
        (home / "kafka").mkdir(parents=True)
        kafka = ApacheKafka(home / "kafka", ensure_kafka(say))
        postgres = Postgres(ensure_postgres(say)) if chosen.postgres else None
        if postgres is not None:
            postgres.start()
        toms = Toms(home / "toms", lambda name: postgres.create_database(name) if postgres else "")
        kafka.start()
        try:
            site = Site.make(
                home / "site",
                kafka=kafka,
                destination=toms.get("destination", chosen.version, postgres=chosen.postgres),
                partitions=chosen.partitions,
                consumer={"pace": "full"} | ({"concurrent_writes": True} if chosen.postgres else {}),
            )
            figures = run(
                site,
                seconds=chosen.seconds,
                datums=chosen.datums,
                targets=chosen.targets,
                replicas=chosen.replicas,
                seed=chosen.seed,
                say=say,
            )
        finally:
            toms.close()
            kafka.stop()
            if postgres is not None:
                postgres.stop()
    for text in [*figures.gave_up[:5], *figures.errors[:10], *figures.problems[:30]]:
        print(text)
    print(figures.line)
    return 1 if figures.problems or figures.errors else 0


if __name__ == "__main__":
    sys.exit(main())
