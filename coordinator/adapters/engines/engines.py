"""Which engine adds up, as the settings have it."""

import structlog

from coordinator.config import Settings
from coordinator.fold.engine import Engine
from coordinator.ports import ObjectStore
from privacy.errors import ConfigError, PeerUnreachable

from .cluster import RayCluster
from .cluster_line import connect
from .processes import LocalProcesses

log = structlog.get_logger()

_BUCKET = "s3://"


def engine_of(settings: Settings, objects: ObjectStore) -> Engine:
    """Return the engine that the settings name, over a store that this process has opened.

    A cluster whose driver does not answer is not waited for: a fold will ask it again.

    Raises:
        ConfigError: the driver has an account that can read this process's keys, or the
            objects lie where only this account can read them.
    """
    engine = settings.engine
    here = LocalProcesses(objects, engine.processes, settings.s3)
    if engine.kind == "processes":
        return here
    assert engine.socket is not None  # the settings were checked when they were read
    if not objects.address.startswith(_BUCKET):
        raise ConfigError(
            f"engine.kind: a cluster has another account, which cannot read {objects.address}; set "
            "objects to a bucket"
        )
    try:
        connect(engine.socket).close()
    except PeerUnreachable as error:
        log.warning("cluster_away", reason=str(error))
    return RayCluster(objects, engine.socket, here)
