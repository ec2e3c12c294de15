"""An update with 2^54 at one place lays everyone's word at that place open in their scores.

A score is the product of an update with the sum. If the sum has 2^54 at one place, the product
has the update's word there above all its other bits; a second place at 2^44 opens a second
word. So seats score only updates whose norms each of them had a part in checking.
"""

import os

import numpy as np
import pytest

from participant.seat import norms, products
from participant.seat.norms import over_bound
from participant.seat.products import opened
from privacy.schemes.shares.norm_bound import NormBound
from tests.participant.seat.asked import (
    BOUND,
    MemoryUpdates,
    each_seat,
    plan,
    three_holdings,
    within_in_the_clear,
    words,
)

DIMENSION, STEP_LOG2 = 5200, 12
PLAN = plan(DIMENSION, unchecked=True, score_step_log2=STEP_LOG2)
FIRST, SECOND = 1234, 77
"""Places of the words that mallory reads."""


def updates():
    generator = np.random.default_rng(3)
    honest = {name: generator.integers(-15, 16, DIMENSION) for name in ("amber", "birch")}
    honest["amber"][[FIRST, SECOND]] = 13, -11
    evil = np.zeros(DIMENSION, np.int64)
    evil[[FIRST, SECOND]] = 1 << 54, 1 << 44
    return honest, evil


HONEST, EVIL = updates()


@pytest.fixture(autouse=True)
def in_the_clear(monkeypatch):
    """Round what is opened; the computation that hides lower bits is another's."""

    def rounded(seat, question, shares, step_bits):
        others = [other for other in range(3) if other != seat.number]
        for other in others:
            seat.link.send(other, shares.tobytes())
        values = shares + np.uint64(1 << step_bits - 1)
        for other in others:
            values += np.frombuffer(seat.link.receive(other), np.uint64)
        return values.view(np.int64) >> step_bits

    monkeypatch.setattr(products, "rounded", rounded)


def scores(*unchecked):
    """What three honest seats open, some of which know that norms were not checked."""
    vectors = {name: words(each, DIMENSION) for name, each in HONEST.items()}
    holdings = three_holdings(PLAN, vectors | {"mallory": words(EVIL, DIMENSION)})
    found = each_seat(
        lambda session: opened(
            session,
            holdings[session.seat],
            STEP_LOG2,
            os.urandom,
            lambda: None,
            checked=session.seat not in unchecked,
        )
    )
    assert found[0] == found[1] == found[2]
    return found[0]


def read(alignment):
    """The words of an update at both places, from its score."""
    first = (alignment + (1 << 53)) >> 54
    return first, (alignment - (first << 54) + (1 << 43)) >> 44


def test_scores_of_an_unchecked_site_open_words_of_all_others():
    """The control: seats that believe its norm to be checked give two words of each site away."""
    found = {each.participant: int(each.alignment) for each in scores().scores}

    stolen = {name: read(found[name]) for name in HONEST}
    assert stolen == {name: (each[FIRST], each[SECOND]) for name, each in HONEST.items()}


@pytest.mark.parametrize("unchecked", [(0,), (1,), (2,), (0, 1, 2)])
def test_if_one_seat_has_not_checked_norms_nothing_opens(unchecked):
    """Its share is missing to every number; the two others are told, and show none either."""
    found = scores(*unchecked)

    assert found.scores == ()
    assert found.void.startswith("not all norms were checked")


def test_a_seat_lets_a_site_of_its_own_past_the_bound(monkeypatch):
    """What remains: it knows the update, and takes off its share all that the site has over it."""
    amber, mallory = words(HONEST["amber"], DIMENSION), words(EVIL, DIMENSION)
    holdings = three_holdings(PLAN, {"amber": amber, "mallory": mallory})
    own, whole = norms._shares, (mallory, words([], DIMENSION))
    known = MemoryUpdates(PLAN, {"mallory": whole}, {})

    def shifted(session, updates, names, projections, bound):
        shares = own(session, updates, names, projections, bound)
        if session.seat == 2:
            for chunk in range(PLAN.geometry().chunks):
                shares[1, :64] -= projections.project(chunk, [known.blocks(chunk, "mallory")[0]])[0]
            shares[1, 64] -= np.sum(mallory * mallory)
        return shares

    def ask():
        return each_seat(
            lambda session: over_bound(
                session,
                holdings[session.seat],
                NormBound(BOUND),
                "ab" * 32,
                os.urandom,
                lambda: None,
            )
        )

    monkeypatch.setattr(norms, "within", within_in_the_clear)
    honest = ask()
    monkeypatch.setattr(norms, "_shares", shifted)
    dishonest = ask()

    assert honest == [norms.Norms(("amber", "mallory"), ("mallory",))] * 3
    assert dishonest == [norms.Norms(("amber", "mallory"))] * 3
