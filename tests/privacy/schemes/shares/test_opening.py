"""Any two seats open the sum; one that lies is noticed, and the pair is named."""

from dataclasses import replace
from hashlib import sha256
from itertools import combinations

import numpy as np
import pytest

from privacy.errors import MalformedMessage, NotYet, RootMismatch, SeatsDisagree, SumOffGrid
from privacy.schemes.base import Geometry
from privacy.schemes.ckks import make_cohort_key
from privacy.schemes.ckks_parameters import fitting
from privacy.schemes.ckks_sum import CkksCombiner
from privacy.schemes.plain import PlainCombiner, PlainProtector, PlainRevealer
from privacy.schemes.shares.layout import (
    VALUE_WORDS,
    WORDS_PER_LEAF,
    SharesParameters,
    block_root,
    held_by,
)
from privacy.schemes.shares.opening import (
    SharesRevealer,
    require_agreement,
    sum_length,
    sum_root,
)
from tests.privacy.schemes import masked
from tests.privacy.schemes.shares.three_seats import drawn, send, totals

PARAMETERS = SharesParameters(16, 8, leaves_per_chunk=4)
DIMENSION = 3 * VALUE_WORDS + 100
PAIRS = list(combinations(range(3), 2))


@pytest.fixture(scope="module")
def updates():
    return [drawn(PARAMETERS, DIMENSION, seed) for seed in range(8)]


@pytest.fixture(scope="module")
def statements(updates):
    return totals(PARAMETERS, DIMENSION, [send(PARAMETERS, update) for update in updates])


@pytest.fixture
def revealer():
    return SharesRevealer(PARAMETERS, DIMENSION)


def joined(statements):
    return b"".join(each.encode() for each in statements)


def lying(statement, component):
    """The same seat with one bit of one sum flipped, and a root that fits the lie."""
    block = statement.blocks[component].copy()
    block[0, 5] ^= np.uint64(1)
    roots = list(statement.roots)
    roots[held_by(statement.seat).index(component)] = block_root(statement.chunk, block)
    return replace(statement, roots=tuple(roots), blocks={**statement.blocks, component: block})


@pytest.mark.parametrize("pair", PAIRS)
def test_any_two_seats_suffice(revealer, statements, updates, pair):
    """The third may have crashed."""
    opened = revealer.reveal(0, joined([statements[seat] for seat in pair]), 8)

    assert np.array_equal(opened, np.sum(updates, axis=0))


def test_three_seats_open_the_same(revealer, statements, updates):
    assert np.array_equal(revealer.reveal(0, joined(statements), 8), np.sum(updates, axis=0))


@pytest.mark.parametrize("scored", [True, False])
def test_the_sum_is_that_of_ckks_and_of_plain(updates, scored):
    """Bit for bit, so models agree whatever protected the updates."""
    ckks, geometry = fitting(value_bits=16, cohort_max=8), Geometry(DIMENSION, DIMENSION)
    key = make_cohort_key(ckks)
    plain = PlainProtector(geometry, ckks.largest_value)
    encrypted = masked.protector(ckks, DIMENSION, key.public)
    parameters = PARAMETERS if scored else replace(PARAMETERS, values_per_word=3)

    shared = totals(parameters, DIMENSION, [send(parameters, update) for update in updates])
    by_shares = SharesRevealer(parameters, DIMENSION).reveal(0, joined(shared[1:]), 8)
    by_ckks = masked.AnyCohort(ckks, DIMENSION, key.secret).reveal(
        0,
        CkksCombiner(ckks, DIMENSION).combine(0, [encrypted.protect(0, each) for each in updates]),
        8,
    )
    by_plain = PlainRevealer(geometry).reveal(
        0, PlainCombiner(geometry).combine(0, [plain.protect(0, each) for each in updates]), 8
    )

    assert by_shares.tobytes() == by_ckks.tobytes() == by_plain.tobytes()


@pytest.mark.parametrize("seat", range(3))
def test_one_seat_opens_nothing(revealer, statements, seat):
    with pytest.raises(NotYet, match="two are needed"):
        revealer.reveal(0, statements[seat].encode(), 8)


def test_two_statements_of_one_seat_are_not_two_seats(revealer, statements):
    with pytest.raises(MalformedMessage, match="seat 1 twice"):
        revealer.reveal(0, joined([statements[1], statements[1]]), 8)


@pytest.mark.parametrize(("liar", "honest"), [*PAIRS, *(pair[::-1] for pair in PAIRS)])
def test_two_holders_that_differ_are_named_and_nothing_opens(revealer, statements, liar, honest):
    """A seat that flips one bit of its sum, in the component that the other holds too."""
    component = (set(held_by(liar)) & set(held_by(honest))).pop()
    said = sorted(
        [lying(statements[liar], component), statements[honest]], key=lambda each: each.seat
    )

    with pytest.raises(SeatsDisagree) as raised:
        revealer.reveal(0, joined(said), 8)

    first, second = sorted((liar, honest))
    assert f"seats {first} and {second} disagree on component {component}" in str(raised.value)


def test_a_lie_that_one_pair_cannot_see_is_seen_with_the_third_seats_root(revealer, statements):
    """Seats 0 and 1 share component 1 only; what seat 0 says of component 0, seat 2 holds too."""
    said = [lying(statements[0], 0), statements[1]]
    unseen = revealer.reveal(0, joined(said), 8)

    with pytest.raises(SeatsDisagree, match="seats 0 and 2 disagree on component 0"):
        revealer.reveal(0, joined([*said, statements[2].only()]), 8)

    assert not np.array_equal(unseen, revealer.reveal(0, joined(statements), 8))


def test_roots_alone_are_enough_to_agree(statements):
    require_agreement([each.only() for each in statements])


def test_a_seat_whose_words_are_not_its_roots_is_named_alone(revealer, statements):
    payload = bytearray(joined(statements[:2]))
    payload[200] ^= 1

    with pytest.raises(RootMismatch, match="seat 0"):
        revealer.reveal(0, bytes(payload), 8)


def test_a_component_that_nobody_gives_is_waited_for(revealer, statements):
    """Roots say what it is, not what it holds."""
    said = [statements[0], statements[1].only(1)]

    with pytest.raises(NotYet, match="component 2"):
        revealer.reveal(0, joined(said), 8)


def test_a_sum_beyond_the_cohort_is_refused(revealer, statements):
    """The sum of eight, said to be of one."""
    with pytest.raises(SumOffGrid, match="1 updates"):
        revealer.reveal(0, joined(statements), 1)


def test_the_root_of_a_sum_is_that_of_its_three_components_in_order():
    """SHA-256 of a transcript, as the docstring says."""
    roots = [bytes([at]) * 32 for at in range(3)]
    framed = b"".join(
        len(part).to_bytes(8, "big") + part for part in (b"veilsum/shares-sum/1", *roots)
    )

    assert sum_root(roots) == sha256(framed).digest()
    assert sum_root(roots[::-1]) != sum_root(roots)


@pytest.mark.parametrize("dimension", [1, 1020, 1021, 3160, 4080, 4081, 20000])
def test_a_sum_is_as_long_as_the_words_of_its_leaves(dimension):
    geometry = PARAMETERS.geometry(dimension)
    leaves = sum(-(-geometry.values_in(at) // VALUE_WORDS) for at in range(geometry.chunks))

    assert sum_length(PARAMETERS, dimension) == 3 * 8 * WORDS_PER_LEAF * leaves
