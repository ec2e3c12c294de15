"""A connection of a site: outbound, to its coordinator, over TLS on both sides."""

from typing import Any

import grpc
import grpc.aio

from .proxy import host_of, route
from .releases import AsksRelease, with_release
from .tls import SiteCertificate, channel_credentials, joining_credentials

LARGEST_MESSAGE = (1 << 20) + (1 << 16)
"""Bytes: a chunk of at most 1 MiB and what is wrapped around it."""

KEEPALIVE_SECONDS = 75
"""Time between pings; load balancers forget idle connections after four minutes or more.

A server must permit it: `grpc.http2.min_ping_interval_without_data_ms` below this and
`grpc.keepalive_permit_without_calls`, or it closes the connection.
"""

_OPTIONS = (
    ("grpc.max_send_message_length", LARGEST_MESSAGE),
    ("grpc.max_receive_message_length", LARGEST_MESSAGE),
    ("grpc.keepalive_time_ms", KEEPALIVE_SECONDS * 1000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # a ping's answer comes behind what is under way: sooner would cut off who fetches at 64 kbit/s
    ("grpc.http2.ping_timeout_ms", 60_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # the probe lets buffers grow with bandwidth, to several times the memory, at no gain in speed
    ("grpc.http2.bdp_probe", 0),
    # a connection keeps what it reads into: unbounded, twice the most it ever had to read at once
    ("grpc.experimental.tcp_max_read_buffer_size", 64 << 10),
    # a coordinator that comes back is found within seconds; the default waits up to two minutes
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # a proxy is a setting of the site, never a surprise from the environment
    ("grpc.enable_http_proxy", 0),
    # a channel with a renewed certificate must not reuse a connection made with the old one
    ("grpc.use_local_subchannel_pool", 1),
)


def open_channel(
    address: str, site: SiteCertificate, *, server_name: str | None = None, proxy: str | None = None
) -> grpc.aio.Channel:
    """Return a channel to the coordinator at `address`, "host:port".

    The coordinator's certificate must name the host, or `server_name` where it is reached under
    another address. A call on a connection that cannot be made ends as UNAVAILABLE, whatever
    the cause; `unreachable.explain_unreachable` finds the cause.

    Args:
        proxy: "http://host:port" that takes HTTP CONNECT; None for none.

    Raises:
        ConfigError: grpc was imported before this package, so it would accept TLS 1.2.
    """
    asks: Any = AsksRelease()  # the stubs name a base class that no interceptor has
    return _open(address, channel_credentials(site), server_name, proxy, asks)


def open_joining_channel(
    address: str, authority_pem: bytes, *, server_name: str | None = None, proxy: str | None = None
) -> grpc.aio.Channel:
    """Return a channel to where those are answered who have no certificate; as `open_channel`."""
    return _open(address, joining_credentials(authority_pem), server_name, proxy)


def _open(
    address: str,
    credentials: grpc.ChannelCredentials,
    server_name: str | None,
    proxy: str | None,
    *interceptors: Any,  # noqa: ANN401
) -> grpc.aio.Channel:
    target, through = route(address, proxy)
    name = server_name or (host_of(address) if proxy else None)
    named = (("grpc.ssl_target_name_override", name),) if name else ()
    return grpc.aio.secure_channel(
        target,
        with_release(credentials),
        options=(*_OPTIONS, *through, *named),
        interceptors=interceptors,
    )
