"""A member's connection to its coordinator, and the reason where there is none."""

import asyncio
from datetime import UTC, datetime

from veilsum.files import read_file

from .channel import open_channel
from .config import CoordinatorAddress
from .coordinator import Coordinator
from .keys import SiteKeys
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

    async def explain() -> str:
        now = datetime.now(UTC)
        reason = await asyncio.to_thread(explain_unreachable, where.address, certificate, now=now)
        return str(reason)

    return Coordinator(open_channel(where.address, certificate), explain)
