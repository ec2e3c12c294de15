"""The transform agrees with schoolbook arithmetic, and the embedding with its definition."""

import numpy as np
import pytest

from privacy.schemes import ring
from privacy.schemes.ckks_parameters import MODULUS_4096

DEGREE = 16
DRAW = np.random.default_rng(5)


def schoolbook(left: np.ndarray, right: np.ndarray) -> list[int]:
    product = [0] * DEGREE
    for i, a in enumerate(left.tolist()):
        for j, b in enumerate(right.tolist()):
            sign = 1 if i + j < DEGREE else -1
            product[(i + j) % DEGREE] += sign * a * b
    return product


def test_products_are_those_of_the_ring() -> None:
    """Entry by entry in the transform is negacyclic convolution outside it."""
    left, right, term = DRAW.integers(-(10**6), 10**6, (3, DEGREE))

    transformed = ring.multiply_add(
        *(ring.to_transform(each, MODULUS_4096) for each in (left, right, term)), MODULUS_4096
    )

    product = ring.from_transform(transformed, MODULUS_4096)
    assert product.tolist() == [
        a + b for a, b in zip(schoolbook(left, right), term.tolist(), strict=True)
    ]


@pytest.mark.parametrize("degree", [8, 64, 4096])
def test_the_transform_can_be_undone(degree: int) -> None:
    """Up to the largest signed residues."""
    half = MODULUS_4096 // 2
    coefficients = DRAW.integers(-half, half, degree, endpoint=True)
    coefficients[:2] = (half, -half)

    back = ring.from_transform(ring.to_transform(coefficients, MODULUS_4096), MODULUS_4096)

    assert np.array_equal(back, coefficients)


def test_the_embedding_is_the_value_at_the_complex_roots() -> None:
    """All odd powers of the 2N-th root, each once."""
    coefficients = DRAW.integers(-21, 22, DEGREE)
    powers = np.arange(1, 2 * DEGREE, 2)
    roots = np.exp(1j * np.pi * powers / DEGREE)

    squared = ring.embedding_squared(coefficients)

    direct = np.abs(np.polyval(coefficients[::-1], roots)) ** 2
    assert np.sort(squared) == pytest.approx(np.sort(direct))
