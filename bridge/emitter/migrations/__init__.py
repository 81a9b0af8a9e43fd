"""Migrations of the emitter's tables; the triggers are set after every migrate (`bridge.emitter.capture`)."""
