"""A member's connection to its coordinator, and the reason where there is none."""

import asyncio
from datetime import UTC, datetime

import grpc.aio

from participant.config import CoordinatorAddress
from participant.keys import SiteKeys
from veilsum.files import read_file

from .addresses import Addresses
from .channel import open_channel
from .coordinator import Coordinator
from .tls import SiteCertificate
from .unreachable import explain_unreachable


def connect(where: CoordinatorAddress, keys: SiteKeys) -> Coordinator:
    """Return the coordinator at an address, to which nothing has been said yet.

    Raises:
        ConfigError: a file that the configuration names cannot be read.
    """
    certificate = SiteCertificate(
        read_file(where.authority), read_file(where.certificate), keys.tls_pem
    )

    addresses = (where.address, *where.alternatives)

    async def explain() -> str:
        now = datetime.now(UTC)
        reasons = [
            asyncio.to_thread(explain_unreachable, each, certificate, now=now) for each in addresses
        ]
        return "; ".join(str(reason) for reason in await asyncio.gather(*reasons))

    def channel() -> grpc.aio.Channel:
        channels = [open_channel(each, certificate) for each in addresses]
        return channels[0] if len(channels) == 1 else Addresses(channels)

    return Coordinator(channel(), explain, channel())
