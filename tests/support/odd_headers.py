"""Records with headers that Python's client can read, but not write."""

import ctypes
from pathlib import Path

import confluent_kafka
import pytest

__all__ = ["publish_with_header_name"]


def publish_with_header_name(servers: str, topic: str, name: bytes, value: bytes) -> None:
    """Publish a record with a header of this name: straight through librdkafka."""
    found = sorted((Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs").glob("librdkafka-*"))
    if not found:
        pytest.skip("confluent-kafka does not bring its own librdkafka here")
    library, error = ctypes.CDLL(str(found[0])), ctypes.create_string_buffer(512)
    for function in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_headers_new"):
        getattr(library, function).restype = ctypes.c_void_p
    settings = ctypes.c_void_p(library.rd_kafka_conf_new())
    assert library.rd_kafka_conf_set(settings, b"bootstrap.servers", servers.encode(), error, 512) == 0, error.value
    producer = ctypes.c_void_p(library.rd_kafka_new(0, settings, error, 512))
    headers = ctypes.c_void_p(library.rd_kafka_headers_new(ctypes.c_size_t(1)))
    size = ctypes.c_ssize_t
    assert library.rd_kafka_header_add(headers, name, size(len(name)), b"1", size(1)) == 0
    tags = (ctypes.c_int(tag) for tag in (1, 4, 7, 10, 0))  # rd_kafka_vtype_t
    of_topic, of_value, of_flags, of_headers, end = tags
    about = (of_topic, topic.encode(), of_value, value, ctypes.c_size_t(len(value)), of_flags, ctypes.c_int(2))
    assert library.rd_kafka_producev(producer, *about, of_headers, headers, end) == 0
    assert library.rd_kafka_flush(producer, 30_000) == 0
    library.rd_kafka_destroy(producer)
