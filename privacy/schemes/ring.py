"""The ring Z_q[X]/(X^N + 1) as keys need it: transform, product and canonical embedding.

Only keys pass through here, a few polynomials a round, so the residues are Python integers
in object arrays: 120-bit products without overflow, in milliseconds. The order of the
transform is SEAL's: entry i is the polynomial at psi^(2·reversed(i) + 1), psi the smallest
primitive 2N-th root of one and reversed(i) the bits of i backwards.

Python's integers take time that depends on their values. Whoever can time the process that
makes or checks a key to the microsecond is inside it, and is not defended against here.

Source: Longa and Naehrig, "Speeding up the Number Theoretic Transform", 2016, algorithms 1, 2.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Residues = NDArray[np.object_]


def to_transform(coefficients: NDArray[np.int64], modulus: int) -> NDArray[np.uint64]:
    """Evaluate a polynomial at the N roots, in SEAL's order.

    Args:
        coefficients: shape (N,), signed.
        modulus: a prime that is 1 modulo 2N.

    Returns:
        Shape (N,), residues.
    """
    degree = coefficients.size
    roots = _roots(degree, modulus)
    values: Residues = coefficients.astype(object) % modulus
    half, blocks = degree // 2, 1
    while half:
        view = values.reshape(blocks, 2, half)
        upper = view[:, 0].copy()
        lower = view[:, 1] * roots[blocks : 2 * blocks, np.newaxis] % modulus
        view[:, 0], view[:, 1] = (upper + lower) % modulus, (upper - lower) % modulus
        half, blocks = half // 2, 2 * blocks
    return values.astype(np.uint64)


def from_transform(values: NDArray[np.uint64], modulus: int) -> NDArray[np.int64]:
    """Interpolate: the inverse of `to_transform`, with coefficients nearest to zero.

    Returns:
        Shape (N,), signed, in -(q-1)/2..(q-1)/2.
    """
    degree = values.size
    inverses = _inverse_roots(degree, modulus)
    residues: Residues = values.astype(object)
    half, blocks = 1, degree // 2
    while blocks:
        view = residues.reshape(blocks, 2, half)
        upper, lower = view[:, 0].copy(), view[:, 1].copy()
        view[:, 0] = (upper + lower) % modulus
        view[:, 1] = (upper - lower) * inverses[blocks : 2 * blocks, np.newaxis] % modulus
        half, blocks = 2 * half, blocks // 2
    residues = residues * pow(degree, -1, modulus) % modulus
    return np.where(residues > modulus // 2, residues - modulus, residues).astype(np.int64)


def multiply_add(
    left: NDArray[np.uint64], right: NDArray[np.uint64], term: NDArray[np.uint64], modulus: int
) -> NDArray[np.uint64]:
    """Return left·right + term, entry by entry modulo q."""
    product = left.astype(object) * right.astype(object) + term.astype(object)
    residues: NDArray[np.uint64] = (product % modulus).astype(np.uint64)
    return residues


def embedding_squared(coefficients: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return |a(zeta)|² at all N primitive 2N-th complex roots of one, in no particular order.

    Args:
        coefficients: shape (N,), small.
    """
    degree = coefficients.size
    twist = np.exp(1j * np.pi * np.arange(degree) / degree)
    values = np.fft.fft(coefficients * twist)
    return values.real**2 + values.imag**2


@lru_cache(maxsize=4)
def _roots(degree: int, modulus: int) -> Residues:
    return _powers(_smallest_root(degree, modulus), degree, modulus)


@lru_cache(maxsize=4)
def _inverse_roots(degree: int, modulus: int) -> Residues:
    return _powers(pow(_smallest_root(degree, modulus), -1, modulus), degree, modulus)


def _powers(root: int, degree: int, modulus: int) -> Residues:
    # root^reversed(i) at entry i.
    bits = degree.bit_length() - 1
    backwards = [int(f"{index:0{bits}b}"[::-1], 2) for index in range(degree)]
    return np.array([pow(root, power, modulus) for power in backwards], dtype=object)


def _smallest_root(degree: int, modulus: int) -> int:
    generator = 2
    while pow(generator, (modulus - 1) // 2, modulus) != modulus - 1:
        generator += 1
    # A non-residue's power has order exactly 2N; its odd powers are all such roots.
    root = pow(generator, (modulus - 1) // (2 * degree), modulus)
    square = root * root % modulus
    smallest = candidate = root
    for _ in range(degree):
        candidate = candidate * square % modulus
        smallest = min(smallest, candidate)
    return smallest
