"""The first global model, from a public text."""

import hashlib

import numpy as np
import pytest

from privacy.errors import MalformedMessage
from privacy.initial import initial_parts, initial_vector
from privacy.vectors import model_digest, unflatten

SHAPES = (("layer.weight", (64, 25)), ("layer.bias", (64,)), ("norm.weight", (64,)))


def test_the_first_values_are_those_of_shake_256():
    """Computed here in Python's exact integers, as another program would."""
    stream = hashlib.shake_256(b"veilsum/initial-model/1:text").digest(8 * 3)
    words = [int.from_bytes(stream[8 * i : 8 * i + 8], "little") >> 11 for i in range(3)]
    expected = [(word - 2**52) / 2**52 / 5.0 for word in words]

    vector = initial_vector(SHAPES, "text")

    assert vector[:3].tolist() == expected


def test_the_digest_never_changes():
    """Everyone derives this model for themselves; one bit apart and no round starts."""
    digest = model_digest(SHAPES, initial_vector(SHAPES, "text"))

    assert digest == "62c1f5852eff7c49071f3817e95455371505966cb1af73f45662beeb00a83789"


def test_weights_fill_their_range_and_biases_are_zero():
    """The usual scale, one over the square root of the inputs, keeps a layer's output near one."""
    tensors = unflatten(initial_vector(SHAPES, "text"), SHAPES)

    weights = tensors["layer.weight"]

    assert 0.19 < np.abs(weights).max() <= 0.2
    assert abs(weights.mean()) < 0.01
    assert not tensors["layer.bias"].any()
    assert (tensors["norm.weight"] == 1.0).all()


def test_another_text_is_another_model():
    """And an empty one, which a forgotten setting would give, is refused."""
    assert initial_vector(SHAPES, "a")[0] != initial_vector(SHAPES, "b")[0]
    with pytest.raises(MalformedMessage):
        initial_vector(SHAPES, "")


def test_the_parts_are_those_of_one_stream():
    """A tensor longer than what is drawn at once, and others behind it."""
    shapes = (("bias", (3,)), ("long.weight", (100_003, 1)), ("last.weight", (2, 2)))
    size = 3 + 100_003 + 4
    stream = hashlib.shake_256(b"veilsum/initial-model/1:text").digest(8 * size)
    words = np.frombuffer(stream, "<u8") >> np.uint64(11)
    expected = words.astype(np.float64) / 2**52 - 1
    expected[:3], expected[-4:] = 0.0, expected[-4:] / np.sqrt(2)

    parts = list(initial_parts(shapes, "text"))

    assert np.concatenate(parts).tobytes() == expected.tobytes()
    assert max(part.size for part in parts) == 1 << 16
    assert initial_vector(shapes, "text").tobytes() == expected.tobytes()
