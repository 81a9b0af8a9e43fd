"""The engine of a consumer: the loop that turns share events into writes."""
