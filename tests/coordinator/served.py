"""A coordinator's real gRPC server on loopback, over a service that a test chooses."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio
from grpc_health.v1._async import HealthServicer

from coordinator.build import Built
from coordinator.config import Settings
from coordinator.replicas.gate import Gate
from coordinator.server import _server
from coordinator.wire.tls import server_credentials
from participant.wire.channel import open_channel
from tests import fakes
from tests.loopback import Federation


@asynccontextmanager
async def served(
    service: object,
    certified: Federation,
    settings: Settings | None = None,
    gate: Gate | None = None,
    office: object | None = None,
) -> AsyncIterator[str]:
    """Serve `service` with all interceptors of the process, and yield the address."""
    built = Built(settings or fakes.make_settings(), service, None, -1)
    if office is not None:
        built.__dict__["office"] = office  # in the place of the one that would be made of parts
    server = _server(built, HealthServicer(), gate)
    credentials = server_credentials(
        certified.server.certificate_pem,
        certified.server.key_pem,
        certified.authority.certificate_pem,
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


def channel_of(address: str, certified: Federation, uri: str) -> grpc.aio.Channel:
    """Return a channel of the peer that `uri` names in its certificate."""
    return open_channel(address, certified.forged(uri))
