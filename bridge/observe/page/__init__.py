"""The live page: topics, events as they arrive, targets with their light curves, consumers, dead letters. It only looks.

Kafka's records come in on one side (`watching`), are kept in bounded memory in the middle (`state` and what it is made of),
and go out to browsers on the other (`app`, `server`, `static`).
"""
