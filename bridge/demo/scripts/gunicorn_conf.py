"""Gunicorn's settings for a TOM of the demo: the server ends with the process that started it.

The starter holds the other end of standard input open and never writes. When it goes away, however it does, the read
returns, and the server stops as it does on SIGTERM.
"""

import os
import signal
import threading


def when_ready(server):
    def follow_starter():
        while os.read(0, 1024):
            pass
        os.kill(server.pid, signal.SIGTERM)

    threading.Thread(target=follow_starter, name="follow-starter", daemon=True).start()
