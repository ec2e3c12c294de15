"""What anyone can check of an update in shares, without a key to it."""

import hashlib

import pytest

from privacy.errors import MalformedMessage
from privacy.merkle import tree_root
from privacy.schemes.shares.layout import VALUE_WORDS, SharesParameters
from privacy.schemes.shares.payload import PayloadCheck, payload_root
from tests.privacy.schemes.shares.three_seats import drawn, send

PARAMETERS = SharesParameters(24, 8, leaves_per_chunk=4)
DIMENSION = 4 * VALUE_WORDS + 1200


@pytest.fixture(scope="module")
def payloads():
    return send(PARAMETERS, drawn(PARAMETERS, DIMENSION, 1)).payloads


@pytest.fixture
def check():
    return PayloadCheck(PARAMETERS, DIMENSION)


def test_the_root_is_that_of_the_documented_bytes(check, payloads):
    """Put together from the docstring: a leaf, then the tree of RFC 6962."""
    leaves = [
        hashlib.sha256(b"\0" + at.to_bytes(4, "big") + payload).digest()
        for at, payload in enumerate(payloads)
    ]

    roots = [check.check(at, payload) for at, payload in enumerate(payloads)]

    assert roots == leaves
    assert tree_root(roots) == hashlib.sha256(b"\1" + leaves[0] + leaves[1]).digest()


@pytest.mark.parametrize("per_word", [1, 2])
def test_lengths_are_those_of_what_a_site_sends(per_word):
    parameters = SharesParameters(24, 8, per_word, leaves_per_chunk=4)
    check = PayloadCheck(parameters, 12 * VALUE_WORDS - 96)
    sent = send(parameters, drawn(parameters, 12 * VALUE_WORDS - 96, 1)).payloads

    assert [check.length_of(at) for at in range(len(sent))] == [len(each) for each in sent]
    assert check.length() == sum(map(len, sent))


@pytest.mark.parametrize("change", [lambda p: p[:-1], lambda p: p + b"\0", lambda p: b""])
@pytest.mark.parametrize("chunk", [0, 1])
def test_another_length_than_the_plans_is_refused(check, payloads, chunk, change):
    """Before a byte of it is kept."""
    with pytest.raises(MalformedMessage, match=f"chunk {chunk} has"):
        check.check(chunk, change(payloads[chunk]))


def test_there_is_no_chunk_after_the_last(check, payloads):
    for chunk in (2, -1):
        with pytest.raises(MalformedMessage, match="no chunk"):
            check.check(chunk, payloads[1])


def test_a_chunk_at_another_place_has_another_root(payloads):
    """And a flipped bit, too."""
    changed = bytes([payloads[0][0] ^ 1]) + payloads[0][1:]

    roots = {payload_root(0, payloads[0]), payload_root(1, payloads[0]), payload_root(0, changed)}

    assert len(roots) == 3
