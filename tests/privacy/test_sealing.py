"""A seal opens for its reader, in its place and its order, or not at all."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.bindings._rust import openssl
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite

from privacy import sealing
from privacy.errors import MalformedMessage
from privacy.sealing import (
    CHUNK_OVERHEAD,
    PUBLIC_KEY_BYTES,
    SEAL_OVERHEAD,
    CiphertextDigest,
    HpkeKeyPair,
    Sealed,
    StreamOpener,
    StreamSealer,
    ciphertext_digest,
    new_content_key,
    open_sealed,
    open_stream,
    seal,
    seal_context,
    seal_stream,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "hpke.json").read_text())
KDFS = {1: KDF.HKDF_SHA256, 17: KDF.SHAKE256}
AEADS = {2: AEAD.AES_256_GCM, 3: AEAD.CHACHA20_POLY1305}

PAIR = HpkeKeyPair.generate(os.urandom)
INFO = seal_context(Sealed.COHORT_KEY, b"oncology", b"round 1")
KEY = new_content_key(os.urandom)
CONTEXT = seal_context(Sealed.MODEL, b"oncology", b"digest of the model")
CHUNKS = [b"first" * 100, b"second", b"third"]


def opened(sealed, *, key=KEY, context=CONTEXT):
    return list(open_stream(key, context, sealed))


@pytest.mark.parametrize("vector", VECTORS["x_wing"])
def test_an_x_wing_key_is_the_published_one(vector):
    """The seed is what is kept on disk: another expansion would be another key."""
    pair = HpkeKeyPair(bytes.fromhex(vector["skRm"]))
    expected = vector["encryptions"][0]
    suite = Suite(KEM.MLKEM768_X25519, KDFS[vector["kdf_id"]], AEADS[vector["aead_id"]])

    plaintext = openssl.hpke._decrypt_with_aad(
        suite,
        bytes.fromhex(vector["enc"] + expected["ct"]),
        MLKEM768X25519PrivateKey(*sealing._expand(pair.seed)),
        bytes.fromhex(vector["info"]),
        bytes.fromhex(expected["aad"]),
    )

    assert pair.public.hex() == vector["pkRm"]
    assert plaintext.hex() == expected["pt"]


@pytest.mark.parametrize("vector", VECTORS["rfc9180"])
def test_the_key_schedule_is_that_of_rfc_9180(vector):
    expected = vector["encryptions"][0]

    plaintext = openssl.hpke._decrypt_with_aad(
        Suite(KEM.X25519, KDFS[vector["kdf_id"]], AEADS[vector["aead_id"]]),
        bytes.fromhex(vector["enc"] + expected["ct"]),
        X25519PrivateKey.from_private_bytes(bytes.fromhex(vector["skRm"])),
        bytes.fromhex(vector["info"]),
        bytes.fromhex(expected["aad"]),
    )

    assert plaintext.hex() == expected["pt"]


def test_a_seal_opens_with_its_key_in_its_context():
    sealed = seal(PAIR.public, INFO, b"secret")

    plaintext = open_sealed(HpkeKeyPair(PAIR.seed), INFO, sealed)

    assert plaintext == b"secret"
    assert len(sealed) == len(b"secret") + SEAL_OVERHEAD
    assert len(PAIR.public) == PUBLIC_KEY_BYTES


def test_two_seals_of_one_secret_differ():
    assert seal(PAIR.public, INFO, b"secret") != seal(PAIR.public, INFO, b"secret")


@pytest.mark.parametrize("position", [0, 500, 1087, 1088, 1119, 1120, 1125, -1])
def test_a_changed_seal_does_not_open(position):
    """One bit in the lattice part, the curve part, the text and the tag."""
    sealed = bytearray(seal(PAIR.public, INFO, b"secret"))
    sealed[position] ^= 1

    with pytest.raises(MalformedMessage):
        open_sealed(PAIR, INFO, bytes(sealed))


def test_a_refused_seal_does_not_say_what_was_wrong():
    """A difference between refusals would be an oracle for whoever can send seals."""
    sealed = seal(PAIR.public, INFO, b"secret")
    other_context = seal_context(Sealed.COHORT_KEY, b"oncology", b"round 2")
    stranger = HpkeKeyPair.generate(os.urandom)

    messages = set()
    for pair, info, body in [
        (stranger, INFO, sealed),
        (PAIR, other_context, sealed),
        (PAIR, b"", sealed),
        (PAIR, INFO, sealed[:-1]),
        (PAIR, INFO, sealed[:100]),
        (PAIR, INFO, b""),
    ]:
        with pytest.raises(MalformedMessage) as refused:
            open_sealed(pair, info, body)
        messages.add(str(refused.value))

    assert len(messages) == 1


@pytest.mark.parametrize(
    "public",
    [b"", PAIR.public[:-1], PAIR.public + b"\0", b"\xff" * PUBLIC_KEY_BYTES,
     PAIR.public[:1184] + bytes(32)],
    ids=["empty", "short", "long", "coefficients-too-large", "low-order-point"],
)  # fmt: skip
def test_what_is_no_public_key_is_not_sealed_to(public):
    """The point of order one would make the X25519 half of the secret known to all."""
    with pytest.raises(MalformedMessage):
        seal(public, INFO, b"secret")


def test_a_private_key_does_not_print():
    assert PAIR.seed.hex() not in repr(PAIR)
    assert repr(PAIR.seed) not in repr(PAIR)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_keys_of_another_length_are_refused(length):
    with pytest.raises(MalformedMessage):
        HpkeKeyPair(bytes(length))
    with pytest.raises(MalformedMessage):
        list(seal_stream(bytes(length), CONTEXT, CHUNKS))


def test_a_context_cannot_be_read_in_two_ways():
    """A byte that moves from one field to the next makes another context."""
    assert seal_context(Sealed.MODEL, b"ab", b"c") != seal_context(Sealed.MODEL, b"a", b"bc")
    assert seal_context(Sealed.MODEL, b"a") != seal_context(Sealed.CONTENT_KEY, b"a")


@pytest.mark.parametrize("chunks", [CHUNKS, CHUNKS[:1], [b"", b"x", b""]])
def test_a_stream_opens_as_it_was_sealed(chunks):
    sealed = list(seal_stream(KEY, CONTEXT, iter(chunks)))

    assert opened(sealed) == chunks
    assert [len(chunk) - CHUNK_OVERHEAD for chunk in sealed] == [len(chunk) for chunk in chunks]


def test_an_empty_stream_is_one_sealed_chunk():
    """Nothing at all must not pass for an empty stream: it is what a thief of chunks leaves."""
    sealed = list(seal_stream(KEY, CONTEXT, []))

    assert opened(sealed) == [b""]
    with pytest.raises(MalformedMessage):
        opened([])


def test_a_stream_whose_chunks_are_not_in_their_places_is_refused():
    one, two, three = seal_stream(KEY, CONTEXT, CHUNKS)
    other = list(seal_stream(KEY, CONTEXT, [*CHUNKS, b"fourth"]))

    for sealed in (
        [one, two],
        [one],
        [two, three],
        [one, three],
        [two, one, three],
        [one, three, two],
        [one, two, two, three],
        [one, two, three, three],
        [one, two, three, b""],
        [*other[:3]],
        [one, two, three, other[3]],
    ):
        with pytest.raises(MalformedMessage):
            opened(sealed)


def test_a_chunk_of_another_stream_or_key_is_refused():
    sealed = list(seal_stream(KEY, CONTEXT, CHUNKS))
    other_context = seal_context(Sealed.MODEL, b"oncology", b"another model")
    swapped = [sealed[0], list(seal_stream(KEY, other_context, CHUNKS))[1], sealed[2]]

    with pytest.raises(MalformedMessage):
        opened(swapped)
    with pytest.raises(MalformedMessage):
        opened(sealed, context=other_context)
    with pytest.raises(MalformedMessage):
        opened(sealed, key=new_content_key(os.urandom))


@pytest.mark.parametrize("position", [0, 3, -1])
def test_a_changed_chunk_is_refused(position):
    sealed = [bytearray(chunk) for chunk in seal_stream(KEY, CONTEXT, CHUNKS)]
    sealed[1][position] ^= 0x80

    with pytest.raises(MalformedMessage, match="chunk 1 "):
        opened([bytes(chunk) for chunk in sealed])


def test_two_contexts_share_no_key_stream():
    """One content key under two contexts still must not repeat a nonce under one cipher key."""
    first = next(seal_stream(KEY, CONTEXT, [bytes(64)]))
    second = next(seal_stream(KEY, CONTEXT + b"x", [bytes(64)]))

    assert first[:64] != second[:64]


def test_chunks_sealed_one_by_one_are_those_of_the_stream():
    """For who makes several streams side by side; the bytes are the same."""
    key, chunks = new_content_key(os.urandom), [b"one", b"two", b""]
    sealer = StreamSealer(key, b"context")

    sealed = [sealer.seal(chunk, last=at == 2) for at, chunk in enumerate(chunks)]

    assert sealed == list(seal_stream(key, b"context", chunks))


def test_chunks_that_come_one_by_one_open_as_a_stream_does():
    """For a reader that knows which one is the last."""
    sealed = list(seal_stream(KEY, CONTEXT, CHUNKS))
    opener = StreamOpener(KEY, CONTEXT)

    opened_here = [opener.unseal(chunk, last=at == 2) for at, chunk in enumerate(sealed)]

    assert opened_here == CHUNKS == opened(sealed)


@pytest.mark.parametrize(
    ("order", "last"), [((1,), 2), ((0, 0), 2), ((0, 2), 2), ((0, 1), 1), ((0, 1, 2), 3)]
)
def test_chunks_that_come_one_by_one_open_at_their_place_only(order, last):
    """Moved, repeated, left out, or the last that is none."""
    sealed = list(seal_stream(KEY, CONTEXT, CHUNKS))
    opener = StreamOpener(KEY, CONTEXT)

    for at, chunk in enumerate(order[:-1]):
        opener.unseal(sealed[chunk], last=at == last)
    with pytest.raises(MalformedMessage, match=f"chunk {len(order) - 1} does not open"):
        opener.unseal(sealed[order[-1]], last=len(order) - 1 == last)


def test_the_digest_of_chunks_one_by_one_is_that_of_the_stream():
    """SHA-256 over the SHA-256 of each."""
    digest = CiphertextDigest()
    for chunk in CHUNKS:
        digest.update(chunk)

    inner = b"".join(hashlib.sha256(chunk).digest() for chunk in CHUNKS)
    assert digest.hexdigest() == ciphertext_digest(CHUNKS) == hashlib.sha256(inner).hexdigest()
