"""The first global model, expanded from a public string: the same bits on every machine."""

import math
import sys
from collections.abc import Iterator

import numpy as np
from cryptography.hazmat.primitives import hashes
from numpy.typing import NDArray

from .errors import MalformedMessage
from .vectors import Shapes

_TAG = b"veilsum/initial-model/1:"
_AT_ONCE = 1 << 16


def initial_parts(shapes: Shapes, seed_text: str) -> Iterator[NDArray[np.float64]]:
    """Yield, in order, the values of the model that everyone derives from `seed_text`.

    Tensors of two or more axes are uniform within 1 / sqrt(fan_in) of zero, fan_in being
    the product of all axes but the first. Of the others, weights (scales of a
    normalisation) are 1 and the rest (biases) 0. SHAKE-256 gives the bits, and the
    arithmetic is + − × ÷ and square root, which IEEE 754 rounds in one way only; a
    generator of a numerical library promises neither.

    Returns:
        Parts of shape (k,), each short; together they have the dimension of `shapes`.

    Raises:
        MalformedMessage: `seed_text` is empty.
    """
    if not seed_text:
        raise MalformedMessage("the initial model needs a seed text that is not empty")
    stream = hashes.XOFHash(hashes.SHAKE256(sys.maxsize))
    stream.update(_TAG + seed_text.encode())
    for name, shape in shapes:
        left = math.prod(shape)
        while left:
            size = min(left, _AT_ONCE)
            # Values that are not random take their bits all the same.
            yield _initial(name, shape, _uniform(stream.squeeze(8 * size)))
            left -= size


def initial_vector(shapes: Shapes, seed_text: str) -> NDArray[np.float64]:
    """Return the model, shape (dimension,), that everyone derives from `seed_text`.

    Raises:
        MalformedMessage: `seed_text` is empty.
    """
    parts = list(initial_parts(shapes, seed_text))
    return np.concatenate(parts) if parts else np.zeros(0)


def _uniform(bits: bytes) -> NDArray[np.float64]:
    """Return values in [-1, 1), each a multiple of 2^-52, one for every 8 bytes."""
    words = np.frombuffer(bits, "<u8") >> np.uint64(11)
    return words.astype(np.float64) * 2.0**-52 - 1.0


def _initial(name: str, shape: tuple[int, ...], spread: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(shape) >= 2:
        return spread / math.sqrt(math.prod(shape[1:]))
    is_scale = name.rsplit(".", 1)[-1] == "weight"
    return np.full(spread.shape, 1.0 if is_scale else 0.0)
