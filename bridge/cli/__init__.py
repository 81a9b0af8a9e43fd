"""The command line: parse, build, run, print. Results on stdout, logs and progress on stderr."""

from bridge.cli.main import app, run

__all__ = ["app", "run"]
