"""A dishonest seat shifts its own share, and asks again and again: answers add up to an update.

Of each comparison one bit opens, over numbers in three shares. A seat that adds a number of its
choice to its own share moves the bound by it; it halves what a squared norm may be with every
session, or says of a whole update whether it is what the seat guesses. Both honest seats here
are the product's; comparisons are opened in the clear, as `tests/participant/seat/test_norms`.
"""

import asyncio
import os

import numpy as np
import pytest

from participant.seat import attempt, norms
from participant.seat import memory as memories
from participant.seat.channel import together
from participant.seat.handshake import BrokenOff
from participant.seat.memory import MOST_SESSIONS, SeatMemory
from participant.seat.norms import over_bound
from participant.seat.questions import NORMS, Asking, meeting_of
from privacy.errors import OpeningRefused
from privacy.schemes.shares.layout import VALUE_WORDS
from privacy.schemes.shares.norm_bound import NormBound
from tests.participant.seat.asked import (
    BOUND,
    each_seat,
    plan,
    three_holdings,
    within_in_the_clear,
    words,
)
from tests.participant.seat.table import Relay, three_parties

DIMENSION = 600
PLAN = plan(DIMENSION)
CANDIDATES = "ab" * 32
DISHONEST = 2
UPDATE = np.random.default_rng(5).integers(-40, 41, DIMENSION)
HOLDINGS = three_holdings(PLAN, {"amber": words(UPDATE, DIMENSION)})
SQUARED_NORM = int(UPDATE @ UPDATE)


@pytest.fixture(autouse=True)
def in_the_clear(monkeypatch):
    monkeypatch.setattr(norms, "within", within_in_the_clear)


@pytest.fixture
def lively(monkeypatch):
    monkeypatch.setattr(attempt, "ALIVE_SECONDS", 0.05)


@pytest.fixture
def folders(tmp_path):
    return [tmp_path / str(seat) for seat in range(3)]


def ask(folders, shift):
    """One session, of seats that have just started; whether amber is over the moved bound.

    Args:
        shift: adds to the shares of the dishonest seat, given the rows of this session.
    """

    def work(session):
        memory = SeatMemory(folders[session.seat])

        def before_shares():
            # The dishonest seat counts too, so that it does not wait for answers in vain.
            memory.asks(PLAN.terms.round, "norms", CANDIDATES)

        held = HOLDINGS[session.seat]
        bound = NormBound(BOUND)
        try:
            return over_bound(session, held, bound, CANDIDATES, os.urandom, before_shares)
        finally:
            memory.close()

    with pytest.MonkeyPatch.context() as patch:
        own = norms._shares

        def shifted(session, updates, names, projections, bound):
            shares = own(session, updates, names, projections, bound)
            if session.seat == DISHONEST:
                shares += shift(projections).astype(np.uint64)
            return shares

        patch.setattr(norms, "_shares", shifted)
        found = each_seat(work)
    if all(isinstance(each, OpeningRefused) for each in found):
        raise found[0]
    return bool(found[DISHONEST].over)


def threshold(squared):
    """A shift after which just squared norms over this one are over the bound."""

    def shift(projections):
        return np.array([[0] * 64 + [(BOUND**2 - squared) % (1 << 64)]], np.uint64)

    return shift


def bisected(folders, sessions):
    """Between what the squared norm is after at most so many sessions."""
    low, high = 0, BOUND**2
    for _ in range(sessions):
        if low == high:
            break
        middle = (low + high) // 2
        if ask(folders, threshold(middle)):
            low = middle + 1
        else:
            high = middle
    return low, high


def test_a_squared_norm_takes_more_sessions_than_are_answered(folders):
    """Three halvings of a million leave more than a hundred thousand; a fourth is refused."""
    low, high = bisected(folders, MOST_SESSIONS)

    assert low <= SQUARED_NORM <= high
    assert high - low > BOUND**2 // 2 ** (MOST_SESSIONS + 1)
    with pytest.raises(OpeningRefused, match="asked 3 times, and no more"):
        ask(folders, threshold((low + high) // 2))


def test_with_the_limit_removed_the_squared_norm_comes_out(folders, monkeypatch):
    """The control: twenty sessions, one bit each, and it is known exactly."""
    monkeypatch.setattr(memories, "MOST_SESSIONS", 100)

    found = bisected(folders, 20)

    assert found == (SQUARED_NORM, SQUARED_NORM)


def test_other_candidates_begin_no_new_count(folders):
    """Or a coordinator that helps would show a second list, and a third."""
    ask(folders, threshold(1))

    with pytest.raises(OpeningRefused, match="the coordinator shows two"):
        SeatMemory(folders[0]).asks(PLAN.terms.round, "norms", "cd" * 32)


def guessing(guess):
    """A shift after which the answer is whether every projection is that of a guess."""

    def shift(projections):
        leaves = -(-DIMENSION // VALUE_WORDS)
        rows = projections.coefficients(0, 0, leaves)[:DIMENSION]
        edges = 8 * BOUND - rows.T @ guess
        # Even rows pass up to the guess, odd rows from it on.
        edges[1::2] -= 16 * BOUND
        return np.array([[*(int(each) % (1 << 64) for each in edges), 0]], np.uint64)

    return shift


def test_one_session_tells_whether_a_guess_is_right(folders):
    """What remains, and is said so: a bit may be that one. Three guesses a round, no more."""
    off_by_one = UPDATE + np.eye(DIMENSION, dtype=np.int64)[7]

    assert not ask(folders, guessing(UPDATE))
    assert ask(folders, guessing(off_by_one))
    assert ask(folders, guessing(UPDATE + 1))
    with pytest.raises(OpeningRefused):
        ask(folders, guessing(UPDATE))


@pytest.mark.usefixtures("lively")
async def test_a_seat_that_breaks_off_after_each_answer_is_answered_three_times(folders):
    """Through the product's own sessions: it says hello again, and they begin again, to the end."""
    answers = []

    def greedy(session):
        held, bound = HOLDINGS[DISHONEST], NormBound(BOUND)
        answers.append(over_bound(session, held, bound, CANDIDATES, os.urandom, lambda: None))
        raise BrokenOff("once more")

    async def honest(party, seat):
        memory = SeatMemory(folders[seat])
        try:
            return await Asking(party, memory).bounded(CANDIDATES, HOLDINGS[seat])
        finally:
            memory.close()

    async with three_parties(Relay()) as parties:
        meeting = meeting_of(PLAN, NORMS, CANDIDATES)
        begins = asyncio.create_task(together(parties[DISHONEST], meeting, 20, greedy))
        found = await asyncio.wait_for(
            asyncio.gather(
                *(honest(parties[seat], seat) for seat in (0, 1)), return_exceptions=True
            ),
            30,
        )
        begins.cancel()
        await asyncio.wait([begins])

    assert [type(each) for each in found] == [OpeningRefused] * 2
    assert len(answers) == MOST_SESSIONS
