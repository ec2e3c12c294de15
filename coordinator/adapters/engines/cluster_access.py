"""Whether a Ray cluster lets in those who have its token, and nobody else.

Whoever gets into a Ray cluster runs what they like on it. So the cluster is asked without the
token before it is asked with it, and one that answers either way, or neither, is no cluster of
ours. Nothing of Ray is needed to ask.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import grpc

from coordinator.config import EngineTls
from privacy.errors import ConfigError, PeerUnreachable
from veilsum.files import read_file, read_secret

SHORTEST_TOKEN: Final = 32

_ALIVE: Final = "/ray.rpc.NodeInfoGcsService/CheckAlive"
_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """Where a cluster is, and the files with which it is entered.

    Attributes:
        tls: what the cluster's machines show each other; None for a cluster of one machine.
    """

    address: str
    token: Path
    tls: EngineTls | None = None


def check_cluster(access: ClusterAccess) -> None:
    """Return if the cluster knows the token, and refuses who has none.

    Raises:
        ConfigError: it lets anybody in, or refuses the token; or the token would leave this
            machine in the clear; or a file is not what it must be.
        PeerUnreachable: nobody answers there, or it speaks another TLS.
    """
    if access.tls is None:
        _check_own(access.address)
    token = _token(access.token)
    with _channel(access) as channel:
        if _answers(channel, access, ()):
            raise ConfigError(
                f"address: {access.address} lets in whoever connects, and they could run "
                "what they like there; start the cluster with RAY_AUTH_MODE=token"
            )
        if not _answers(channel, access, (("authorization", f"Bearer {token}"),)):
            raise ConfigError(
                f"token: {access.token} has another token than the cluster at {access.address}"
            )


def environment(access: ClusterAccess) -> dict[str, str]:
    """Return what Ray must find in the environment before it is imported."""
    said = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(access.token.absolute()),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_USE_TLS": "0",
    }
    if access.tls is not None:
        said["RAY_USE_TLS"] = "1"
        said["RAY_TLS_SERVER_CERT"] = str(access.tls.certificate.absolute())
        said["RAY_TLS_SERVER_KEY"] = str(access.tls.key.absolute())
        said["RAY_TLS_CA_CERT"] = str(access.tls.authority.absolute())
    return said


def _check_own(address: str) -> None:
    host = address.rpartition(":")[0].strip("[]")
    try:
        family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as own:
            own.bind((host, 0))  # nobody can but at an address of their own
    except (ValueError, OSError):
        raise ConfigError(
            f"address: the token would go to {host} in the clear; without tls, name an IP address "
            "of this machine"
        ) from None


def _token(path: Path) -> str:
    token = read_secret(path).decode("ascii", "replace").strip()
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
        raise ConfigError(
            f"token: {path} has not {SHORTEST_TOKEN} letters or digits; make one with: "
            f"openssl rand -hex 32 > {path}"
        )
    return token


def _channel(access: ClusterAccess) -> grpc.Channel:
    if access.tls is None:
        return grpc.insecure_channel(access.address)
    credentials = grpc.ssl_channel_credentials(
        read_file(access.tls.authority),
        read_secret(access.tls.key),
        read_file(access.tls.certificate),
    )
    return grpc.secure_channel(access.address, credentials)


def _answers(
    channel: grpc.Channel, access: ClusterAccess, metadata: tuple[tuple[str, str], ...]
) -> bool:
    ask: Callable[..., bytes] = channel.unary_unary(_ALIVE, _unchanged, _unchanged)
    try:
        ask(b"", timeout=_SECONDS, metadata=metadata)
    except grpc.RpcError as error:
        code, details = error.code(), error.details() or ""
        if code is grpc.StatusCode.UNAUTHENTICATED:
            return False
        raise PeerUnreachable(
            f"address: no Ray cluster answers at {access.address} ({code.name}: {details[:200]})"
        ) from None
    return True


def _unchanged(body: bytes) -> bytes:
    return body
