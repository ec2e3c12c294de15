"""How often one address may ask, where callers have no name yet."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import Final
from urllib.parse import unquote

from privacy.errors import TooManyRequests

BURST: Final = 5
PER_SECOND: Final = 1.0

MOST_ADDRESSES: Final = 4096
"""Addresses that are remembered; of more, those that have been silent the longest are forgotten."""


@dataclass
class Pace:
    """Lets each address ask so many times at once, and then so often.

    Args:
        monotonic: seconds that only grow.
    """

    monotonic: Callable[[], float]
    _left: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def take(self, peer: str) -> None:
        """Count one question of a peer, as gRPC names it.

        Raises:
            TooManyRequests: it has asked too often; it waits.
        """
        address, now = _address(peer), self.monotonic()
        left, at = self._left.pop(address, (float(BURST), now))
        left = min(float(BURST), left + (now - at) * PER_SECOND)
        self._left[address] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > MOST_ADDRESSES:
            self._left.popitem(last=False)
        if left < 1:
            raise TooManyRequests(
                f"{address}: more than {BURST} questions at once, or {PER_SECOND:.0f} a second"
            )


def _address(peer: str) -> str:
    """Return what is counted: an address, or the network of one that IPv6 gives to a household."""
    host = unquote(peer).partition(":")[2].rpartition(":")[0].strip("[]")
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return "local"
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Address(int(found) >> 64 << 64)) + "/64"
