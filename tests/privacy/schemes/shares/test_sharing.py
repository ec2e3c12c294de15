"""What a site sends: one vector, three pairs of secrets, and nothing twice."""

import os
from dataclasses import replace

import numpy as np
import pytest
from Crypto.Cipher import AES
from Crypto.Hash import SHA256
from Crypto.Protocol.KDF import HKDF

from privacy.errors import MalformedMessage, UnsafeParameters
from privacy.schemes.keystream import UpdateContext
from privacy.schemes.shares.layout import VALUE_WORDS, SharesParameters, flat
from privacy.schemes.shares.seat_sum import HeldShares
from privacy.schemes.shares.sharing import (
    SeatSecrets,
    SharesProtector,
    UpdateSecrets,
    open_as_seat,
    seal_for_seats,
)
from privacy.sealing import HpkeKeyPair
from privacy.signing import transcript
from tests.privacy.schemes.shares.three_seats import CONTEXT, drawn, send

PARAMETERS = SharesParameters(24, 8, leaves_per_chunk=4)
FULL, REST = 4 * VALUE_WORDS, 1200
DIMENSION = FULL + REST
PAIRS = [HpkeKeyPair.generate(os.urandom) for _ in range(3)]
PUBLIC = [pair.public for pair in PAIRS]


@pytest.fixture(scope="module")
def update():
    return drawn(PARAMETERS, DIMENSION, 1)


@pytest.fixture(scope="module")
def sent(update):
    return send(PARAMETERS, update)


@pytest.mark.parametrize("chunk", [0, 1])
def test_the_three_components_add_up_to_the_update(sent, update, chunk):
    """Modulo 2^64; any two of them are short of the third."""
    values = update[PARAMETERS.geometry(DIMENSION).span(chunk)]
    first, second = sent.held(PARAMETERS, DIMENSION, 0).blocks(chunk, None)
    third, again = sent.held(PARAMETERS, DIMENSION, 2).blocks(chunk, sent.payloads[chunk])

    total = flat(first + second + third, values.size)

    assert np.array_equal(total.view(np.int64), values)
    assert np.array_equal(first, again)


def test_both_holders_have_the_roots_that_the_site_signs(sent):
    """Inconsistent parts are found when they come in, and not in the sum."""
    for chunk, roots in enumerate(sent.roots):
        for seat in range(3):
            held = sent.held(PARAMETERS, DIMENSION, seat)
            payload = sent.payloads[chunk] if seat else None

            assert held.roots(chunk, payload) == (roots[seat], roots[(seat + 1) % 3])


def test_what_travels_is_that_of_another_implementation(sent):
    """HKDF and AES-256-GCM of PyCryptodome, put together from the documentation."""
    place = (b"oncology", (7).to_bytes(8, "big"), b"charite")
    info = transcript("veilsum/shares-seal/1", *place)
    key = HKDF(sent.secrets.secrets[2], 32, b"", SHA256, context=info)
    cipher = AES.new(key, AES.MODE_GCM, nonce=(1).to_bytes(12, "big"))
    cipher.update(transcript("veilsum/shares-seal/1", *place, (1).to_bytes(8, "big")))

    words = cipher.decrypt_and_verify(sent.payloads[1][:-16], sent.payloads[1][-16:])

    third, _ = sent.held(PARAMETERS, DIMENSION, 2).blocks(1, sent.payloads[1])
    assert words == flat(third, REST).astype("<u8").tobytes()


def test_eight_bytes_a_word_and_a_tag_travel(sent):
    assert [len(payload) for payload in sent.payloads] == [8 * FULL + 16, 8 * REST + 16]


