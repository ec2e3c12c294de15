"""What a contract has logged: each endpoint is asked by itself, in ranges that nodes accept.

That nothing was logged can be proved by nobody. So whatever one endpoint tells is passed on, and
whoever asks compares it with the contract.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog
from web3 import Web3
from web3.exceptions import Web3RPCError as RpcError
from web3.types import LogReceipt

from privacy.errors import ChainUnavailable

from .endpoint import Contract, Endpoint, translated
from .finality import name_of

log = structlog.get_logger()

MOST_BLOCKS: Final = 1_000
"""Asked for at once; a node that refuses so many is asked for half as many, and so on."""


TELLING_SECONDS: Final = 30.0
"""For one endpoint: one that says it has endless blocks must not keep who has a deadline."""


@dataclass(frozen=True, slots=True)
class Logged:
    """One event: the number of its block, its arguments, and the transaction's hash in hex."""

    block: int
    arguments: Mapping[str, Any]
    transaction: str


@dataclass(frozen=True, slots=True)
class Found:
    """The events that any endpoint knows of.

    Attributes:
        by_all: whether each endpoint has told all that it knows.
        until: the last block of which each endpoint has told; before `first`, if one told nothing.
    """

    events: tuple[Logged, ...]
    by_all: bool
    until: int


def logged(
    endpoint: Endpoint, contract: Contract, event: str, filters: Mapping[str, object], first: int
) -> Found:
    """Return the events of a contract from block `first` to the newest.

    Args:
        filters: what indexed arguments must be.

    Raises:
        ChainUnavailable: no endpoint answers.
    """
    found: dict[tuple[int, int, str], Logged] = {}
    reached: list[_Reached] = []
    for web3 in endpoint.finality.each:
        try:
            with translated():
                asked = _asking(web3, contract, event, filters)
                reached.append(_tell(web3, asked, first, found))
        except ChainUnavailable as error:
            log.warning("events_not_told", host=name_of(web3), reason=str(error))
    if not reached:
        raise ChainUnavailable(f"no endpoint tells the events {event}; this is tried again")
    are_all = len(reached) == len(endpoint.finality.each)
    return Found(
        events=tuple(found[place] for place in sorted(found)),
        by_all=are_all and all(each.is_newest for each in reached),
        until=min(each.until for each in reached) if are_all else first - 1,
    )


def block_at(endpoint: Endpoint, seconds: int) -> int:
    """Return the first block whose time is `seconds` (Unix) or later; the newest, if none is.

    Raises:
        ChainUnavailable: the endpoint does not answer.
    """
    with translated():
        return _block_at(endpoint.web3, seconds)


def earliest_block_at(endpoint: Endpoint, seconds: int) -> int:
    """Return what `block_at` does: the earliest that any endpoint tells.

    Raises:
        ChainUnavailable: no endpoint answers.
    """
    found = []
    for web3 in endpoint.finality.each:
        try:
            with translated():
                found.append(_block_at(web3, seconds))
        except ChainUnavailable as error:
            log.warning("blocks_not_told", host=name_of(web3), reason=str(error))
    if not found:
        raise ChainUnavailable("no endpoint tells the times of its blocks; this is tried again")
    return min(found)


def _block_at(web3: Web3, seconds: int) -> int:
    low, high = 0, int(web3.eth.block_number)
    while low < high:
        middle = (low + high) // 2
        if web3.eth.get_block(middle)["timestamp"] >= seconds:
            high = middle
        else:
            low = middle + 1
    return low


@dataclass(frozen=True, slots=True)
class _Reached:
    """How far one endpoint has told, and whether that is its newest block."""

    until: int
    is_newest: bool


def _tell(
    web3: Web3,
    ask: Callable[[int, int], list[LogReceipt]],
    first: int,
    found: dict[tuple[int, int, str], Logged],
) -> _Reached:
    """Add what one endpoint knows to `found`, as far as it comes in the time that it has."""
    # Its own newest block: what is above it this endpoint does not know. It may be a lie; the
    # lowest of all endpoints is no bound either, since one that stands still would hide the rest.
    last, most, end = int(web3.eth.block_number), MOST_BLOCKS, time.monotonic() + TELLING_SECONDS
    start = first
    while first <= last and (first == start or time.monotonic() < end):
        until = min(first + most - 1, last)
        try:
            events = ask(first, until)
        except RpcError:
            if most == 1:
                raise
            most //= 2
        else:
            found.update({_place(each): _logged(each) for each in events})
            first = until + 1
    if first <= last:
        log.warning("events_told_in_part", host=name_of(web3), until=first - 1, newest=last)
    return _Reached(min(first - 1, last), is_newest=first > last)


def _asking(
    web3: Web3, contract: Contract, event: str, filters: Mapping[str, object]
) -> Callable[[int, int], list[LogReceipt]]:
    events = web3.eth.contract(address=contract.address, abi=contract.abi).events[event]()

    def ask(first: int, until: int) -> list[LogReceipt]:
        told = events.get_logs(from_block=first, to_block=until, argument_filters=dict(filters))
        return list(told)

    return ask


def _place(each: LogReceipt) -> tuple[int, int, str]:
    return each["blockNumber"], each["logIndex"], each["blockHash"].hex()


def _logged(each: LogReceipt) -> Logged:
    arguments = dict(each["args"])  # type: ignore[typeddict-item]
    return Logged(each["blockNumber"], arguments, each["transactionHash"].to_0x_hex())
