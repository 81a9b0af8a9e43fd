"""A Hermes-shaped door for unmodified TOMs: what they submit is checked as Hermes checks it, and published to Kafka."""
