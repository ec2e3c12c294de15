"""Ciphertexts on the wire: residues packed to their modulus's width, in our own container.

No ciphertext library's bytes travel, so whoever adds needs none of them, and a ciphertext
written under one release of a library opens under another. All integers of the header are
big-endian:

    marker         4 bytes   b"VSCT" ciphertexts, b"VSPK" a public key
    version        u16       1
    degree         u32       coefficients of a polynomial, N
    polynomials    u8        polynomials of a ciphertext
    moduli         u8        residues of a polynomial
    level          u16       how many moduli have been dropped since encryption
    chunk          u32       index of the chunk
    count          u32       ciphertexts that follow
    modulus        u64       once for each

Then the residues: ciphertext by ciphertext, polynomial by polynomial, modulus by modulus, N
residues of exactly the modulus's bit length each, the first residue in the lowest bits of
the first byte. A value has one encoding only: what decodes encodes back to the same bytes.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .errors import MalformedMessage, UnsafeParameters

CIPHERTEXTS: Final = b"VSCT"
PUBLIC_KEY: Final = b"VSPK"
VERSION: Final = 1
_HEADER: Final = struct.Struct(">4sHIBBHII")

Words = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Layout:
    """What a container holds, as the plan fixes it; a reader accepts nothing else.

    Raises:
        UnsafeParameters: a degree that is not a multiple of 8, no modulus, or one that does
            not fit in 2 to 63 bits.
    """

    degree: int
    moduli: tuple[int, ...]
    polynomials: int = 2
    level: int = 0
    marker: bytes = CIPHERTEXTS

    def __post_init__(self) -> None:
        if self.degree < 8 or self.degree % 8:
            raise UnsafeParameters(f"the degree {self.degree} is not a multiple of 8")
        if not self.moduli or not all(2 <= q.bit_length() <= 63 for q in self.moduli):
            raise UnsafeParameters("a container needs moduli of 2 to 63 bits")

    @property
    def header_bytes(self) -> int:
        """Length of the header, in bytes."""
        return _HEADER.size + 8 * len(self.moduli)

    @property
    def ciphertext_bytes(self) -> int:
        """Length of one packed ciphertext, in bytes."""
        # The degree is a multiple of 8, so each run of residues ends on a byte.
        return self.polynomials * sum(self.degree * q.bit_length() // 8 for q in self.moduli)

    def chunk_bytes(self, count: int) -> int:
        """Length of a container of `count` ciphertexts, in bytes."""
        return self.header_bytes + count * self.ciphertext_bytes

    def shape(self, count: int) -> tuple[int, int, int, int]:
        """Shape of the residues of `count` ciphertexts."""
        return (count, self.polynomials, len(self.moduli), self.degree)

    def header(self, chunk: int, count: int) -> bytes:
        """Return the one header that a container of this layout can have."""
        fixed = _HEADER.pack(
            self.marker,
            VERSION,
            self.degree,
            self.polynomials,
            len(self.moduli),
            self.level,
            chunk,
            count,
        )
        return fixed + struct.pack(f">{len(self.moduli)}Q", *self.moduli)


def encode_chunk(layout: Layout, chunk: int, words: Words) -> bytes:
    """Pack ciphertexts into a container.

    Args:
        layout: what the container holds.
        chunk: index of the chunk.
        words: shape (count, polynomials, moduli, degree), canonical residues.

    Raises:
        MalformedMessage: another shape, or a residue that is not below its modulus.
    """
    expected = layout.shape(len(words))
    if words.shape != expected or not words.size:
        raise MalformedMessage(f"ciphertexts of shape {words.shape}, expected {expected}")
    _require_canonical(layout, words)
    count = words.shape[0]
    container = np.zeros(layout.chunk_bytes(count) + _SPARE_BYTES, np.uint8)
    container[: layout.header_bytes] = np.frombuffer(layout.header(chunk, count), np.uint8)
    for start, run, width in _runs(layout, words):
        _pack_into(container, start, run.reshape(-1), width)
    return container[:-_SPARE_BYTES].tobytes()


def decode_chunk(
    layout: Layout, chunk: int, expected_count: int, payload: bytes, out: Words | None = None
) -> Words:
    """Read a container that must be exactly the one the plan asks for.

    Nothing is allocated before the length is known to be right.

    Args:
        out: where to write the residues, contiguous and of the shape returned; a new array by
            default. What a refused container has left there is nothing to go by.

    Returns:
        Shape (expected_count, polynomials, moduli, degree), uint64, canonical residues.

    Raises:
        MalformedMessage: another length, marker, version, degree, set of moduli, level,
            chunk index or count, or a residue that is not below its modulus.
    """
    if len(payload) != layout.chunk_bytes(expected_count):
        raise MalformedMessage(
            f"chunk {chunk} has {len(payload)} bytes, expected {layout.chunk_bytes(expected_count)}"
        )
    _require_header(layout, chunk, expected_count, payload[: layout.header_bytes])
    words = np.empty(layout.shape(expected_count), np.uint64) if out is None else out
    view = memoryview(payload)
    for start, run, width in _runs(layout, words):
        end = start + run.size * width // 8
        _unpack_into(run.reshape(-1), view[start:end], width)
    _require_canonical(layout, words)
    return words


def pack(words: Words, width: int) -> bytes:
    """Write each word's lowest `width` bits one after another, the first in the lowest bits.

    Args:
        words: shape (k,), each below 2^width.
        width: bits of a word, 1 to 63.

    Returns:
        ceil(k·width/8) bytes; the bits that are left over are zero.
    """
    packed = np.zeros(-(-words.size * width // 8) + _SPARE_BYTES, np.uint8)
    _pack_into(packed, 0, words, width)
    return packed[:-_SPARE_BYTES].tobytes()


def unpack(packed: bytes, count: int, width: int) -> Words:
    """Read `count` words of `width` bits, as `pack` wrote them.

    Returns:
        Shape (count,), uint64.

    Raises:
        MalformedMessage: another length, or a bit set after the last word.
    """
    if len(packed) != -(-count * width // 8):
        raise MalformedMessage(f"{count} words of {width} bits do not take {len(packed)} bytes")
    spare = 8 * len(packed) - count * width
    if spare and packed[-1] >> (8 - spare):
        raise MalformedMessage(f"the {spare} bits after the last word are not zero")
    words = np.empty(count, np.uint64)
    _unpack_into(words, memoryview(packed), width)
    return words


# A word of up to 63 bits starts anywhere in a byte, so it lies within nine bytes.
_WINDOW_BYTES: Final = 9

# What a buffer to pack into has after its last word: a window that starts in its last byte.
_SPARE_BYTES: Final = _WINDOW_BYTES


def _lanes(width: int) -> tuple[int, int]:
    # Every so many words start again at the first bit of a byte, that many bytes further on;
    # far enough for the windows of one lane not to overlap, so that numpy may write to them.
    lanes = 8 // gcd(width, 8)
    while lanes * width // 8 < _WINDOW_BYTES:
        lanes *= 2
    return lanes, lanes * width // 8


def _pack_into(packed: NDArray[np.uint8], start: int, words: Words, width: int) -> None:
    # From byte `start` of zeros on. A window is wider than its word: the bits around it stay.
    lanes, stride = _lanes(width)
    for lane in range(min(lanes, words.size)):
        mine = words[lane::lanes]
        first, shift = divmod(lane * width, 8)
        low = _low(packed, start + first, stride, mine.size)
        low |= mine << np.uint64(shift)
        if shift + width > 64:
            high = _high(packed, start + first, stride, mine.size)
            high |= (mine >> np.uint64(64 - shift)).astype(np.uint8)


def _unpack_into(words: Words, packed: memoryview, width: int) -> None:
    # Straight from where the bytes lie, but for the last words, whose windows would leave them.
    lanes, stride = _lanes(width)
    inside = max(0, (len(packed) - stride - _WINDOW_BYTES) // stride)
    direct = min(words.size // lanes, inside) * lanes
    _unpack_lanes(words[:direct], packed, width)
    rest = bytes(packed[direct * width // 8 :]) + bytes(_SPARE_BYTES)
    _unpack_lanes(words[direct:], memoryview(rest), width)


def _unpack_lanes(words: Words, packed: memoryview, width: int) -> None:
    lanes, stride = _lanes(width)
    mask = np.uint64((1 << width) - 1)
    for lane in range(min(lanes, words.size)):
        mine = words[lane::lanes]
        first, shift = divmod(lane * width, 8)
        # Each branch passes over the words as seldom as it can: this is what adding costs.
        low = _low(packed, first, stride, mine.size)
        if not shift:
            np.bitwise_and(low, mask, out=mine)
            continue
        np.right_shift(low, np.uint64(shift), out=mine)
        if shift + width > 64:
            high = _high(packed, first, stride, mine.size)
            mine |= high.astype(np.uint64) << np.uint64(64 - shift)
        if shift + width != 64:
            mine &= mask


def _low(buffer: NDArray[np.uint8] | memoryview, start: int, stride: int, count: int) -> Words:
    # A view of the first eight bytes of each window of a lane. They are unaligned, which numpy
    # handles; it is ten times faster than shuffling aligned longs.
    return np.ndarray((count,), "<u8", buffer, start, (stride,))


def _high(
    buffer: NDArray[np.uint8] | memoryview, start: int, stride: int, count: int
) -> NDArray[np.uint8]:
    # A view of the ninth byte of each window of a lane.
    return np.ndarray((count,), np.uint8, buffer, start + 8, (stride,))


def _runs(layout: Layout, words: Words) -> Iterator[tuple[int, Words, int]]:
    # Where each run of residues of one width begins in the container, the residues, the width.
    start = layout.header_bytes
    if len(layout.moduli) == 1:
        yield start, words, layout.moduli[0].bit_length()
        return
    for polynomial in words.reshape(-1, *words.shape[2:]):
        for run, modulus in zip(polynomial, layout.moduli, strict=True):
            yield start, run, modulus.bit_length()
            start += layout.degree * modulus.bit_length() // 8


def _require_canonical(layout: Layout, words: Words) -> None:
    # The largest residue, not every comparison: that would take an array as long as the words.
    if any(words[:, :, at].max() >= modulus for at, modulus in enumerate(layout.moduli)):
        raise MalformedMessage("a residue is not below its modulus")


_FIELDS: Final = (
    "marker",
    "version",
    "degree",
    "number of polynomials",
    "number of moduli",
    "level",
    "chunk index",
    "number of ciphertexts",
)


def _require_header(layout: Layout, chunk: int, count: int, header: bytes) -> None:
    expected = layout.header(chunk, count)
    if header == expected:
        return
    pairs = zip(_FIELDS, _HEADER.unpack_from(expected), _HEADER.unpack_from(header), strict=True)
    for name, want, got in pairs:
        if want != got:
            raise MalformedMessage(f"chunk {chunk}: {name} is {got!r}, expected {want!r}")
    raise MalformedMessage(f"chunk {chunk}: the moduli are not those of the plan")
