"""Hide an update, chunk by chunk, on its way into the outbox.

TenSEAL holds Python's lock while it encrypts, so that threads would take turns: a long
update is encrypted by processes, as many as there are cores. Each is handed one chunk's
integers at a time through a pipe, and writes nothing but what it has encrypted.
"""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from participant.pace import Pace, Say, say_nothing
from participant.training import child
from privacy import plan as plans
from privacy.errors import PeerUnreachable
from privacy.merkle import piece_root
from privacy.plan import CKKS, Plan
from privacy.records import COORDINATOR, Piece
from privacy.schemes.base import Protector
from privacy.schemes.ckks import CkksProtector
from privacy.schemes.ckks_sum import CkksCombiner
from privacy.schemes.masks import Mask
from veilsum.files import write_durably

MakeProtector: TypeAlias = Callable[[Plan, bytes, bytes], Protector]
"""Makes a protector from a plan, a public key and the secret of a mask; found by its name in
another process."""

POOL_FROM_VALUES = 1 << 22
"""An update shorter than this is encrypted before the processes of a pool would be ready."""

_IN_FLIGHT = 2
"""Chunks for each process: one at work, one on its way."""

_Written: TypeAlias = tuple[int, bytes, int]
"""One chunk of the outbox: its index, its Merkle root, its length in bytes."""


def ckks_protector(plan: Plan, public_key: bytes, mask: bytes) -> Protector:
    """Return what encrypts updates under a round's plan and key, and the mask of a secret."""
    parameters = plan.parameters()
    masked = Mask(parameters, mask, bytes.fromhex(plan.digest()))
    return CkksProtector(parameters, plan.arithmetic.dimension, public_key, masked)


def protect(
    plan: Plan,
    public_key: bytes,
    mask: bytes,
    update: NDArray[np.int64],
    folder: Path,
    *,
    make: MakeProtector = ckks_protector,
    say: Say = say_nothing,
    processes: int | None = None,
) -> Piece:
    """Write the protected chunks of `update` to `folder` and say what they hash to.

    Args:
        mask: secret of the mask, 32 bytes.
        update: shape (dimension,), grid integers.
        folder: an empty folder of the outbox.
        say: is told now and then how far it is.
        processes: how many encrypt; if None, as many as there are cores for this process, or
            this one alone where the update is short.

    Raises:
        UpdateOutOfRange: a value does not fit the plan's grid.
        StoreUnavailable: the disk refuses; what is in the folder was never finished.
        PeerUnreachable: an encrypting process died; nor was it then.
    """
    arithmetic = plan.arithmetic
    processes = _processes(arithmetic.dimension) if processes is None else processes
    # Made here in either case: what is wrong with the key is said before anything is written.
    press = _Press(plan, make(plan, public_key, mask), folder)
    pool = (make, plans.pack(plan), public_key, mask, str(folder))
    written = _in_pool(press, pool, update, processes) if processes > 1 else _here(press, update)
    roots, length = [b""] * arithmetic.chunks, 0
    pace = Pace(arithmetic.chunks, say)
    for chunk, root, size in written:
        roots[chunk] = root
        length += size
        pace.step(size)
    return Piece(COORDINATOR, CKKS, piece_root(roots).hex(), arithmetic.chunks, length)


class _Press:
    """Protects chunks of one update into one folder, in whichever process."""

    def __init__(self, plan: Plan, protector: Protector, folder: Path) -> None:
        parameters, dimension = plan.parameters(), plan.arithmetic.dimension
        self.geometry = parameters.geometry(dimension)
        self._combiner = CkksCombiner(parameters, dimension)
        self._protector = protector
        self._folder = folder

    def put(self, chunk: int, values: NDArray[np.int64]) -> _Written:
        payload = self._protector.protect(chunk, values)
        # Checked as the coordinator will: what it would refuse must not be committed.
        root = self._combiner.check(chunk, payload)
        write_durably(self._folder / f"{chunk:08d}", payload)
        return chunk, root, len(payload)


def _here(press: _Press, update: NDArray[np.int64]) -> Iterator[_Written]:
    for chunk in range(press.geometry.chunks):
        yield press.put(chunk, update[press.geometry.span(chunk)])


def _in_pool(
    press: _Press,
    arguments: tuple[MakeProtector, bytes, bytes, bytes, str],
    update: NDArray[np.int64],
    processes: int,
) -> Iterator[_Written]:
    context = multiprocessing.get_context("spawn")
    todo = iter(range(press.geometry.chunks))
    with ProcessPoolExecutor(processes, context, _begin, arguments) as pool:

        def submitted(count: int) -> set[Future[_Written]]:
            spans = ((chunk, press.geometry.span(chunk)) for chunk in islice(todo, count))
            return {pool.submit(_write, chunk, update[span].tobytes()) for chunk, span in spans}

        try:
            flying = submitted(_IN_FLIGHT * processes)
            while flying:
                done, flying = wait(flying, return_when=FIRST_COMPLETED)
                flying |= submitted(len(done))
                for future in done:
                    yield future.result()
        except BrokenProcessPool:
            raise PeerUnreachable(
                "a process that encrypts for this site died, perhaps for lack of memory; nothing "
                "has left, and the contribution is made again"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _processes(values: int) -> int:
    return len(os.sched_getaffinity(0)) if values >= POOL_FROM_VALUES else 1


# What a process of the pool has; every other process has none.
_presses: list[_Press] = []


def _begin(
    make: MakeProtector, packed_plan: bytes, public_key: bytes, mask: bytes, folder: str
) -> None:
    child.begin()
    plan = plans.unpack(packed_plan)
    _presses[:] = [_Press(plan, make(plan, public_key, mask), Path(folder))]


def _write(chunk: int, values: bytes) -> _Written:
    (press,) = _presses
    return press.put(chunk, np.frombuffer(values, np.int64))
