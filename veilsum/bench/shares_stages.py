"""The stages of a sum in shares, each timed as it runs: protect at sites, fold at a seat, open.

Each role runs in a process of its own and finds what others made in a folder. Making the
values, reading and writing are not counted. Figures are medians over chunks and sites, of a
core's own time: what others do on the machine is not counted as ours.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import process_time
from typing import TypeVar

import msgspec
import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

from privacy.schemes.keystream import UpdateContext
from privacy.schemes.shares.layout import (
    COMPONENTS,
    SEATS,
    WORDS_PER_LEAF,
    SharesParameters,
    held_by,
)
from privacy.schemes.shares.norm_bound import Projections
from privacy.schemes.shares.opening import SharesRevealer
from privacy.schemes.shares.replicated import PairSecrets, ProductShare, signed, zero_shares
from privacy.schemes.shares.seat_sum import Blocks, HeldShares, SeatCombiner, takes_payload
from privacy.schemes.shares.sharing import (
    SharesProtector,
    UpdateSecrets,
    open_as_seat,
    seal_for_seats,
)
from privacy.sealing import HpkeKeyPair

from .workload import Workload

Result = TypeVar("Result")

_MICROSECONDS = 1e6


class SiteTimes(msgspec.Struct, frozen=True):
    """What a site takes, in microseconds for each parameter, and what it sends, in bytes."""

    protect_us: float
    aes_ctr_us: float
    bytes_up: float
    seals_bytes: int


class SeatTimes(msgspec.Struct, frozen=True):
    """What a seat takes for one site, in microseconds for each parameter.

    `norms` and `dots` are its shares, masked: one for each site; empty where words are packed.
    """

    fold_us: float
    accept_us: float
    finish_us: float
    norm_us: float
    dot_us: float
    bound_us: float
    expand_us: float
    norms: list[int]
    dots: list[int]


@dataclass(frozen=True)
class Parties:
    """Keys and secrets of all parties of a measurement; each stage takes its own from it."""

    seats: tuple[HpkeKeyPair, ...]
    pairs: tuple[PairSecrets, ...]
    coin: bytes

    @classmethod
    def generate(cls) -> "Parties":
        """Draw everything from the operating system."""
        pairs = [os.urandom(32) for _ in range(COMPONENTS)]
        return cls(
            tuple(HpkeKeyPair.generate(os.urandom) for _ in range(SEATS)),
            tuple(
                PairSecrets(seat, (pairs[held_by(seat)[0]], pairs[held_by(seat)[1]]))
                for seat in range(SEATS)
            ),
            os.urandom(32),
        )


def protect(
    parameters: SharesParameters, parties: Parties, workload: Workload, folder: Path
) -> SiteTimes:
    """Split every distinct vector into `folder`, as each site does with its own."""
    geometry, publics = workload.geometry, [pair.public for pair in parties.seats]
    splitting, counting, length, seals = [], [], 0, 0
    for vector in range(workload.distinct):
        secrets = UpdateSecrets.generate(os.urandom)
        sealed = seal_for_seats(secrets, _context(vector), publics)
        for seat, each in enumerate(sealed):
            _seal(folder, vector, seat).write_bytes(each)
        seals = sum(map(len, sealed))
        length += seals
        protector = SharesProtector(parameters, geometry.dimension, _context(vector), secrets)
        for chunk in range(geometry.chunks):
            values = workload.values(vector, chunk)
            payload, seconds = _timed(protector.protect, chunk, values)
            splitting.append(seconds / values.size)
            counting.append(_aes_ctr_alone(parameters, values.size) / values.size)
            _payload(folder, vector, chunk).write_bytes(payload)
            length += len(payload)
    return SiteTimes(
        median(splitting) * _MICROSECONDS,
        median(counting) * _MICROSECONDS,
        length / workload.distinct / geometry.dimension,
        seals,
    )


def fold(
    seat: int, parameters: SharesParameters, parties: Parties, workload: Workload, folder: Path
) -> SeatTimes:
    """Add all updates at one seat into `folder`, chunk by chunk, and answer all questions."""
    at = _Seat(seat, parameters, parties, workload, folder)
    for chunk in range(workload.geometry.chunks):
        at.fold(chunk)
    return at.times()


def open_sum(
    parameters: SharesParameters, workload: Workload, folder: Path
) -> tuple[float, bool, float]:
    """Open the sum that two seats give, with the third's roots.

    Returns:
        Microseconds for each parameter, whether all of it is the plaintext sum, and bytes that
        came for each parameter.
    """
    geometry = workload.geometry
    revealer = SharesRevealer(parameters, geometry.dimension)
    taken, length, exact = [], 0, True
    for chunk in range(geometry.chunks):
        total = b"".join(_total(folder, seat, chunk).read_bytes() for seat in range(SEATS))
        length += len(total)
        opened, seconds = _timed(revealer.reveal, chunk, total, workload.participants)
        taken.append(seconds / opened.size)
        exact = exact and np.array_equal(opened, workload.total(chunk))
    return median(taken) * _MICROSECONDS, exact, length / geometry.dimension


class _Seat:
    """One seat over all chunks of all sites; as many blocks in memory as there are sites."""

    def __init__(
        self,
        seat: int,
        parameters: SharesParameters,
        parties: Parties,
        workload: Workload,
        folder: Path,
    ) -> None:
        self._seat, self._parameters, self._workload = seat, parameters, workload
        self._folder, self._pairs = folder, parties.pairs[seat]
        self._combiner = SeatCombiner(parameters, workload.geometry.dimension, seat)
        self._held = [self._holding(parties.seats[seat], v) for v in range(workload.distinct)]
        # One site's blocks each, written over from chunk to chunk.
        self._blocks: list[Blocks | None] = [None] * workload.distinct
        self._rows = Projections(parties.coin)
        sites = range(workload.distinct if parameters.scored else 0)
        self._norms = [ProductShare(parameters) for _ in sites]
        self._dots = [ProductShare(parameters) for _ in sites]
        self._seconds: dict[str, list[float]] = {
            name: [] for name in ("fold", "accept", "finish", "norm", "dot", "bound", "expand")
        }

    def fold(self, chunk: int) -> None:
        """Add one chunk of all sites, then answer what is asked of each."""
        size = self._workload.geometry.values_in(chunk)
        addition = self._combiner.begin(chunk)
        for participant in range(self._workload.participants):
            vector = participant % self._workload.distinct
            payload = self._payload(vector, chunk)
            spare = self._blocks[vector]
            blocks, seconds = _timed(addition.add, self._held[vector], payload, spare)
            self._blocks[vector] = blocks
            # Nothing is added to the first; it is only read.
            if participant:
                self._note("fold", seconds, size)
        for name, act in (("accept", self._held[0].roots), ("expand", self._held[0].blocks)):
            _, seconds = _timed(act, chunk, self._payload(0, chunk), self._blocks[0])
            self._note(name, seconds, size)
        total, seconds = _timed(addition.total)
        self._note("finish", seconds, size)
        first, second = (total.blocks[component] for component in held_by(self._seat))
        self._ask(chunk, (first, second), size)
        # Components 0 and 1 from the first seat, 2 from the second, and roots from the third.
        given = {0: (0, 1), 1: (2,), 2: ()}[self._seat]
        _total(self._folder, self._seat, chunk).write_bytes(total.only(*given).encode())

    def times(self) -> SeatTimes:
        """Return medians, and the shares of what was asked."""
        found = {
            f"{name}_us": median(each or [0.0]) * _MICROSECONDS
            for name, each in self._seconds.items()
        }
        return SeatTimes(
            **found,
            norms=[share.masked(self._zero(v, "norm")) for v, share in enumerate(self._norms)],
            dots=[share.masked(self._zero(v, "dot")) for v, share in enumerate(self._dots)],
        )

    def _ask(self, chunk: int, total: Blocks, size: int) -> None:
        if not self._parameters.scored:
            return
        kept = [blocks for blocks in self._blocks if blocks]
        for norm, dot, blocks in zip(self._norms, self._dots, kept, strict=True):
            self._note("norm", _timed(norm.add_square, blocks)[1], size)
            self._note("dot", _timed(dot.add_product, blocks, total)[1], size)
        components = [block for blocks in kept for block in blocks]
        _, seconds = _timed(self._rows.project, chunk, components)
        self._note("bound", seconds / len(components), size)

    def _holding(self, pair: HpkeKeyPair, vector: int) -> HeldShares:
        sealed = _seal(self._folder, vector, self._seat).read_bytes()
        secrets = open_as_seat(pair, _context(vector), self._seat, sealed)
        dimension = self._workload.geometry.dimension
        return HeldShares(self._parameters, dimension, _context(vector), secrets)

    def _payload(self, vector: int, chunk: int) -> bytes | None:
        if not takes_payload(self._seat):
            return None
        return _payload(self._folder, vector, chunk).read_bytes()

    def _zero(self, vector: int, question: str) -> int:
        return int(zero_shares(self._pairs, _context(vector), question)[0])

    def _note(self, name: str, seconds: float, size: int) -> None:
        self._seconds[name].append(seconds / size)


def products(workload: Workload) -> Iterator[tuple[int, int]]:
    """Yield each distinct vector's squared norm and its dot product with the plaintext sum.

    As numbers between -2^63 and 2^63 - 1, modulo 2^64: uniform vectors of many bits are longer
    than a clip that leaves room for products.
    """
    for vector in range(workload.distinct):
        norm = dot = 0
        for chunk in range(workload.geometry.chunks):
            values = workload.values(vector, chunk)
            norm += int(values @ values)
            dot += int(values @ workload.total(chunk))
        yield signed(norm), signed(dot)


def _aes_ctr_alone(parameters: SharesParameters, values: int) -> float:
    # What no implementation of this scheme can do without: two streams over the same words.
    words = np.ones(parameters.leaves_in(values) * WORDS_PER_LEAF, np.uint64)
    plain, target = words.view(np.uint8).data, np.ones_like(words).view(np.uint8).data
    seconds = 0.0
    for _ in range(2):
        cipher = Cipher(AES256(os.urandom(32)), CTR(bytes(16)))
        seconds += _timed(cipher.encryptor().update_into, plain, target)[1]
    return seconds


def _timed(act: Callable[..., Result], *arguments: object) -> tuple[Result, float]:
    start = process_time()
    result = act(*arguments)
    return result, process_time() - start


def _context(vector: int) -> UpdateContext:
    return UpdateContext("bench", 1, f"site-{vector}")


def _seal(folder: Path, vector: int, seat: int) -> Path:
    return folder / f"seal-{vector}-{seat}"


def _payload(folder: Path, vector: int, chunk: int) -> Path:
    return folder / f"payload-{vector}-{chunk}"


def _total(folder: Path, seat: int, chunk: int) -> Path:
    return folder / f"total-{seat}-{chunk}"
