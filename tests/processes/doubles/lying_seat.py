"""A seat that lies; in all else it is the product's own.

Run as `python -m tests.processes.doubles.lying_seat AGGREGATOR.toml`. Until it has stated sums
twice, a bit of them is not that of the sites, and it shows the same to an auditor. After that
it states, of each round, sums that it has stated before.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from msgspec.structs import replace

from participant.keys import load_keys
from participant.seat import showing
from participant.seat.config import AggregatorConfig, read
from participant.seat.holding import Holding
from participant.seat.run import serve
from participant.sending.sign import sign
from participant.wire.seat_calls import SeatCalls
from participant.wire.whole import Whole
from privacy import canonical
from privacy.documents import Signed
from privacy.errors import VeilsumError
from privacy.records import SeatSum
from privacy.schemes.shares import seat_sum
from privacy.schemes.shares.layout import Words, block_root, held_by
from privacy.schemes.shares.seat_total import SeatTotal
from veilsum.process import exit_status, failpoints, start_log

COMPONENT, CHUNK, LEAF, WORD = 2, 1, 3, 7
"""Where it lies: one bit of one word, which another seat holds, too."""

LIES = 2
"""Rounds whose sums it changes; later ones get old statements."""

log = structlog.get_logger()


def lie() -> None:
    """Change one bit of every sum that this process adds, and of what it shows of them."""
    _lie_in_sums()
    _lie_in_disputes()


def _flipped(chunk: int, component: int, block: Words) -> Words:
    if (chunk, component) != (CHUNK, COMPONENT):
        return block
    changed = block.copy()
    changed[LEAF, WORD] ^= np.uint64(1)
    return changed


def _lie_in_sums() -> None:
    class Lying(seat_sum.SeatAddition):
        def total(self) -> SeatTotal:
            true = super().total()
            blocks = {each: _flipped(true.chunk, each, true.blocks[each]) for each in true.blocks}
            first, second = (block_root(true.chunk, block) for block in blocks.values())
            return SeatTotal(true.seat, true.chunk, (first, second), blocks)

    seat_sum.SeatAddition = Lying  # type: ignore[misc]


def _lie_in_disputes() -> None:
    added, totalled = showing._add_chunk, Holding.total

    def total(self: Holding, chunk: int) -> tuple[Words, Words]:
        first, second = held_by(self.seat)
        one, other = totalled(self, chunk)
        return _flipped(chunk, first, one), _flipped(chunk, second, other)

    def add_chunk(holding: Holding, at: int, chunk: int, sites: Any) -> bytes:
        added(holding, at, chunk, sites)
        return block_root(chunk, holding.total(chunk)[at])

    Holding.total, showing._add_chunk = total, add_chunk  # type: ignore[method-assign]


def repeat(config: AggregatorConfig) -> None:
    """State old sums instead of new ones, as they are and under the new round's number."""
    stated: list[Signed] = []
    put, key = SeatCalls.put_sum, load_keys(config.state / "keys").signing

    async def put_sum(self: SeatCalls, statement: Signed, sums: Whole[tuple[int, bytes]]) -> None:
        if statement not in stated:
            stated.append(statement)
        if len(stated) <= LIES:
            return await put(self, statement, sums)
        old, new = (canonical.decode(each.body, SeatSum) for each in (stated[0], statement))
        moved = replace(old, round=new.round, plan=new.plan)
        await _try(put(self, stated[0], sums), "old")
        return await put(self, sign(moved, config.participant, key), sums)

    SeatCalls.put_sum = put_sum  # type: ignore[method-assign]


async def _try(call: Any, what: str) -> None:
    try:
        await call
    except VeilsumError as error:
        log.info("lie_refused", what=what, code=error.code, reason=str(error))
    else:
        log.info("lie_taken", what=what)


if __name__ == "__main__":
    start_log()
    with exit_status():
        mine = read(Path(sys.argv[1]))
        lie()
        repeat(mine)
        asyncio.run(serve(mine, failpoints()))
