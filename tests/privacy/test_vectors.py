"""Named tensors, one vector, one digest."""

import hashlib
import struct

import numpy as np
import pytest

from privacy.errors import MalformedMessage, UpdateOutOfRange
from privacy.vectors import (
    ModelDigest,
    dimension,
    flatten,
    model_digest,
    shapes_of,
    unflatten,
)

SHAPES = (("a", (2, 3)), ("b", ()), ("c", (4,)))


def a_vector():
    return np.arange(11, dtype=np.float64) / 7


def test_a_vector_comes_back_from_its_tensors():
    """Whatever is trained and whatever is summed must be the same numbers."""
    tensors = unflatten(a_vector(), SHAPES)

    again = flatten(tensors, SHAPES)

    assert again.tolist() == a_vector().tolist()
    assert shapes_of(tensors) == SHAPES
    assert dimension(SHAPES) == 11


def test_the_order_is_that_of_the_shapes_and_not_of_the_mapping():
    """Two sites whose dictionaries differ in order must send the same vector."""
    tensors = unflatten(a_vector(), SHAPES)
    turned = {name: tensors[name] for name in ("c", "a", "b")}

    again = flatten(turned, SHAPES)

    assert again.tolist() == a_vector().tolist()


def test_tensors_do_not_share_memory_with_the_vector():
    """Training in place must not change the model it started from."""
    vector = a_vector()

    unflatten(vector, SHAPES)["a"][0, 0] = 99.0

    assert vector[0] == 0.0


@pytest.mark.parametrize("wrong", [np.zeros(10), np.zeros(12), np.zeros((11, 1))])
def test_a_vector_of_another_length_is_refused(wrong):
    """A silent reshape would put weights into the wrong layer."""
    with pytest.raises(MalformedMessage):
        unflatten(wrong, SHAPES)
    with pytest.raises(MalformedMessage):
        model_digest(SHAPES, wrong)


def test_other_names_or_shapes_are_refused():
    """A model with a transposed layer is another model."""
    tensors = unflatten(a_vector(), SHAPES)

    with pytest.raises(MalformedMessage):
        flatten({**tensors, "a": tensors["a"].T}, SHAPES)
    with pytest.raises(MalformedMessage):
        flatten({**tensors, "d": tensors["b"]}, SHAPES)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused(value):
    """NaN has many encodings, so it has no digest that all could agree on."""
    vector = a_vector()
    vector[4] = value

    with pytest.raises(UpdateOutOfRange):
        unflatten(vector, SHAPES)
    with pytest.raises(UpdateOutOfRange):
        model_digest(SHAPES, vector)


def test_the_digest_is_that_of_the_documented_bytes():
    """Written out here by hand, so that another program can compute it."""
    tag, names = b"veilsum/model/1", ((b"a", (2, 3)), (b"b", ()), (b"c", (4,)))
    body = struct.pack(">Q", len(tag)) + tag + struct.pack(">Q", 3)
    for name, shape in names:
        body += struct.pack(">Q", len(name)) + name + struct.pack(">Q", len(shape))
        body += b"".join(struct.pack(">Q", side) for side in shape)
    body += struct.pack("<11d", *(number / 7 for number in range(11)))

    digest = model_digest(SHAPES, a_vector())

    assert digest == hashlib.sha256(body).hexdigest()


def test_the_digest_tells_models_apart():
    """Names, shapes and every bit of every value count."""
    vector = a_vector()
    nudged = vector.copy()
    nudged[3] = np.nextafter(nudged[3], 1.0)

    digests = {
        model_digest(SHAPES, vector),
        model_digest(SHAPES, nudged),
        model_digest((("a", (3, 2)), *SHAPES[1:]), vector),
        model_digest((("ab", (2, 3)), *SHAPES[1:]), vector),
        model_digest((("a", (2, 3)), ("c", (4,)), ("b", ())), vector),
    }

    assert len(digests) == 5


def test_equal_models_have_equal_digests():
    """-0 equals 0; sites that reach either by different sums must agree."""
    zeros, negative = np.zeros(11), np.full(11, -0.0)

    assert model_digest(SHAPES, zeros) == model_digest(SHAPES, negative)


@pytest.mark.parametrize("cuts", [[], [1], [5, 6], list(range(1, 11))])
def test_a_model_in_parts_has_the_digest_of_the_whole(cuts):
    """However it is cut, and across the borders of tensors."""
    digest = ModelDigest(SHAPES)

    for part in np.split(a_vector(), cuts):
        digest.update(part)

    assert digest.hexdigest() == model_digest(SHAPES, a_vector())


def test_a_long_model_is_hashed_as_one():
    """It is hashed in parts inside; the bytes are those of the page."""
    vector = np.cos(np.arange(200_001.0))
    tag = b"veilsum/model/1"
    head = struct.pack(">Q", len(tag)) + tag + struct.pack(">QQ", 1, 1) + b"w"
    head += struct.pack(">QQ", 1, vector.size)

    expected = hashlib.sha256(head + vector.astype("<f8").tobytes()).hexdigest()
    assert model_digest((("w", (200_001,)),), vector) == expected


def test_a_model_in_parts_is_whole_or_has_no_digest():
    """Neither a value less nor one more."""
    digest = ModelDigest(SHAPES)
    digest.update(a_vector()[:10])

    with pytest.raises(MalformedMessage, match="10 values, the model has 11"):
        digest.hexdigest()
    with pytest.raises(MalformedMessage, match="more than the 11 values"):
        digest.update(a_vector()[:2])
    digest.update(a_vector()[10:])
    assert digest.hexdigest() == model_digest(SHAPES, a_vector())


def test_a_part_that_is_not_finite_is_refused():
    """At once, not at the end."""
    with pytest.raises(UpdateOutOfRange):
        ModelDigest(SHAPES).update(np.array([0.0, np.nan]))
