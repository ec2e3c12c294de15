"""Named tensors as one float64 vector and back, in one fixed order, with one digest."""

import hashlib
import math
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .errors import MalformedMessage, UpdateOutOfRange

Shapes: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]
"""Each tensor's name and shape, in the order in which the vector holds them."""

_TAG = b"veilsum/model/1"
# Values that are hashed at once, so that a long vector is never copied whole.
_AT_ONCE = 1 << 16


def shapes_of(tensors: Mapping[str, NDArray[np.float64]]) -> Shapes:
    """Return names and shapes, in the mapping's order."""
    return tuple((name, tensor.shape) for name, tensor in tensors.items())


def dimension(shapes: Shapes) -> int:
    """Return how many values the tensors hold together."""
    return sum(math.prod(shape) for _, shape in shapes)


def flatten(tensors: Mapping[str, NDArray[np.float64]], shapes: Shapes) -> NDArray[np.float64]:
    """Return the tensors as one vector, shape (dimension,), row-major, in the order of `shapes`.

    Raises:
        MalformedMessage: names or shapes differ from `shapes`.
        UpdateOutOfRange: a value is not finite.
    """
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if found != dict(shapes):
        raise MalformedMessage(f"tensors {found}, the model has {dict(shapes)}")
    parts = [np.asarray(tensors[name], np.float64).reshape(-1) for name, _ in shapes]
    vector = np.concatenate(parts) if parts else np.zeros(0)
    return _finite(vector)


def unflatten(vector: NDArray[np.float64], shapes: Shapes) -> dict[str, NDArray[np.float64]]:
    """Return the tensors that `vector` holds, each a copy of its own.

    Raises:
        MalformedMessage: the vector's length is not the dimension of `shapes`.
        UpdateOutOfRange: a value is not finite.
    """
    _check_length(vector, shapes)
    cuts = np.cumsum([math.prod(shape) for _, shape in shapes])[:-1]
    pieces = np.split(_finite(vector), cuts) if shapes else []
    return {
        name: piece.reshape(shape).copy()
        for (name, shape), piece in zip(shapes, pieces, strict=True)
    }


class ModelDigest:
    """The digest of a model whose values come in order, in as many parts as they like.

    SHA-256 over the tag, the tensors' names and shapes with every length written before
    what it counts, and the values as little-endian float64. Negative zero counts as zero,
    since the two are equal.
    """

    def __init__(self, shapes: Shapes) -> None:
        self._missing = self._size = dimension(shapes)
        self._hash = hashlib.sha256(_counted(_TAG) + len(shapes).to_bytes(8, "big"))
        for name, shape in shapes:
            self._hash.update(_counted(name.encode()) + len(shape).to_bytes(8, "big"))
            self._hash.update(b"".join(side.to_bytes(8, "big") for side in shape))

    def update(self, values: NDArray[np.float64]) -> None:
        """Take the next values, shape (k,).

        Raises:
            MalformedMessage: more values than the model has.
            UpdateOutOfRange: a value is not finite.
        """
        if values.ndim != 1 or values.size > self._missing:
            raise MalformedMessage(f"more than the {self._size} values of the model")
        self._missing -= values.size
        _finite(values)
        for start in range(0, values.size, _AT_ONCE):
            part = values[start : start + _AT_ONCE]
            self._hash.update((part + 0.0).astype("<f8", copy=False).tobytes())

    def hexdigest(self) -> str:
        """Return the digest, 64 hexadecimal digits.

        Raises:
            MalformedMessage: values are missing.
        """
        if self._missing:
            held = self._size - self._missing
            raise MalformedMessage(f"a vector of {held} values, the model has {self._size}")
        return self._hash.hexdigest()


def model_digest(shapes: Shapes, vector: NDArray[np.float64]) -> str:
    """Return the digest, 64 hexadecimal digits, on which all who hold this model agree.

    Raises:
        MalformedMessage: the vector's length is not the dimension of `shapes`.
        UpdateOutOfRange: a value is not finite.
    """
    _check_length(vector, shapes)
    digest = ModelDigest(shapes)
    digest.update(vector)
    return digest.hexdigest()


def _counted(body: bytes) -> bytes:
    return len(body).to_bytes(8, "big") + body


def _check_length(vector: NDArray[np.float64], shapes: Shapes) -> None:
    if vector.shape != (dimension(shapes),):
        raise MalformedMessage(
            f"a vector of shape {vector.shape}, the model has {dimension(shapes)} values"
        )


def _finite(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    wrong = int(np.count_nonzero(~np.isfinite(vector)))
    if wrong:
        raise UpdateOutOfRange(f"{wrong} of {vector.size} values are not finite")
    return vector
