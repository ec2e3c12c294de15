"""The words of a keystream are those of HKDF and AES-256-CTR, and nobody else's."""

import os

import numpy as np
import pytest
from Crypto.Cipher import AES
from Crypto.Hash import SHA256
from Crypto.Protocol.KDF import HKDF

from privacy.errors import MalformedMessage
from privacy.schemes.keystream import UpdateContext, Use, WordStream, derive_key
from privacy.schemes.shares.sharing import component_stream
from privacy.signing import transcript

CONTEXT = UpdateContext("oncology", 7, "charite")
SECRET = bytes(range(32))


def test_words_are_those_of_another_implementation() -> None:
    """HKDF and AES of PyCryptodome, put together from the documentation."""
    info = transcript(
        "veilsum/shares-component/1", b"oncology", (7).to_bytes(8, "big"), b"charite", b"\x01"
    )
    key = HKDF(SECRET, 32, b"", SHA256, context=info)
    cipher = AES.new(key, AES.MODE_CTR, nonce=(5).to_bytes(8, "big"), initial_value=0)

    words = component_stream(CONTEXT, 1, SECRET).words(5, (2, 256))

    assert words.astype("<u8").tobytes() == cipher.encrypt(bytes(2 * 256 * 8))


def test_a_chunk_needs_none_before_it_and_repeats_none() -> None:
    """Seekable; and the first part of a chunk is the same however much is asked for."""
    stream = WordStream(os.urandom(32))
    third = stream.words(2, (4, 256))

    again = WordStream(stream_key(stream)).words(2, (1, 256))

    assert np.array_equal(third[:1], again)
    assert np.unique(np.concatenate([stream.words(at, (1024,)) for at in range(9)])).size == 9216


def stream_key(stream: WordStream) -> bytes:
    return bytes(stream._cipher.key)


@pytest.mark.parametrize(
    "other",
    [
        (UpdateContext("oncolog", 7, "charite"), 1, SECRET),
        (UpdateContext("oncology", 8, "charite"), 1, SECRET),
        (UpdateContext("oncology", 7, "charit"), 1, SECRET),
        (CONTEXT, 0, SECRET),
        (CONTEXT, 1, bytes(32)),
    ],
    ids=["federation", "round", "site", "component", "secret"],
)
def test_another_place_gives_other_words(other: tuple[UpdateContext, int, bytes]) -> None:
    """So a secret that is used again by mistake still hides nothing twice in the same way."""
    words = component_stream(CONTEXT, 1, SECRET).words(0, (256,))

    assert not np.any(component_stream(*other).words(0, (256,)) == words)


def test_no_two_uses_of_a_secret_share_a_key() -> None:
    keys = {derive_key(SECRET, use, *CONTEXT.fields()) for use in Use}

    assert len(keys) == len(Use)


@pytest.mark.parametrize("length", [0, 4, 31, 33])
def test_a_secret_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(MalformedMessage):
        derive_key(bytes(length), Use.COMPONENT)
