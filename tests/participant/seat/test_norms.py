"""What three seats bring to the comparison is what the bound is about, and hides it until then.

The comparison itself is another's; here three threads open what they would compare.
"""

import numpy as np
import pytest

from participant.seat import norms
from participant.seat.norms import Norms, over_bound
from privacy.errors import MalformedMessage, OpeningRefused
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

DIMENSION = 5200
PLAN = plan(DIMENSION)
VECTORS = {
    "fine": words([-BOUND], DIMENSION),
    "over": words([BOUND, 1], DIMENSION),
    "spread": words([13, -13] * (DIMENSION // 2), DIMENSION),
    "wraps": words([1 << 32], DIMENSION),
    "wraps-too": words([1 << 63, 1 << 63], DIMENSION),
}


@pytest.fixture
def opening(monkeypatch):
    """Compare in the open, and keep what every seat brought."""
    brought = {}

    def within(seat, question, shares, largest):
        fine = within_in_the_clear(seat, question, shares, largest)
        brought[seat.number] = question, shares, largest
        return fine

    monkeypatch.setattr(norms, "within", within)
    return brought


def recorded():
    pass


def ask(holdings, bound=BOUND, before_shares=recorded):
    return each_seat(
        lambda session: over_bound(
            session,
            holdings[session.seat],
            NormBound(bound),
            "ab" * 32,
            np.random.bytes,
            before_shares,
        )
    )


OVER = ("over", "wraps", "wraps-too")


def test_all_seats_name_those_over_the_bound(opening):
    results = ask(three_holdings(PLAN, VECTORS))

    assert results == [Norms(tuple(VECTORS), OVER)] * 3


def test_what_is_compared_is_the_squared_norm_and_projections_moved_by_their_bound(opening):
    ask(three_holdings(PLAN, {"fine": VECTORS["fine"], "spread": VECTORS["spread"]}))

    values = sum(shares for _, shares, _ in opening.values())
    largest = opening[0][2]
    # Source: `norm_bound`: T = 8·B, so that -T..T is 0..2·T, and the square up to B².
    assert list(largest) == [16 * BOUND] * 64 + [BOUND**2]
    assert list(values[:, 64]) == [BOUND**2, 13 * 13 * DIMENSION]
    projections = values[0, :64].astype(np.int64) - 8 * BOUND
    assert set(projections) <= {-BOUND, 0, BOUND}
    assert len(set(projections)) == 3


def test_all_seats_ask_the_same_question_and_no_two_sessions_do(opening):
    holdings = three_holdings(PLAN, VECTORS)

    ask(holdings)

    assert len({question for question, _, _ in opening.values()}) == 1


def test_sites_that_a_seat_has_refused_are_not_asked_about(opening):
    """They are left out of the cohort anyway; and who holds nothing of them cannot ask."""
    holdings = three_holdings(PLAN, VECTORS)
    without = {name: held for name, held in holdings[1].held.items() if name != "wraps"}
    holdings[1] = MemoryUpdates(PLAN, without, holdings[1].declared)

    asked = tuple(name for name in VECTORS if name != "wraps")
    assert ask(holdings) == [Norms(asked, ("over", "wraps-too"))] * 3
    assert opening[0][1].shape == (4, 65)


def test_without_a_site_there_is_nothing_to_ask(opening):
    assert ask(three_holdings(PLAN, {})) == [Norms()] * 3
    assert opening == {}


def test_many_sites_are_taken_in_groups(opening, monkeypatch):
    """Memory holds some of them at a time; the answer is the same."""
    monkeypatch.setattr(norms, "SITES_TOGETHER", 2)

    assert ask(three_holdings(PLAN, VECTORS)) == [Norms(tuple(VECTORS), OVER)] * 3


def test_a_squared_norm_shows_in_no_seats_share(opening):
    """Each share has zero added; the same updates give other shares in another session."""
    holdings = three_holdings(PLAN, VECTORS)

    ask(holdings)
    first = {seat: shares[:, 64].copy() for seat, (_, shares, _) in opening.items()}
    ask(holdings)

    for seat, (_, shares, _) in opening.items():
        assert not (first[seat] == shares[:, 64]).any()


def test_a_seat_that_sends_no_names_is_refused(opening):
    holdings = three_holdings(PLAN, VECTORS)

    def work(session):
        if session.seat == 2:
            for other in (0, 1):
                session.link.send(other, b'names:["../../etc"]')
            return None
        return over_bound(
            session,
            holdings[session.seat],
            NormBound(BOUND),
            "ab" * 32,
            np.random.bytes,
            recorded,
        )

    results = each_seat(work)

    for result in results[:2]:
        assert isinstance(result, MalformedMessage)
        assert "seat 2 sends" in str(result)


def test_what_may_not_be_recorded_is_not_asked(opening):
    """The comparison has its seat's leave, or no share of it leaves."""

    def refuse():
        raise OpeningRefused("asked often enough")

    results = ask(three_holdings(PLAN, VECTORS), before_shares=refuse)

    assert [type(each) for each in results] == [OpeningRefused] * 3
    assert opening == {}
