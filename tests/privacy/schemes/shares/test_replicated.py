"""Norms and dot products of hidden vectors are exact, and show nothing but themselves."""

import os

import numpy as np
import pytest

from privacy.errors import MalformedMessage, NotYet, UnsafeParameters
from privacy.schemes.keystream import UpdateContext
from privacy.schemes.shares.layout import VALUE_WORDS, SharesParameters, held_by
from privacy.schemes.shares.replicated import (
    PairSecrets,
    ProductShare,
    open_product,
    signed,
    zero_shares,
)
from privacy.schemes.shares.seat_sum import SeatCombiner, takes_payload
from tests.privacy.schemes.shares.three_seats import CONTEXT, drawn, send

PARAMETERS = SharesParameters(24, 4, leaves_per_chunk=4)
DIMENSION = 2 * 4 * VALUE_WORDS + 1200
CHUNKS = 3


def pairs():
    secrets = [os.urandom(32) for _ in range(3)]
    return [
        PairSecrets(seat, tuple(secrets[component] for component in held_by(seat)))
        for seat in range(3)
    ]


def shares_of(seat, updates, about):
    """One seat's shares of ⟨x, x⟩ and ⟨x, sum⟩ for update `about`, over all chunks."""
    norm, dot = ProductShare(PARAMETERS), ProductShare(PARAMETERS)
    for chunk in range(CHUNKS):
        addition = SeatCombiner(PARAMETERS, DIMENSION, seat).begin(chunk)
        blocks = [
            addition.add(
                sent.held(PARAMETERS, DIMENSION, seat),
                sent.payloads[chunk] if takes_payload(seat) else None,
            )
            for sent in updates
        ][about]
        total = addition.total()
        norm.add_square(blocks)
        dot.add_product(blocks, tuple(total.blocks[component] for component in held_by(seat)))
    return norm, dot


@pytest.fixture(scope="module")
def updates():
    return [drawn(PARAMETERS, DIMENSION, seed) for seed in range(3)]


@pytest.fixture(scope="module")
def shares(updates):
    sent = [send(PARAMETERS, update) for update in updates]
    return [shares_of(seat, sent, 1) for seat in range(3)]


def test_the_squared_norm_is_exact(shares, updates):
    """Over several chunks, the last one short."""
    zeros = [int(zero_shares(pair, CONTEXT, "norm")[0]) for pair in pairs()]

    opened = open_product(
        [share.masked(zero) for (share, _), zero in zip(shares, zeros, strict=True)]
    )

    assert opened == sum(int(value) ** 2 for value in updates[1])


def test_the_dot_product_with_the_shared_sum_is_exact(shares, updates):
    """The sum itself is opened to nobody for it."""
    zeros = [int(zero_shares(pair, CONTEXT, "dot")[0]) for pair in pairs()]

    opened = open_product(
        [share.masked(zero) for (_, share), zero in zip(shares, zeros, strict=True)]
    )

    total = np.sum(updates, axis=0)
    assert opened == sum(int(a) * int(b) for a, b in zip(updates[1], total, strict=True))


def test_shares_of_zero_add_up_to_zero():
    zeros = sum(zero_shares(pair, CONTEXT, "bound", 64) for pair in pairs())

    assert np.array_equal(zeros, np.zeros(64, np.uint64))


@pytest.mark.parametrize(
    ("context", "question"),
    [
        (UpdateContext("oncolog", 7, "charite"), "norm"),
        (UpdateContext("oncology", 8, "charite"), "norm"),
        (UpdateContext("oncology", 7, "ukb"), "norm"),
        (CONTEXT, "dot"),
    ],
    ids=["federation", "round", "site", "question"],
)
def test_no_two_questions_have_the_same_zero(context, question):
    """Two products masked by the same would show their difference."""
    pair = pairs()[0]

    assert zero_shares(pair, CONTEXT, "norm") != zero_shares(pair, context, question)


def test_the_same_input_twice_is_opened_from_different_shares(shares):
    """Without the zeros a seat's share is a function of its components, round after round."""
    share = shares[0][0]
    first, second = pairs(), pairs()

    shown = {
        share.masked(int(zero_shares(each[0], CONTEXT, "norm")[0])) for each in (first, second)
    }

    assert len(shown) == 2
    assert share.masked(0) == share.masked(0)


def test_what_a_seat_shows_is_uniform():
    """For one share and many secrets: each byte's chi-square, 255 degrees of freedom."""
    share = ProductShare(PARAMETERS)
    shown = np.array(
        [share.masked(int(zero_shares(pairs()[1], CONTEXT, "norm")[0])) for _ in range(4096)],
        np.uint64,
    )

    for at in range(8):
        counts = np.bincount(shown.view(np.uint8).reshape(-1, 8)[:, at], minlength=256)
        assert ((counts - 16) ** 2 / 16).sum() < 420  # P < 1e-9


@pytest.mark.parametrize("count", [0, 2, 4])
def test_a_product_needs_three_shares(count):
    with pytest.raises(NotYet, match=f"{count} seats"):
        open_product([1] * count)


def test_packed_words_have_no_norm():
    """Their squares mix values."""
    with pytest.raises(UnsafeParameters, match="2 values in a word"):
        ProductShare(SharesParameters(24, 4, 2))


@pytest.mark.parametrize(
    ("word", "number"), [(0, 0), (2**63 - 1, 2**63 - 1), (2**63, -(2**63)), (2**64 - 1, -1)]
)
def test_residues_are_read_with_their_sign(word, number):
    assert signed(word) == number


def test_a_pairs_secret_does_not_print_and_is_whole():
    pair = pairs()[0]

    assert repr(pair.secrets[0]) not in repr(pair)
    with pytest.raises(MalformedMessage):
        PairSecrets(0, (b"", bytes(32)))
