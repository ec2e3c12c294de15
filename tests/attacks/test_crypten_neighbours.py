"""Masks that two neighbours share with a party come off when those two meet.

CrypTen hides an input with a sum of zeros that goes round a ring: each party has a seed in
common with the one before it and the one after it, and no others. With three parties its two
neighbours are all the rest. With four they are two of three, and they have both of its seeds.

Here sites share nothing with each other. A site's three components have secrets of its own,
and whatever other sites bring, its update lacks a component as long as two seats do not meet.

Source: crypten 0.4.1, mpc/primitives/arithmetic.py (PRZS).
"""

from itertools import pairwise

import numpy as np
import pytest

from privacy.schemes.keystream import UpdateContext
from privacy.schemes.shares.layout import SharesParameters, flat, held_by
from privacy.schemes.shares.seat_sum import takes_payload
from tests.attacks.crypten_parties import INPUT, SOURCE, masks, parties
from tests.privacy.schemes.shares.three_seats import drawn, send

pytest.importorskip("torch")

PARAMETERS = SharesParameters(17, 8, leaves_per_chunk=1)
UPDATE = np.array(INPUT, np.int64)


def test_two_neighbours_of_four_open_the_third_partys_input_in_crypten():
    """The control: parties 0 and 2 need party 3 for nothing."""
    before, source, after, other = parties(4)
    count = UPDATE.size
    assert len({before.seed_with_next, after.seed_with_previous, other.seed_with_next}) == 3

    opened = source.share - masks(before.seed_with_next, count)
    opened += masks(after.seed_with_previous, count)

    assert SOURCE == 1
    assert np.array_equal(opened.view(np.int64), UPDATE)


def test_sites_have_no_secret_in_common():
    """So there is nothing that neighbours could bring."""
    sites = [
        send(PARAMETERS, UPDATE, UpdateContext("oncology", 7, f"site-{at}")) for at in range(4)
    ]
    secrets = [secret for sent in sites for secret in sent.secrets.secrets]
    streams = [
        flat(sent.held(PARAMETERS, UPDATE.size, 0).blocks(0, None)[0], UPDATE.size)
        for sent in sites
    ]

    assert len(set(secrets)) == 12
    assert not any(np.any(one == other) for one, other in pairwise(streams))


@pytest.mark.parametrize("seat", range(3))
def test_all_other_sites_and_a_seat_leave_one_component_missing(seat):
    """What is left when all that they know is taken off is uniform, not the update.

    They take their own updates off the sum, and the two components that the seat holds off
    what remains: it is the third component, and all of it.
    """
    updates = [UPDATE, *(drawn(PARAMETERS, UPDATE.size, seed) for seed in range(3))]
    sites = [
        send(PARAMETERS, update, UpdateContext("oncology", 7, f"site-{at}"))
        for at, update in enumerate(updates)
    ]
    target = sites[0].held(PARAMETERS, UPDATE.size, seat)
    payload = sites[0].payloads[0] if takes_payload(seat) else None

    held = target.blocks(0, payload)
    short = flat(held[0] + held[1], UPDATE.size)

    missing = ({0, 1, 2} - set(held_by(seat))).pop()
    other = sites[0].held(PARAMETERS, UPDATE.size, missing)
    third, _ = other.blocks(0, sites[0].payloads[0] if takes_payload(missing) else None)
    assert not np.any(short.view(np.int64) == UPDATE)
    assert np.median(np.abs(short.view(np.int64).astype(float))) > 2**60
    assert np.array_equal((short + flat(third, UPDATE.size)).view(np.int64), UPDATE)
