"""Random words from the operating system's entropy."""

import copy
import hashlib
import os
import pickle

import numpy as np
import pytest

from participant.sending.random_words import RandomWords
from privacy.errors import UnsafeParameters


def of_key(key):
    return RandomWords(lambda count: key[:count])


def test_the_stream_is_that_of_aes_256_in_counter_mode():
    """McGrew and Viega's GCM test case 13, key 0: H is the block of zeros, the tag that of one."""
    words = of_key(bytes(32)).draw(4)

    body = words.astype("<u8").tobytes().hex()

    assert body[:32] == "dc95c078a2408989ad48a21492842087"
    assert body[32:] == "530f8afbc74536b9a963b4f1c4cb738b"


def test_no_word_is_given_twice():
    """Noise used twice cancels in the difference of two messages."""
    stream = of_key(bytes(32))

    words = np.concatenate([stream.draw(1000), stream.draw(1), stream.draw(1000)])

    assert len(np.unique(words)) == 2001


def test_pieces_are_the_stream():
    """However it is drawn, one key means one sequence."""
    in_pieces, at_once = of_key(bytes(32)), of_key(bytes(32))

    pieces = np.concatenate([in_pieces.draw(3), in_pieces.draw(0), in_pieces.draw(5)])

    assert pieces.tolist() == at_once.draw(8).tolist()


def test_keys_equal_modulo_2_to_the_32_give_different_streams():
    """A generator seeded with 32 bits takes such keys for one (torch's on CPU, Opacus's noise)."""
    first = bytes(32)
    second = bytes(4) + b"\x01" + bytes(27)
    third = bytes(28) + b"\x01" + bytes(3)

    streams = [of_key(key).draw(8).tolist() for key in (first, second, third)]

    assert not set(streams[0]) & set(streams[1])
    assert not set(streams[0]) & set(streams[2])
    assert not set(streams[1]) & set(streams[2])


def test_two_sites_never_share_a_stream():
    """Neither do two rounds of one site: each draws its own key."""
    streams = [RandomWords(os.urandom).draw(64) for _ in range(50)]

    assert len(np.unique(np.concatenate(streams))) == 50 * 64


def test_the_whole_key_is_asked_for():
    """A short read of entropy must not become a short key."""
    with pytest.raises(UnsafeParameters):
        RandomWords(lambda count: bytes(count - 1))


def test_a_fork_does_not_carry_the_stream_along():
    """Parent and child would add the same noise to different data."""
    stream = of_key(hashlib.sha256(b"key").digest())
    child = os.fork()
    if child == 0:
        try:
            stream.draw(1)
        except UnsafeParameters:
            os._exit(17)
        os._exit(0)

    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 17


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.deepcopy])
def test_the_stream_cannot_be_written_or_doubled(duplicate):
    """A restored stream would repeat noise."""
    with pytest.raises(TypeError):
        duplicate(of_key(bytes(32)))