def test_two_values_in_a_word_halve_what_travels(update):
    packed = replace(PARAMETERS, values_per_word=2)

    lengths = [len(payload) for payload in send(packed, update).payloads]

    assert lengths == [8 * (DIMENSION // 2) + 16]


def test_a_chunk_is_split_once(update):
    """Two payloads under the same secrets would differ by what the two updates differ."""
    secrets = UpdateSecrets.generate(os.urandom)
    protector = SharesProtector(PARAMETERS, DIMENSION, CONTEXT, secrets)
    protector.protect(1, update[FULL:])

    with pytest.raises(UnsafeParameters, match="chunk 1 has been split"):
        protector.protect(1, update[FULL:] * 0)


def test_equal_updates_are_sent_as_different_words(update):
    first, second = send(PARAMETERS, update), send(PARAMETERS, update)

    assert not set(first.roots[0]) & set(second.roots[0])
    equal = (
        np.frombuffer(first.payloads[0], np.uint8)[:64]
        == np.frombuffer(second.payloads[0], np.uint8)[:64]
    )
    # Sixteen of 64 by chance: once in 10^24.
    assert equal.sum() < 16


@pytest.mark.parametrize(
    "context",
    [
        UpdateContext("oncolog", 7, "charite"),
        UpdateContext("oncology", 6, "charite"),
        UpdateContext("oncology", 7, "ukb"),
    ],
    ids=["federation", "round", "site"],
)
def test_what_was_sent_for_something_else_does_not_open(sent, context):
    """A payload of another round, or of another site, passed off as this one's."""
    held = HeldShares(PARAMETERS, DIMENSION, context, sent.secrets.for_seat(1))

    with pytest.raises(MalformedMessage, match="does not open at its place"):
        held.blocks(0, sent.payloads[0])


def test_a_chunk_opens_at_its_own_place_only():
    sent = send(PARAMETERS, drawn(PARAMETERS, 2 * FULL, 2))
    held = sent.held(PARAMETERS, 2 * FULL, 1)

    with pytest.raises(MalformedMessage, match="chunk 1 of charite does not open"):
        held.blocks(1, sent.payloads[0])


@pytest.mark.parametrize("at", [0, 8 * FULL - 256, -1])
def test_a_flipped_bit_is_refused(sent, at):
    payload = bytearray(sent.payloads[0])
    payload[at] ^= 1

    with pytest.raises(MalformedMessage):
        sent.held(PARAMETERS, DIMENSION, 1).blocks(0, bytes(payload))


def test_a_seat_opens_the_seal_that_is_its_own():
    secrets = UpdateSecrets.generate(os.urandom)

    sealed = seal_for_seats(secrets, CONTEXT, PUBLIC)

    for seat, (pair, seal) in enumerate(zip(PAIRS, sealed, strict=True)):
        assert open_as_seat(pair, CONTEXT, seat, seal) == secrets.for_seat(seat)


@pytest.mark.parametrize("wrong", ["key", "seat", "site", "round", "bit"])
def test_a_seal_that_is_swapped_or_changed_does_not_open(wrong):
    """Between seats, sites and rounds: what a coordinator that relays could do."""
    sealed = seal_for_seats(UpdateSecrets.generate(os.urandom), CONTEXT, PUBLIC)
    pair = PAIRS[1] if wrong == "key" else PAIRS[0]
    context = {
        "site": replace(CONTEXT, site="ukb"),
        "round": replace(CONTEXT, round=8),
    }.get(wrong, CONTEXT)
    seat = 2 if wrong == "seat" else 0
    changed = bytes([sealed[0][0] ^ 1]) + sealed[0][1:] if wrong == "bit" else sealed[0]

    with pytest.raises(MalformedMessage):
        open_as_seat(pair, context, seat, changed)


@pytest.mark.parametrize(
    "seats", [PUBLIC[:2], [*PUBLIC, PUBLIC[0]], [PUBLIC[0], PUBLIC[1], PUBLIC[0]]]
)
def test_seats_that_are_not_three_are_refused(seats):
    """Two seats in one hand have all three components."""
    with pytest.raises(UnsafeParameters, match="3 seats"):
        seal_for_seats(UpdateSecrets.generate(os.urandom), CONTEXT, seats)


@pytest.mark.parametrize("entropy", [bytes, lambda _: b"short", lambda n: os.urandom(n - 1)])
def test_broken_entropy_is_refused(entropy):
    """Equal secrets, or short ones."""
    with pytest.raises(UnsafeParameters, match="different secrets"):
        UpdateSecrets.generate(entropy)


def test_secrets_do_not_print(sent):
    shown = repr(sent.secrets) + repr(sent.secrets.for_seat(0))

    assert not any(
        secret.hex() in shown or repr(secret) in shown for secret in sent.secrets.secrets
    )


def test_a_seats_secrets_are_its_own_two_and_whole(sent):
    with pytest.raises(MalformedMessage):
        SeatSecrets(3, sent.secrets.secrets[:2])
    with pytest.raises(MalformedMessage):
        SeatSecrets(0, (sent.secrets.secrets[0], b""))
