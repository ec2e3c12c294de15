"""Why nobody can listen at an address: another does, or what is to answer there is wrong."""

import socket
from contextlib import closing

from privacy.errors import AddressTaken, ConfigError, VeilsumError


def cannot_listen(setting: str, address: str, otherwise: str) -> VeilsumError:
    """Return the error for an address where gRPC has just failed to listen.

    Args:
        setting: the name of the setting that has the address.
        otherwise: what is wrong if the address is free.
    """
    if _is_free(address):
        return ConfigError(f"{setting}: {address}: {otherwise}")
    return AddressTaken(f"{setting}: {address} is in use or not this machine's")


def _is_free(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        found = socket.getaddrinfo(
            host.strip("[]") or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except ValueError:
        return True  # no port: nothing of the machine makes it one
    except OSError:
        return False  # a name that nobody knows, or not yet
    return any(_can_bind(family, place) for family, *_, place in found)


def _can_bind(family: int, place: tuple[object, ...]) -> bool:
    try:
        with closing(socket.socket(family, socket.SOCK_STREAM)) as tried:
            # As gRPC does: what was closed a moment ago is no other process.
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(place)
    except OSError:
        return False
    return True
