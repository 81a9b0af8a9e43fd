"""Benchmarks: real TOMs, brokers and databases, side by side in one run. They print what they found, and judge nothing."""
