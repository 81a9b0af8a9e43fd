"""Management commands of the emitter."""
