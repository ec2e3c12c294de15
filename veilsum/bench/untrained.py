"""Updates that nobody trained: integers of the grid from a key, alike at a site and its judge.

They protect nobody and add no noise, so the keys are no secrets: the judge, who adds the
updates up in the clear, is told all of them.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from privacy.errors import ConfigError
from privacy.grid import Grid
from privacy.schemes.base import Integers
from privacy.vectors import ModelDigest, Shapes

from .workload import uniform

_PART = 1 << 20


@dataclass(frozen=True, slots=True)
class Untrained:
    """One site's update, made part by part.

    Attributes:
        dimension: length of the update.
        fraction_bits: of the grid: an integer k stands for k·2^-fraction_bits.
        key: 32 bytes in hexadecimal.
    """

    dimension: int
    fraction_bits: int
    key: str

    @property
    def shapes(self) -> Shapes:
        """The model that is updated: one tensor."""
        return shapes_of(self.dimension)

    def update(self) -> NDArray[np.float64]:
        """Return the update in the model's units, shape (dimension,), of norm 1 at most."""
        vector = np.empty(self.dimension)
        for span, steps in self.parts():
            vector[span] = np.ldexp(steps.astype(np.float64), -self.fraction_bits)
        return vector

    def parts(self) -> Iterator[tuple[slice, Integers]]:
        """Yield the update in grid steps, part by part."""
        key, largest = bytes.fromhex(self.key), largest_step(self.dimension, self.fraction_bits)
        for part, span in enumerate(_spans(self.dimension)):
            yield span, uniform(key, part, span.stop - span.start, largest)

    def __str__(self) -> str:
        return f"untrained:{self.dimension}:{self.fraction_bits}:{self.key}"


def parse(name: str) -> Untrained:
    """Return the update that `str` of it names: so a site's file says which one it sends."""
    _, dimension, fraction_bits, key = name.split(":")
    return Untrained(int(dimension), int(fraction_bits), key)


def shapes_of(dimension: int) -> Shapes:
    """Return the shapes of a model of one tensor."""
    return (("update", (dimension,)),)


def first_digest(dimension: int) -> str:
    """Return the digest of the first model, zeros."""
    digest = ModelDigest(shapes_of(dimension))
    for part in zeros(dimension):
        digest.update(part)
    return digest.hexdigest()


def zeros(dimension: int) -> Iterator[NDArray[np.float64]]:
    """Yield the first model, part by part."""
    return (np.zeros(span.stop - span.start) for span in _spans(dimension))


def _spans(dimension: int) -> Iterator[slice]:
    return (slice(start, min(start + _PART, dimension)) for start in range(0, dimension, _PART))


def grid_for(value_bits: int) -> Grid:
    """Return the finest grid on which a vector of norm 1 fits into values of that size."""
    return Grid(fraction_bits=max(value_bits - 2, 0), value_bits=value_bits)


def largest_step(dimension: int, fraction_bits: int) -> int:
    """Return the most steps of the grid that every value may take while the norm is at most 1.

    Raises:
        ConfigError: not even one: the vector is too long for values of so few bits.
    """
    largest = math.isqrt((1 << (2 * fraction_bits)) // dimension)
    if largest == 0:
        raise ConfigError(
            f"{dimension} values of norm 1 in steps of 2^-{fraction_bits}: take --value-bits "
            f"{2 + math.ceil(math.log2(dimension) / 2)} or more"
        )
    return largest


def mean_digest(updates: Sequence[Untrained]) -> str:
    """Return the digest of the model that the plaintext mean of the updates makes from zeros."""
    first = updates[0]
    digest = ModelDigest(first.shapes)
    for parts in zip(*(update.parts() for update in updates), strict=True):
        total = np.sum([steps for _, steps in parts], axis=0).astype(np.float64)
        digest.update(np.ldexp(total, -first.fraction_bits) / len(updates))
    return digest.hexdigest()
