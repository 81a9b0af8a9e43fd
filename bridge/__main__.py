"""``tom-bridge`` and ``python -m bridge``."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line, or say how to install it."""
    try:
        from bridge.cli import run  # noqa: PLC0415  an extra: tom-bridge[cli]
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich"}:
            raise
        sys.exit("tom-bridge: the command line is an extra; from a clone: pip install '.[cli]'")
    run()


if __name__ == "__main__":
    main()
