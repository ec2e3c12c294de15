"""Where a process's metrics can be fetched."""

from typing import Annotated, TypeAlias

import msgspec

MetricsAddress: TypeAlias = Annotated[
    str, msgspec.Meta(pattern=r"^(([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):)?[0-9]{1,5}\Z")
]
"""`9464`: that port on loopback; or a host and a port, `192.0.2.7:9464`."""

_LOOPBACK = "127.0.0.1"


def host_and_port(address: str) -> tuple[str, int]:
    """Return where to listen for `address`; on loopback, where it names no host."""
    host, _, port = address.rpartition(":")
    return host.strip("[]") or _LOOPBACK, int(port)
