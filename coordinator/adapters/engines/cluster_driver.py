"""The driver of a cluster: it listens for a coordinator of its machine, and serves one at a time.

It runs under the account that Ray runs under, so that nothing of a cluster runs under a
coordinator's. It reads no file of a coordinator, and a coordinator reads none of its.
"""

import os
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import structlog

from coordinator.config import DriverSettings
from privacy.errors import ConfigError, MissingDependency, PeerUnreachable

from . import ray_cluster
from .children import Child
from .cluster_access import ClusterAccess, check_cluster

log = structlog.get_logger()

_ROOT: Final = 0
_FOR_THE_GROUP_TOO: Final = 0o117


def serve_driver(settings: DriverSettings) -> None:
    """Hand what coordinators ask for to a cluster, until this process is ended.

    Raises:
        ConfigError: this is root's account; or the cluster lets anybody in, or has another
            token; or the socket cannot be made.
        MissingDependency: Ray is not installed.
    """
    if os.geteuid() == _ROOT:
        raise ConfigError(
            "a cluster's driver does not run as root: whoever gets into the cluster runs what they "
            "like in it; start it under the account that Ray runs under"
        )
    if find_spec("ray") is None:
        raise MissingDependency("Ray is not installed; install the extra `ray`")
    try:
        check_cluster(ClusterAccess(settings.address, settings.token, settings.tls))
    except PeerUnreachable as error:
        log.warning("cluster_away", reason=str(error))
    with _listening(settings.socket) as door:
        log.info("driving", socket=str(settings.socket), cluster=settings.address)
        while True:
            connection, _ = door.accept()
            with connection:
                _serve(connection, settings)


@contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        before = os.umask(_FOR_THE_GROUP_TOO)
        try:
            path.unlink(missing_ok=True)  # what the last process left
            door.bind(str(path))
        except OSError as error:
            reason = error.strerror or error
            raise ConfigError(f"socket: {path} cannot be made ({reason})") from None
        finally:
            os.umask(before)
        door.listen()
        yield door


def _serve(connection: socket.socket, settings: DriverSettings) -> None:
    child = Child(target=ray_cluster.drive, args=(connection, os.getpid(), settings))
    child.start()
    try:
        _until_one_has_gone(connection, child.sentinel)
    finally:
        # Not asked to end: a cluster that is gone would keep it waiting.
        child.kill()
        child.join()


def _until_one_has_gone(connection: socket.socket, child: int) -> None:
    waiting = select.poll()
    waiting.register(connection, select.POLLRDHUP)
    waiting.register(child, select.POLLIN)
    waiting.poll()
