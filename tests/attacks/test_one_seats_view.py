"""What one seat sees is uniform, whatever the update is, and says nothing about it.

The view of a seat is its two components, what travels, and the roots that the site signs of
all three. The updates are chosen by the attacker: one that is nothing but zeros would show any
weakness of a mask, since the words are then the mask.
"""

import os

import numpy as np
import pytest

from privacy.merkle import chunk_root
from privacy.schemes.shares.layout import (
    VALUE_WORDS,
    WORDS_PER_LEAF,
    SharesParameters,
    block_of,
    block_root,
    flat,
)
from privacy.schemes.shares.seat_sum import takes_payload
from privacy.schemes.shares.sharing import SharesProtector, UpdateSecrets
from tests.privacy.schemes.shares.three_seats import CONTEXT, drawn, send

PARAMETERS = SharesParameters(24, 8, leaves_per_chunk=64)
DIMENSION = 60_000
LARGEST = PARAMETERS.largest_value
UPDATES = {
    "zeros": np.zeros(DIMENSION, np.int64),
    "the largest": np.full(DIMENSION, LARGEST),
    "a padded tail": np.where(np.arange(DIMENSION) < 100, 12_345, 0),
    "rising": np.arange(DIMENSION) - DIMENSION // 2,
}
NAMES = list(UPDATES)


def surprise(words):
    """The largest chi-square of the eight bytes of words; 255 degrees of freedom."""
    counts = np.stack(
        [np.bincount(each, minlength=256) for each in words.view(np.uint8).reshape(-1, 8).T]
    )
    expected = words.size / 256
    return float(((counts - expected) ** 2 / expected).sum(axis=1).max())


# Above it by chance in one of 10^9 tables.
UNLIKELY = 420


def view(update, seat):
    """All words that a seat has of one chunk: of both components, blinding included."""
    sent = send(PARAMETERS, update)
    payload = sent.payloads[0] if takes_payload(seat) else None
    return [block[:58] for block in sent.held(PARAMETERS, DIMENSION, seat).blocks(0, payload)]


@pytest.mark.parametrize("name", NAMES)
def test_the_words_themselves_are_not_uniform(name):
    """The control: the same statistic on what is hidden."""
    assert surprise(UPDATES[name].view(np.uint64)) > 100 * UNLIKELY


@pytest.mark.parametrize("seat", range(3))
@pytest.mark.parametrize("name", NAMES)
def test_every_byte_of_a_seats_view_is_uniform(name, seat):
    """Of either component, of their sum and of their difference."""
    first, second = view(UPDATES[name], seat)

    for words in (first, second, first + second, first - second):
        assert surprise(words.reshape(-1)) < UNLIKELY


@pytest.mark.parametrize("seat", range(3))
def test_the_view_is_independent_of_the_update(seat):
    """No bit of any word goes with any bit of the value that it hides."""
    update = drawn(PARAMETERS, DIMENSION, 4)
    hidden = np.unpackbits(update.view(np.uint8)).reshape(DIMENSION, 64)[:, :24].astype(float)
    seen = [flat(block, 58 * VALUE_WORDS) for block in view(update, seat)]

    for words in (*seen, seen[0] + seen[1]):
        bits = np.unpackbits(words.view(np.uint8)).reshape(-1, 64).astype(float)
        rows = 20_000
        together = (hidden[:rows] - 0.5).T @ (bits[:rows] - 0.5) * 4 / np.sqrt(rows)
        assert abs(together).max() < 7  # deviations; 1,536 pairs of bits


def test_what_travels_is_uniform_too():
    """For whoever has no secret at all."""
    payload = send(PARAMETERS, UPDATES["zeros"]).payloads[0][: 8 * DIMENSION]

    assert surprise(np.frombuffer(payload, np.uint64)) < UNLIKELY


def test_the_seat_that_needs_no_vector_sees_the_same_whatever_the_update():
    """Its components are streams of secrets; the values are all in the third."""
    secrets = UpdateSecrets.generate(os.urandom)
    roots = [
        SharesProtector(PARAMETERS, DIMENSION, CONTEXT, secrets).share(0, update).roots
        for update in (UPDATES["zeros"], UPDATES["rising"])
    ]

    assert roots[0][:2] == roots[1][:2]
    assert roots[0][2] != roots[1][2]


# -- guesses ---------------------------------------------------------------------------------


def guessed(seat, sent, root_of):
    """Names of the updates that a seat finds to fit the root of the component it lacks."""
    payload = sent.payloads[0] if takes_payload(seat) else None
    first, second = sent.held(PARAMETERS, DIMENSION, seat).blocks(0, payload)
    held = flat(first + second, DIMENSION)
    signed = sent.roots[0][(seat + 2) % 3]
    return [name for name in NAMES if root_of(UPDATES[name].view(np.uint64) - held) == signed]


def unblinded(words):
    """A tree over the words and nothing else, as plain hashing would have it."""
    return chunk_root(0, words.reshape(1, 1, -1), WORDS_PER_LEAF)


def blinded_with_zeros(words):
    """The tree that sites sign, as far as the seat can make it."""
    return block_root(0, block_of(words, np.zeros((59, 4), np.uint64)))


@pytest.mark.parametrize("seat", range(3))
def test_a_plain_root_of_the_third_component_tells_which_guess_is_right(seat):
    """The control: from one seat alone and a list of candidates, without breaking anything."""
    sent = send(PARAMETERS, UPDATES["rising"])
    missing = (seat + 2) % 3
    other = sent.held(PARAMETERS, DIMENSION, missing)
    block, _ = other.blocks(0, sent.payloads[0] if takes_payload(missing) else None)
    roots = [b"", b"", b""]
    roots[missing] = unblinded(flat(block, DIMENSION))
    plain = type(sent)(sent.context, sent.secrets, sent.payloads, [tuple(roots)])

    assert guessed(seat, plain, unblinded) == ["rising"]


@pytest.mark.parametrize("seat", range(3))
@pytest.mark.parametrize("root_of", [unblinded, blinded_with_zeros])
def test_a_signed_root_tells_nothing_about_a_guess(seat, root_of):
    """Each of its leaves holds 256 bits that the seat does not have."""
    sent = send(PARAMETERS, UPDATES["rising"])

    assert guessed(seat, sent, root_of) == []
