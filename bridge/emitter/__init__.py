"""The Django app for TOMs that emit: what a TOM ingests goes out as share events, and ingest never notices.

Data's way through it: a row is written; a trigger in the database notes it, in the same transaction (`capture`); when its
target has come to rest, the relay reads a consistent snapshot (`snapshot`), decides where it goes (`consent`), and seals
events into the outbox (`sealing`); it publishes them in order and marks them when the broker has them (`relay`).
"""
