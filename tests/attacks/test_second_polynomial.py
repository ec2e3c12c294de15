"""A constant added to the second polynomial of a sum, and what an opener then tells.

An opening computes c0 + c1·s. Who adds T to c1 adds T·s to what is opened: without rounding
the opener would answer with the secret itself. What is shown here is what the guard and the
rounding make of it: for a T whose T·s stays within the guard in every slot the sum opens as
if nothing had been added, and for every larger one that is tried here the opener refuses. So
one attempt tells one bit, whether some slot passed the guard. What many such bits tell is not
shown here; an opener opens one sum a round, under a key of that round (`test_openings.py`).
"""

import numpy as np
import pytest

from privacy.errors import SumOffGrid
from privacy.schemes import ckks, ring
from privacy.schemes.ckks import CkksProtector, CkksRevealer, decode_chunk, encode_chunk
from tests.participant import signed_round as made

PARAMETERS, SIZE = made.PARAMETERS, 4096
PAIR = made.cohort_key()
VALUES = (np.arange(SIZE) % 1001 - 500).astype(np.int64)
HONEST = CkksProtector(PARAMETERS, SIZE, PAIR.public).protect(0, VALUES)
REVEALER = CkksRevealer(PARAMETERS, SIZE, PAIR.secret)

UNSEEN, REFUSED = 2.0**-12, [2.0**-3, 1.0, 2.0**6]
"""T in grid steps: its T·s is far within the guard, or beyond it in many slots."""


def shifted(steps):
    """The sum with a constant of that many grid steps added to its second polynomial.

    In the transform's order a constant is the same residue everywhere.
    """
    words = decode_chunk(PARAMETERS.layout, 0, 1, HONEST).copy()
    constant = np.uint64(round(steps * PARAMETERS.scale))
    words[:, 1] = (words[:, 1] + constant) % np.uint64(PARAMETERS.modulus)
    return encode_chunk(PARAMETERS.layout, 0, words)


def unrounded(payload):
    """What decryption gives before the guard and the rounding, in grid steps."""
    (ciphertext,) = decode_chunk(PARAMETERS.layout, 0, 1, payload)
    return REVEALER._open(ciphertext)


def secret_in_slots():
    """The secret's own slots, real parts and then imaginary ones, by SEAL's encoder."""
    seal = REVEALER._seal
    coefficients = ckks._decode_secret(PARAMETERS, PAIR.secret)
    # c0 = s·scale and c1 = 0 open to s.
    scaled = (coefficients * round(PARAMETERS.scale)).astype(np.int64)
    words = np.zeros((2, 1, PARAMETERS.degree), np.uint64)
    words[0, 0] = ring.to_transform(scaled, PARAMETERS.modulus)
    slots = seal.decrypt(REVEALER._decryptor, words)
    return np.concatenate((slots.real, slots.imag))


def test_an_honest_sum_opens():
    """The control of everything below."""
    assert np.array_equal(REVEALER.reveal(0, HONEST, 1), VALUES)


def test_a_tiny_constant_changes_nothing_that_is_opened():
    """The bytes differ, the integers do not: rounding has taken the secret's part away."""
    payload = shifted(UNSEEN)

    assert payload != HONEST
    assert np.array_equal(REVEALER.reveal(0, payload, 1), VALUES)


@pytest.mark.parametrize("steps", REFUSED)
def test_a_larger_constant_is_refused_whole(steps):
    """No value comes out, and the message holds none."""
    with pytest.raises(SumOffGrid) as refused:
        REVEALER.reveal(0, shifted(steps), 1)

    with pytest.raises(SumOffGrid) as again:
        REVEALER.reveal(0, shifted(2 * steps), 1)
    assert str(refused.value) == str(again.value)


def test_no_size_of_the_constant_opens_to_anything_else():
    """From a thousandth of a step to the whole scale: the honest sum, or nothing."""
    outcomes = []
    for power in range(-12, 8):
        try:
            opened = REVEALER.reveal(0, shifted(2.0**power), 1)
        except SumOffGrid:
            outcomes.append("refused")
        else:
            assert np.array_equal(opened, VALUES)
            outcomes.append("unchanged")

    turn = outcomes.index("refused")
    assert turn > 0
    assert set(outcomes[turn:]) == {"refused"}


@pytest.mark.parametrize("steps", [UNSEEN, *REFUSED])
def test_what_decryption_without_rounding_would_tell(steps):
    """The control: the difference of two unrounded openings is T·s, in every slot, to the secret.

    At the T that nobody notices as well: it is rounding that hides it, not its size.
    """
    shift = unrounded(shifted(steps)) - unrounded(HONEST)

    expected = secret_in_slots() * steps
    assert np.abs(expected).max() > 0
    assert np.allclose(shift, expected, rtol=0, atol=1e-3 * np.abs(expected).max())


def test_what_an_opener_without_the_guard_would_tell(monkeypatch):
    """The control: with the guard patched away, rounded sums give the secret's slots.

    To half a step in 64, from what an opener hands on as the sum.
    """
    monkeypatch.setattr(ckks, "GUARD", np.inf)
    steps = 2.0**6

    told = (REVEALER.reveal(0, shifted(steps), 4) - VALUES) / steps

    assert np.abs(told - secret_in_slots()).max() <= 0.6 / steps
    assert np.abs(secret_in_slots()).max() > 10
