"""The TOM stream bridge: targets and data travel between TOMs as share events over Kafka."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("tom-bridge")
