"""A declared squared norm is split as the update is: three shares, of which two say nothing."""

import os
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from Crypto.Cipher import AES
from Crypto.Hash import SHA256
from Crypto.Protocol.KDF import HKDF

from privacy.errors import MalformedMessage, UpdateOutOfRange
from privacy.schemes.shares.sharing import (
    SeatSecrets,
    UpdateSecrets,
    open_as_seat,
    seal_for_seats,
)
from privacy.sealing import HpkeKeyPair, Sealed, seal, seal_context
from privacy.signing import transcript
from tests.privacy.schemes.shares.three_seats import CONTEXT

PAIRS = [HpkeKeyPair.generate(os.urandom) for _ in range(3)]
PUBLIC = [pair.public for pair in PAIRS]


def given(squared_norm, context=CONTEXT):
    """What the three seats open, of one site's declaration."""
    secrets = UpdateSecrets.generate(os.urandom)
    third = secrets.declare(context, squared_norm)
    sealed = seal_for_seats(secrets, context, PUBLIC, third)
    return [
        open_as_seat(pair, context, seat, each)
        for seat, (pair, each) in enumerate(zip(PAIRS, sealed, strict=True))
    ]


@pytest.mark.parametrize("squared_norm", [0, 1, 2**48, 2**64 - 1])
def test_the_shares_of_three_seats_add_up_to_what_was_declared(squared_norm):
    seats = given(squared_norm)

    assert sum(seat.declared_share(CONTEXT) for seat in seats) % 2**64 == squared_norm


def test_the_words_are_those_of_another_implementation():
    """HKDF and AES-256 of PyCryptodome, put together from the documentation."""
    first, second, _ = given(0)
    place = (b"oncology", (7).to_bytes(8, "big"), b"charite")
    for component, secret in enumerate((first.secrets[0], second.secrets[0])):
        info = transcript("veilsum/shares-declared/1", *place, bytes([component]))
        key = HKDF(secret, 32, b"", SHA256, context=info)
        block = AES.new(key, AES.MODE_ECB).encrypt(bytes(16))

        seat = (first, second)[component]

        assert seat.declared_share(CONTEXT) == int.from_bytes(block[:8], "little")


@pytest.mark.parametrize("pair", list(combinations(range(3), 2)), ids=str)
def test_two_shares_of_one_declaration_say_nothing(pair):
    """Uniform over the ring, whatever was declared: half of the bits are set."""
    found = [
        sum(seat.declared_share(CONTEXT) for at, seat in enumerate(given(5)) if at in pair) % 2**64
        for _ in range(60)
    ]

    bits = sum(word.bit_count() for word in found)
    # 3840 fair bits: six standard deviations.
    assert abs(bits - 1920) < 6 * np.sqrt(3840) / 2
    assert len(set(found)) == len(found)


def test_seat_0_is_not_given_the_third_component():
    """It holds components 0 and 1; with the third it could add."""
    assert [seat.declared_third != 0 for seat in given(2**40)] == [False, True, True]


def test_another_updates_context_gives_other_shares():
    seat = given(9)[0]

    found = {seat.declared_share(replace(CONTEXT, round=at)) for at in (6, 7, 8)}

    assert len(found) == 3


@pytest.mark.parametrize("squared_norm", [-1, 2**64])
def test_what_is_no_word_is_not_declared(squared_norm):
    with pytest.raises(UpdateOutOfRange, match="squared norm"):
        UpdateSecrets.generate(os.urandom).declare(CONTEXT, squared_norm)


def sealed_as(seat, plain):
    info = seal_context(Sealed.SHARES, *CONTEXT.fields(), bytes([seat]))
    return seal(PUBLIC[seat], info, plain)


@pytest.mark.parametrize("length", [0, 64, 71, 73])
def test_a_seal_of_another_length_is_refused(length):
    with pytest.raises(MalformedMessage, match="not what a seat is sealed"):
        open_as_seat(PAIRS[1], CONTEXT, 1, sealed_as(1, bytes(length)))


def test_a_third_that_seat_0_may_not_have_is_refused():
    """Its eight bytes are zero, and one form of a seal is enough."""
    with pytest.raises(MalformedMessage, match="seat 0: not its part"):
        open_as_seat(PAIRS[0], CONTEXT, 0, sealed_as(0, os.urandom(64) + b"\1" + bytes(7)))
    with pytest.raises(MalformedMessage):
        SeatSecrets(1, (bytes(32), bytes(32)), 2**64)


def test_a_declared_third_does_not_print():
    (_, seat, _) = given(3)

    assert str(seat.declared_third) not in repr(seat)
