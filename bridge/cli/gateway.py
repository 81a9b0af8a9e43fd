"""``gateway``: a Hermes-shaped door for unmodified TOMs, which publishes to a stream of one's own."""

from contextlib import ExitStack
from dataclasses import replace
from typing import Annotated

import structlog
import typer

from bridge.cli.console import ConfigOption, DjangoOption, read_settings
from bridge.errors import Misconfigured, Retryable
from bridge.health import parse_address
from bridge.kafka.admin import Admin
from bridge.kafka.connection import Connection, connect_settings
from bridge.kafka.publisher import Publisher
from bridge.stopping import Stop, stop_on_signals
from bridge.telemetry import set_up_logging

__all__ = ["DEFAULT_ADDRESS", "gateway"]

DEFAULT_ADDRESS = "127.0.0.1:8971"


def gateway(
    http: Annotated[str, typer.Option("--http", metavar="HOST:PORT", help="Where TOMs reach it.")] = DEFAULT_ADDRESS,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
    config: ConfigOption = None,
    django_settings: DjangoOption = None,
) -> None:
    """Serve the part of the Hermes API that TOMs call, and publish what they submit to a stream, in Hermes' own form."""
    try:
        from bridge.gateway.app import MAX_BODY_BYTES, make_app  # noqa: PLC0415  an extra: tom-bridge[gateway]
        from bridge.gateway.clients import Clients  # noqa: PLC0415
        from bridge.gateway.drafts import Drafts  # noqa: PLC0415
        from bridge.gateway.posting import DELIVERY_SECONDS, Posting  # noqa: PLC0415
        from bridge.gateway.server import GatewayServer  # noqa: PLC0415
    except ImportError as error:
        raise Misconfigured(f"the gateway needs more packages; from a clone: pip install '.[gateway]' ({error})") from error
    set_up_logging(verbose=verbose)
    log = structlog.get_logger()
    host, port = parse_address(http)
    all_settings = read_settings(config, django_settings)
    settings, client_settings = all_settings.gateway()
    clients = Clients(client_settings)
    connection = _patient_with_size(connect_settings(settings.stream, all_settings.stream(settings.stream)), MAX_BODY_BYTES)
    admin = Admin(connection)
    posting = Posting(
        # Each message by itself: a topic's max.message.bytes holds for all that go together.
        producer=lambda: Publisher(connection, delivery_timeout_seconds=DELIVERY_SECONDS, batches=False),
        probe=admin.topics,
    )
    stop = Stop()
    stop_on_signals(stop)
    with ExitStack() as stack:
        stack.enter_context(posting)
        try:
            _require_topics(admin, settings.stream, clients.topics)
        except Retryable as error:
            posting.lose(error)
        app = make_app(clients=clients, posting=posting, drafts=Drafts())
        server = stack.enter_context(GatewayServer(app, host=host, port=port, threads=settings.threads))
        log.info("gateway serves", url=server.url, clients=list(client_settings), topics=list(clients.topics))
        if server.beyond_loopback:
            log.warning("keys and messages travel unencrypted to this address; put a web server with TLS before it")
        stop.wait()
        log.info("gateway stops")


def _require_topics(admin: Admin, stream: str, wanted: tuple[str, ...]) -> None:
    there = admin.topics()
    missing = [topic for topic in wanted if topic not in there]
    if missing:
        create = "; ".join(f"tom-bridge topics create {stream}:{topic}" for topic in missing)
        raise Misconfigured(f"stream {stream}: no topic {', '.join(missing)} that this login may see; create it: {create}")


def _patient_with_size(connection: Connection, most_bytes: int) -> Connection:
    """Leave it to the topic how large a message may be, and hear soon of a broker that is back, and of a topic that is gone."""
    config = {
        **connection.config,
        "message.max.bytes": most_bytes,
        "reconnect.backoff.max.ms": 1000,
        "topic.metadata.propagation.max.ms": 3000,
    }
    return replace(connection, config=config)
