"""A member's connection to its coordinator, and the reason where there is none."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from participant.config import CoordinatorAddress
from participant.keys import SiteKeys
from privacy.failpoints import Step, pass_by
from privacy.sealing import Entropy

from .connections import Connections, newest
from .coordinator import Coordinator
from .rotation import MemberConfig, Rotation


def connect(where: CoordinatorAddress, keys: SiteKeys) -> Coordinator:
    """Return the coordinator at an address, to which nothing has been said yet.

    For who is done before a certificate is renewed; others call `connected`.

    Raises:
        ConfigError: a file that the configuration names cannot be read.
    """
    return _coordinator(Connections(where, newest(where, keys)))


@asynccontextmanager
async def connected(
    config: MemberConfig, keys: SiteKeys, entropy: Entropy, step: Step = pass_by
) -> AsyncIterator[Coordinator]:
    """Give a member its coordinator, and renew its certificate as long as it has it.

    Args:
        entropy: by how much a renewal is early or late.

    Raises:
        ConfigError: a file that the configuration names cannot be read.
    """
    connections = Connections(config.coordinator, newest(config.coordinator, keys))
    coordinator = _coordinator(connections)
    rotation = Rotation(config, keys, connections, coordinator, entropy, step)
    try:
        async with rotation.running():
            yield coordinator
    finally:
        await coordinator.close()


def _coordinator(connections: Connections) -> Coordinator:
    return Coordinator(
        connections.channel(), connections.explain, connections.channel(), connections.turns
    )
