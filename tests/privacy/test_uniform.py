"""Uniform integers: exactly so, for every end."""

import numpy as np
import pytest
from numpy.typing import NDArray

from privacy.uniform import below


class Given:
    """The words it was made with."""

    def __init__(self, *words: int) -> None:
        self._words = list(words)

    def draw(self, count: int) -> NDArray[np.uint64]:
        given, self._words = self._words[:count], self._words[count:]
        return np.array(given, np.uint64)


@pytest.mark.parametrize("end", [10, 3, 1 << 40, (1 << 62) + 1])
def test_words_beyond_the_last_whole_multiple_are_drawn_again(end: int) -> None:
    """They would favour small numbers."""
    first = (1 << 64) // end * end
    words = Given(*([first] if first < 1 << 64 else []), first - 1, 0)

    assert below(words, 2, end).tolist() == [end - 1, 0]


def test_one_has_one_integer_below_it() -> None:
    """The scale of noise below one grid step."""
    assert below(Given(2**64 - 1, 5), 2, 1).tolist() == [0, 0]
