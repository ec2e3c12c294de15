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
    expected = (layout.polynomials, len(layout.moduli), layout.degree)
    if words.ndim != 4 or words.shape[1:] != expected or not words.shape[0]:
        raise MalformedMessage(f"ciphertexts of shape {words.shape}, expected (count, *{expected})")
    _require_canonical(layout, words)
    count = words.shape[0]
    runs = [
        np.frombuffer(pack(words[:, :, at, :].reshape(-1), q.bit_length()), np.uint8).reshape(
            count, layout.polynomials, -1
        )
        for at, q in enumerate(layout.moduli)
    ]
    return layout.header(chunk, count) + np.concatenate(runs, axis=2).tobytes()


def decode_chunk(layout: Layout, chunk: int, expected_count: int, payload: bytes) -> Words:
    """Read a container that must be exactly the one the plan asks for.

    Nothing is allocated before the length is known to be right.

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
    body = np.frombuffer(payload, np.uint8, offset=layout.header_bytes)
    rows = body.reshape(expected_count, layout.polynomials, -1)
    words = np.empty(
        (expected_count, layout.polynomials, len(layout.moduli), layout.degree), np.uint64
    )
    for at, run in enumerate(_runs(layout, rows)):
        width = layout.moduli[at].bit_length()
        unpacked = unpack(run.tobytes(), words[:, :, at, :].size, width)
        words[:, :, at, :] = unpacked.reshape(expected_count, layout.polynomials, -1)
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
    lanes, stride = _lanes(width)
    rows = _in_rows(words, lanes)
    packed = np.zeros((rows.shape[0] + 1) * stride, np.uint8)
    for lane in range(lanes):
        low, high, shift = _window(packed, lane * width, stride, rows.shape[0])
        low |= rows[:, lane] << np.uint64(shift)
        if shift + width > 64:
            high |= (rows[:, lane] >> np.uint64(64 - shift)).astype(np.uint8)
    return packed[: -(-words.size * width // 8)].tobytes()


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
    lanes, stride = _lanes(width)
    rows = _rows(count, lanes)
    padded = np.frombuffer(packed.ljust((rows + 1) * stride, b"\x00"), np.uint8)
    words = np.empty((rows, lanes), np.uint64)
    for lane in range(lanes):
        low, high, shift = _window(padded, lane * width, stride, rows)
        words[:, lane] = low >> np.uint64(shift)
        if shift + width > 64:
            words[:, lane] |= high.astype(np.uint64) << np.uint64(64 - shift)
    words &= np.uint64((1 << width) - 1)
    return words.reshape(-1)[:count]


# A word of up to 63 bits starts anywhere in a byte, so it lies within nine bytes.
_WINDOW_BYTES: Final = 9


def _lanes(width: int) -> tuple[int, int]:
    # Every so many words start again at the first bit of a byte, that many bytes further on;
    # far enough for the windows of one lane not to overlap, so that numpy may write to them.
    # A buffer has one such stride more than its words need, for the windows of the last.
    lanes = 8 // gcd(width, 8)
    while lanes * width // 8 < _WINDOW_BYTES:
        lanes *= 2
    return lanes, lanes * width // 8


def _window(
    packed: NDArray[np.uint8], first_bit: int, stride: int, rows: int
) -> tuple[Words, NDArray[np.uint8], int]:
    # Views of the nine bytes in which each word of a lane lies: eight and one. They are
    # unaligned, which numpy handles; it is ten times faster than shuffling aligned longs.
    start, shift = divmod(first_bit, 8)
    low: Words = np.ndarray((rows,), "<u8", packed, start, (stride,))
    high: NDArray[np.uint8] = np.ndarray((rows,), np.uint8, packed, start + 8, (stride,))
    return low, high, shift


def _rows(count: int, lanes: int) -> int:
    # At least one, so that nothing has its windows too.
    return max(1, -(-count // lanes))


def _in_rows(words: Words, lanes: int) -> Words:
    missing = _rows(words.size, lanes) * lanes - words.size
    flat = np.concatenate((words, np.zeros(missing, np.uint64))) if missing else words
    return flat.reshape(-1, lanes)


def _runs(layout: Layout, rows: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    start = 0
    for modulus in layout.moduli:
        end = start + layout.degree * modulus.bit_length() // 8
        yield rows[:, :, start:end]
        start = end


def _require_canonical(layout: Layout, words: Words) -> None:
    limits = np.array(layout.moduli, np.uint64)[:, np.newaxis]
    if np.any(words >= limits):
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
