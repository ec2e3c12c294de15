"""A share of a product that leaves as it was computed is an equation about the factors.

In CrypTen's replicated protocol a party's share of x·x is x_j² + 2·x_j·x_(j-1), and the next
party gets it as it is when the product is used again. That party also holds x_j: it solves for
the one component that it lacks. Here a share of zero is added first.

Source: crypten 0.4.1, mpc/primitives/replicated.py (mul, replicate_shares).
"""

import numpy as np
import pytest

from privacy.schemes.shares.layout import SharesParameters
from privacy.schemes.shares.replicated import ProductShare, open_product, zero_shares
from tests.attacks.crypten_parties import INPUT
from tests.attacks.crypten_programs import run
from tests.privacy.mpc.trio import pair_secrets
from tests.privacy.schemes.shares.three_seats import CONTEXT, send

pytest.importorskip("torch")

RING = 2**64
PARAMETERS = SharesParameters(24, 8, leaves_per_chunk=1)
SECRET = -48_611


def solved(known, shown):
    """x with known² + 2·known·x = shown, modulo the power of two that it is known to."""
    twos = (known & -known).bit_length() - 1
    right = (shown - known * known) % RING >> (1 + twos)
    modulus = 1 << (63 - twos)
    return right * pow(known >> twos, -1, modulus) % modulus, modulus


def centred(value, modulus):
    return (value + modulus // 2) % modulus - modulus // 2


def test_a_party_of_crypten_reads_an_input_from_its_square():
    """The control: party 0 has components 0 and 2 of party 1's input, and solves for 1."""
    own, others, squares = run("replicated")[0]

    found = []
    for first, third, square in zip(own, others, squares, strict=True):
        second, modulus = solved(third, square)
        found.append(centred(first + second + third, modulus))

    assert found == INPUT


def norm_shares():
    """Three seats' shares of a squared norm, before they are masked; and seat 0's components."""
    while True:
        sent = send(PARAMETERS, np.array([SECRET]))
        blocks = [
            sent.held(PARAMETERS, 1, seat).blocks(0, None if seat == 0 else sent.payloads[0])
            for seat in range(3)
        ]
        first, second = (int(block[0, 0]) for block in blocks[0])
        if second % 2:
            return [_share(each) for each in blocks], first, second


def _share(blocks):
    share = ProductShare(PARAMETERS)
    share.add_square(blocks)
    return share


def zeros(question):
    return [int(zero_shares(pairs, CONTEXT, question)[0]) for pairs in pair_secrets()]


def attacked(shown, first, second):
    """What seat 0 makes of seat 1's share, given its own components."""
    third, modulus = solved(second, shown)
    return centred(first + second + third, modulus)


def test_the_same_attack_reads_nothing_from_ours():
    """Seat 0 holds components 0 and 1, and is shown seat 1's share of the squared norm."""
    shares, first, second = norm_shares()
    masks = zeros("norm")
    shown = [share.masked(zero) for share, zero in zip(shares, masks, strict=True)]

    guess = attacked(shown[1], first, second)

    assert open_product(shown) == SECRET**2
    assert attacked(shares[1].masked(0), first, second) == SECRET, "without the zero it works"
    assert guess != SECRET
    assert abs(guess) > 2**30


def test_what_a_seat_shows_is_uniform():
    """Of one update, asked about again and again: every byte of it, and the control is not."""
    shares, _, _ = norm_shares()
    secrets = pair_secrets()
    shown = np.array(
        [
            shares[1].masked(int(zero_shares(secrets[1], CONTEXT, f"norm {at}")[0]))
            for at in range(4096)
        ],
        np.uint64,
    )

    counts = np.stack(
        [np.bincount(each, minlength=256) for each in shown.view(np.uint8).reshape(-1, 8).T]
    )

    assert ((counts - 16.0) ** 2 / 16).sum(axis=1).max() < 420  # 1 in 10^9; 255 degrees
    assert len({shares[1].masked(0) for _ in range(16)}) == 1, "without the zero, always the same"
    assert np.unique(shown).size == shown.size
