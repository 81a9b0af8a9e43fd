"""A process that is told to stop by a signal stops, whatever its main thread is at."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from bridge.stopping import Stop

BOMBARDED = """
import random, signal
from bridge.stopping import Stop

told = []
signal.signal(signal.SIGALRM, lambda *_: (told.append(1), stop.set()))
while len(told) < 5_000:
    stop = Stop()
    signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 1e-4))
    while not stop.wait(1e-5):
        pass
"""
"""Signals in the midst of ``wait``; with `threading.Event` it hangs within seconds."""


def test_a_signal_in_the_midst_of_waiting_is_heard() -> None:
    assert subprocess.run([sys.executable, "-c", BOMBARDED], timeout=60, check=False).returncode == 0


def test_all_who_wait_are_told() -> None:
    stop = Stop()
    with ThreadPoolExecutor(3) as waiting:
        told = [waiting.submit(stop.wait, 30.0) for _ in range(3)]
        assert not stop.is_set()
        stop.set()
        assert all(one.result(30.0) for one in told)
    assert stop.is_set()
    assert stop.wait(0.0)


def test_who_is_not_told_waits_no_longer_than_he_said() -> None:
    assert not Stop().wait(0.01)


def test_a_signal_wakes_one_who_waits_without_a_limit() -> None:
    waits = (
        "import os, signal, threading; from bridge.stopping import Stop, stop_on_signals; stop = Stop(); "
        "stop_on_signals(stop); print('waits', flush=True); stop.wait(); print('stops')"
    )
    with subprocess.Popen([sys.executable, "-c", waits], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "stops\n"
        assert process.wait(30) == 0
