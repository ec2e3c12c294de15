"""The first global model, expanded from a public string: the same bits on every machine."""

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

from .errors import MalformedMessage
from .vectors import Shapes, dimension

_TAG = b"veilsum/initial-model/1:"


def initial_vector(shapes: Shapes, seed_text: str) -> NDArray[np.float64]:
    """Return the model, shape (dimension,), that everyone derives from `seed_text`.

    Tensors of two or more axes are uniform within 1 / sqrt(fan_in) of zero, fan_in being
    the product of all axes but the first. Of the others, weights (scales of a
    normalisation) are 1 and the rest (biases) 0. SHAKE-256 gives the bits, and the
    arithmetic is + − × ÷ and square root, which IEEE 754 rounds in one way only; a
    generator of a numerical library promises neither.

    Raises:
        MalformedMessage: `seed_text` is empty.
    """
    if not seed_text:
        raise MalformedMessage("the initial model needs a seed text that is not empty")
    spread = _uniform(dimension(shapes), seed_text)
    parts, start = [], 0
    for name, shape in shapes:
        size = math.prod(shape)
        parts.append(_initial(name, shape, spread[start : start + size]))
        start += size
    return np.concatenate(parts) if parts else np.zeros(0)


def _uniform(count: int, seed_text: str) -> NDArray[np.float64]:
    """Return `count` values in [-1, 1), each a multiple of 2^-52."""
    stream = hashlib.shake_256(_TAG + seed_text.encode()).digest(8 * count)
    words = np.frombuffer(stream, "<u8") >> np.uint64(11)
    return words.astype(np.float64) * 2.0**-52 - 1.0


def _initial(name: str, shape: tuple[int, ...], spread: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(shape) >= 2:
        return spread / math.sqrt(math.prod(shape[1:]))
    is_scale = name.rsplit(".", 1)[-1] == "weight"
    return np.full(spread.shape, 1.0 if is_scale else 0.0)
