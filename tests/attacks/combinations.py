"""Linear combinations of other sites' ciphertexts, as anybody computes them without a key."""

from collections.abc import Callable, Mapping

import numpy as np

from privacy.limbs import decode_chunk, encode_chunk
from tests.participant import signed_round as made

LAYOUT, MODULUS = made.PARAMETERS.layout, made.PARAMETERS.modulus
PLAN = made.plan(auditor="watch")
FIRST, SECOND = (0,), (1,)
BOTH = FIRST + SECOND


def combined(
    factors: Mapping[str, int],
    polynomials: tuple[int, ...] = BOTH,
    of_chunk: Callable[[int], int] = lambda chunk: chunk,
) -> tuple[bytes, ...]:
    """An integer combination of sites' ciphertexts, as a contribution of two chunks.

    Args:
        polynomials: the rest is zero.
        of_chunk: which chunk of theirs goes into which of this.
    """
    chunks = []
    for at in range(2):
        total = np.zeros((1, 2, 1, made.PARAMETERS.degree), object)
        for name, factor in factors.items():
            chunk = of_chunk(at)
            theirs = decode_chunk(LAYOUT, chunk, 1, made.payloads(name, PLAN)[chunk])
            total[:, polynomials] += theirs.astype(object)[:, polynomials] * factor
        chunks.append(encode_chunk(LAYOUT, at, (total % MODULUS).astype(np.uint64)))
    return tuple(chunks)


def plus(left: tuple[bytes, ...], right: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Two contributions added, chunk by chunk."""
    pairs = (
        [decode_chunk(LAYOUT, at, 1, each).astype(object) for each in both]
        for at, both in enumerate(zip(left, right, strict=True))
    )
    return tuple(
        encode_chunk(LAYOUT, at, ((one + two) % MODULUS).astype(np.uint64))
        for at, (one, two) in enumerate(pairs)
    )
