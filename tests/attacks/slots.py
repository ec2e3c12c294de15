"""Slots and coefficients in SEAL's order, and a key opened with, as an attacker computes them."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from privacy.limbs import Words
from privacy.schemes import ckks, ring
from privacy.schemes.base import Integers
from privacy.schemes.ckks_parameters import CkksParameters

Slots = NDArray[np.complex128]


def coefficients_of(slots: Slots) -> NDArray[np.float64]:
    """Return the real polynomial that has these N/2 slots: shape (N,)."""
    degree = 2 * slots.size
    values = np.empty(degree, np.complex128)
    places = _places(degree)
    values[places], values[degree - 1 - places] = slots, slots.conj()
    twist = np.exp(-1j * np.pi * np.arange(degree) / degree)
    return (np.fft.fft(values) / degree * twist).real


def slots_of(coefficients: NDArray[np.int64] | NDArray[np.float64]) -> Slots:
    """Return a polynomial's values at the roots where SEAL keeps slots: shape (N/2,)."""
    degree = coefficients.size
    twist = np.exp(1j * np.pi * np.arange(degree) / degree)
    return np.fft.ifft(coefficients * twist)[_places(degree)] * degree


def quotient(numerator: Words, divisor: Words, modulus: int) -> Words:
    """Return numerator/divisor, entry by entry modulo q, in the transform's domain."""
    inverses = np.array([pow(int(each), -1, modulus) for each in divisor], object)
    return (numerator.astype(object) * inverses % modulus).astype(np.uint64)


def plus(left: Words, right: Words, modulus: int, sign: int = 1) -> Words:
    """Return left + sign·right modulo q."""
    return ((left.astype(object) + sign * right.astype(object)) % modulus).astype(np.uint64)


def secret_of(parameters: CkksParameters, secret: bytes) -> Integers:
    """Return a secret's coefficients: shape (N,), ternary."""
    return ckks._decode_secret(parameters, secret)


def as_secret(parameters: CkksParameters, coefficients: Integers) -> bytes:
    """Return coefficients in the form that opens ciphertexts."""
    return ckks._encode_secret(parameters, coefficients)


def transformed(coefficients: NDArray[np.float64] | Integers, modulus: int) -> Words:
    """Return the nearest integer polynomial in the transform's domain."""
    return ring.to_transform(np.rint(coefficients).astype(np.int64), modulus)


@cache
def _places(degree: int) -> NDArray[np.int64]:
    # Slot j is the value at zeta^(3^j), and entry k of a transform that at zeta^(2k + 1).
    return np.array([(pow(3, at, 2 * degree) - 1) // 2 for at in range(degree // 2)])
