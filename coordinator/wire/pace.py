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

OF_ALL: Final = 20
"""So many times what one address may ask, all of them together may: in bursts, and a second."""

MOST_ADDRESSES: Final = 4096
"""Addresses that are remembered; of more, those that have been silent the longest are forgotten."""


@dataclass
class Bucket:
    """So many turns at once, and then so many a second.

    Args:
        monotonic: seconds that only grow.
    """

    burst: float
    per_second: float
    monotonic: Callable[[], float]

    def __post_init__(self) -> None:
        self._left, self._at = self.burst, self.monotonic()

    def take(self) -> bool:
        """Take a turn; return whether there was one."""
        now = self.monotonic()
        self._left = min(self.burst, self._left + (now - self._at) * self.per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


@dataclass
class Pace:
    """Lets each address ask so many times at once, and then so often; all of them, somewhat more.

    Whoever has many addresses is held by what all have together.

    Args:
        monotonic: seconds that only grow.
    """

    monotonic: Callable[[], float]
    burst: int = BURST
    per_second: float = PER_SECOND
    _of: OrderedDict[str, Bucket] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self._all = self._bucket(OF_ALL)

    def take(self, peer: str) -> None:
        """Count one question of a peer, as gRPC names it.

        Raises:
            TooManyRequests: it has asked too often, or all have; it waits.
        """
        address = address_of(peer)
        bucket = self._of.pop(address, None) or self._bucket()
        self._of[address] = bucket
        if len(self._of) > MOST_ADDRESSES:
            self._of.popitem(last=False)
        if not bucket.take():
            raise TooManyRequests(
                f"{address}: more than {self.burst} questions at once, or "
                f"{self.per_second:.0f} a second"
            )
        if not self._all.take():
            raise TooManyRequests(
                f"all addresses together: more than {OF_ALL * self.burst} questions at once, or "
                f"{OF_ALL * self.per_second:.0f} a second"
            )

    def _bucket(self, times: int = 1) -> Bucket:
        return Bucket(times * self.burst, times * self.per_second, self.monotonic)


def address_of(peer: str) -> str:
    """Return what is counted of a peer, as gRPC names it: its address, or its network.

    IPv6 gives a household a network of more addresses than can be counted.
    """
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
