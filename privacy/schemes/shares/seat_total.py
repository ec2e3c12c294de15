"""One chunk of a seat's sums, as it goes to those who open: roots of both, words of either.

All integers of the header are big-endian:

    marker       4 bytes   b"VSST"
    version      u8        1
    seat         u8        0 to 2
    given        u8        bit c is set where the words of component c follow
    reserved     u8        0
    chunk        u32       index of the chunk
    leaves       u32       leaves of a block
    roots        2·32      of the seat's two components, in its order

Then for each component given, in the seat's order, 1,024 words of 8 bytes, little-endian, for
each leaf. Two seats show the same component: one of them may give its root alone.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from privacy.errors import MalformedMessage, RootMismatch

from .layout import WORD_BYTES, WORDS_PER_LEAF, Words, block_root, held_by

_MARKER: Final = b"VSST"
_VERSION: Final = 1
_HEADER: Final = struct.Struct(">4sBBBBII32s32s")


@dataclass(frozen=True, slots=True)
class SeatTotal:
    """What one seat says is the sum of its components over one chunk of a cohort.

    Attributes:
        seat: which one.
        chunk: index of the chunk.
        roots: Merkle roots of its two components' sums, in the order of `held_by`.
        blocks: the sums themselves that it gives, shape (leaves, 1024), by component.
    """

    seat: int
    chunk: int
    roots: tuple[bytes, bytes]
    blocks: Mapping[int, Words] = field(repr=False)

    def only(self, *components: int) -> "SeatTotal":
        """Return the same statement with the words of these components only."""
        kept = {component: self.blocks[component] for component in components}
        return SeatTotal(self.seat, self.chunk, self.roots, kept)

    def root_of(self, component: int) -> bytes:
        """Return what the seat says is the root of one component that it holds."""
        return self.roots[held_by(self.seat).index(component)]

    def require_roots(self) -> None:
        """Refuse words that are not those of the roots beside them.

        Raises:
            RootMismatch: they are not; names the seat.
        """
        for component, block in self.blocks.items():
            if block_root(self.chunk, block) != self.root_of(component):
                raise RootMismatch(
                    f"chunk {self.chunk} of component {component} is not what seat {self.seat} "
                    "says is its root"
                )

    def encode(self) -> bytes:
        """Return the container."""
        given = [component for component in held_by(self.seat) if component in self.blocks]
        leaves = len(self.blocks[given[0]]) if given else 0
        mask = sum(1 << component for component in given)
        header = _HEADER.pack(
            _MARKER, _VERSION, self.seat, mask, 0, self.chunk, leaves, *self.roots
        )
        bodies = (self.blocks[component].astype("<u8", copy=False).tobytes() for component in given)
        return b"".join((header, *bodies))


def total_bytes(leaves: int) -> int:
    """Return how long the statement of one chunk is that gives one component."""
    return _HEADER.size + leaves * WORDS_PER_LEAF * WORD_BYTES


def decode_totals(payload: bytes, chunk: int, leaves: int) -> list[SeatTotal]:
    """Read the statements of as many seats as there are, one after another.

    Args:
        chunk: the chunk that each must be of.
        leaves: how many leaves each of its blocks must have.

    Raises:
        MalformedMessage: anything but whole containers of this chunk.
    """
    totals, view = [], memoryview(payload)
    while view:
        total, used = _decode(view, chunk, leaves)
        totals.append(total)
        view = view[used:]
    return totals


def _decode(view: memoryview, chunk: int, leaves: int) -> tuple[SeatTotal, int]:
    if len(view) < _HEADER.size:
        raise MalformedMessage(f"a seat's sum of chunk {chunk} is cut")
    marker, version, seat, mask, reserved, found, size, first, second = _HEADER.unpack_from(view)
    if (marker, version, reserved) != (_MARKER, _VERSION, 0):
        raise MalformedMessage("not a seat's sum of this version")
    given = [component for component in held_by(seat) if mask >> component & 1]
    if sum(1 << component for component in given) != mask:
        raise MalformedMessage(f"seat {seat} does not hold what it gives")
    if (found, size) != (chunk, leaves if given else 0):
        raise MalformedMessage(
            f"a seat's sum of chunk {found} with {size} leaves, expected chunk {chunk} "
            f"with {leaves}"
        )
    each = leaves * WORDS_PER_LEAF * WORD_BYTES
    used = _HEADER.size + each * len(given)
    if len(view) < used:
        raise MalformedMessage(f"a seat's sum of chunk {chunk} is cut")
    blocks = {
        component: _block(view[_HEADER.size + at * each :][:each])
        for at, component in enumerate(given)
    }
    return SeatTotal(seat, chunk, (first, second), blocks), used


def _block(words: memoryview) -> Words:
    read = np.frombuffer(words, "<u8").astype(np.uint64, copy=False)
    return read.reshape(-1, WORDS_PER_LEAF)
