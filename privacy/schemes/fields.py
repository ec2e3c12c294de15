"""Several signed integers in one, side by side: a + b·2^k. Pure.

Sums of such integers are the sums of their fields, as long as each field's sum stays below
2^(k-1) in magnitude. A negative field borrows from the one above it, and `split` gives the
loan back: it takes the lowest field as the nearest residue to zero, subtracts it, and goes on.
"""

import numpy as np

from .base import Integers


def width_of(largest: int, count: int) -> int:
    """Return k, the bits of a field that holds any sum of `count` integers up to `largest`."""
    return (largest * count).bit_length() + 1


def weight_of(width: int, fields: int) -> int:
    """Return 1 + 2^k + 2^2k + …: what `fields` ones side by side are worth."""
    return sum(1 << (width * at) for at in range(fields))


def join(values: Integers, width: int) -> Integers:
    """Return a + b·2^k + … for rows a, b, …

    Args:
        values: shape (fields, m).
        width: bits of a field, k.

    Returns:
        Shape (m,).
    """
    joined: Integers = values[-1].copy()
    for row in values[-2::-1]:
        joined <<= width
        joined += row
    return joined


def split(joined: Integers, width: int, fields: int) -> Integers:
    """Return the rows that `join` put together, or sums of them.

    Args:
        joined: shape (m,).
        width: bits of a field, k.
        fields: how many there are; the last takes whatever is left.

    Returns:
        Shape (fields, m).
    """
    rows = np.empty((fields, joined.size), np.int64)
    half, rest = 1 << (width - 1), joined
    for at in range(fields - 1):
        above = (rest + half) >> width
        rows[at] = rest - (above << width)
        rest = above
    rows[-1] = rest
    return rows
