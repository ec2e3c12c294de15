"""Exactly uniform integers from random words, whoever draws the words."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Words(Protocol):
    """A source of uniform words of 64 bits, none of which it gives twice."""

    def draw(self, count: int) -> NDArray[np.uint64]:
        """Return the next `count` words, uniform over 0 .. 2^64 - 1."""
        ...


def below(words: Words, count: int, end: int) -> NDArray[np.uint64]:
    """Return `count` integers, exactly uniform over 0 .. end - 1; `end` is at most 2^63."""
    # Words beyond the last whole multiple of `end` would favour small remainders.
    last = np.uint64((1 << 64) // end * end - 1)
    kept = np.zeros(0, np.uint64)
    while kept.size < count:
        drawn = words.draw(count - kept.size)
        kept = np.concatenate([kept, drawn[drawn <= last]])
    return kept % np.uint64(end)
