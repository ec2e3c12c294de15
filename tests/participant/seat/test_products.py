"""Squared norms and products are those of the updates, and nothing opens beside a false one."""

import json
import os

import numpy as np
import pytest

from participant.seat.products import opened
from privacy.errors import MalformedMessage, OpeningRefused, SeatsDisagree
from tests.participant.seat.asked import MemoryUpdates, each_seat, plan, three_holdings, words

DIMENSION = 5200
PLAN = plan(DIMENSION, score_step_log2=0)
VECTORS = {
    "amber": words([100, 7], DIMENSION),
    "birch": words([-30, 50], DIMENSION),
    "cedar": words([-3] * DIMENSION, DIMENSION),
}


def recorded():
    pass


def ask(holdings, step_log2=0, unchecked=(), before_shares=recorded):
    return each_seat(
        lambda session: opened(
            session,
            holdings[session.seat],
            step_log2,
            os.urandom,
            before_shares,
            checked=session.seat not in unchecked,
        )
    )


def test_scores_are_the_squared_norm_and_the_product_with_the_sum():
    results = ask(three_holdings(PLAN, VECTORS))

    total = sum(VECTORS.values()).view(np.int64)
    expected = [
        (
            name,
            str(int(vector.view(np.int64) @ vector.view(np.int64))),
            str(int(vector.view(np.int64) @ total)),
        )
        for name, vector in VECTORS.items()
    ]
    assert results[0] == results[1] == results[2]
    assert [
        (each.participant, each.squared_norm, each.alignment) for each in results[0].scores
    ] == expected
    assert results[0].void == ""


def test_who_declared_another_norm_is_named_and_nothing_else_opens():
    """Its own product would be in everyone's."""
    holdings = three_holdings(PLAN, VECTORS, {"amber": 10049, "birch": 3400, "cedar": 1})

    results = ask(holdings)

    for found in results:
        assert found.scores == ()
        assert found.void == "not the squared norm that was declared: cedar"


def test_a_norm_that_wraps_is_not_the_one_declared():
    """2^32 squares to 0 modulo 2^64; who declares the true square of it cannot, it has no room."""
    vectors = VECTORS | {"delta": words([1 << 33, 5], DIMENSION)}

    honest_modulo = ask(three_holdings(PLAN, vectors))
    declared = {name: int(np.sum(each * each)) for name, each in VECTORS.items()} | {"delta": 26}
    lie = ask(three_holdings(PLAN, vectors, declared))

    assert honest_modulo[0].void == ""
    assert lie[0].void == "not the squared norm that was declared: delta"


def test_seats_that_mean_different_cohorts_refuse_each_other():
    holdings = three_holdings(PLAN, VECTORS)
    turned = dict(reversed(holdings[2].held.items()))
    holdings[2] = MemoryUpdates(PLAN, turned, holdings[2].declared)

    results = ask(holdings)

    assert all(isinstance(each, SeatsDisagree) for each in results)


def test_shares_that_are_shown_hide_what_a_seat_holds():
    """Shown for the same updates in two sessions, they have nothing in common."""
    holdings, shown = three_holdings(PLAN, VECTORS), []

    def work(session):
        send = session.link.send

        def noting(to_seat, body):
            if body.startswith(b"open:"):
                shown.append((session.seat, to_seat, body))
            send(to_seat, body)

        session.link.send = noting
        held = holdings[session.seat]
        return opened(session, held, 0, os.urandom, recorded, checked=True)

    each_seat(work)
    each_seat(work)

    # Two openings in each session; a seat shows both others the same.
    assert len({(seat, body) for seat, _, body in shown}) == 3 * 2 * 2


@pytest.mark.parametrize("instead", [b"", b"open:", b"open:" + bytes(23), bytes(5 + 24)])
def test_what_are_no_shares_is_refused(instead):
    holdings = three_holdings(PLAN, VECTORS)

    def work(session):
        if session.seat == 0:
            return opened(session, holdings[0], 0, os.urandom, recorded, checked=True)
        session.link.send(0, b"checked:1")
        session.link.send(0, b"names:" + json.dumps([*VECTORS]).encode())
        session.link.send(0, instead)
        return None

    result = each_seat(work)[0]

    assert isinstance(result, MalformedMessage)
    assert f"seat 1 sends {len(instead)} bytes" in str(result)


@pytest.mark.parametrize("unchecked", [(0,), (1, 2)])
def test_where_a_seat_does_not_know_that_norms_were_checked_no_share_leaves(unchecked):
    """All three hear which of them; the words of an update cannot come out."""
    left = []

    results = ask(
        three_holdings(PLAN, VECTORS), unchecked=unchecked, before_shares=lambda: left.append(1)
    )

    seats = ", ".join(PLAN.terms.seats[each] for each in unchecked)
    assert {each.void for each in results} == {f"not all norms were checked, say: {seats}"}
    assert (results[0].scores, left) == ((), [])


@pytest.mark.parametrize("instead", [b"", b"checked:2", b"names:[]"])
def test_a_seat_that_does_not_say_what_it_checked_is_refused(instead):
    holdings = three_holdings(PLAN, VECTORS)

    def work(session):
        if session.seat:
            session.link.send(0, instead)
            return None
        return opened(session, holdings[0], 0, os.urandom, recorded, checked=True)

    result = each_seat(work)[0]

    assert isinstance(result, MalformedMessage)
    assert "in place of what it checked" in str(result)


def test_what_may_not_be_recorded_opens_nothing():
    """The record comes before the first share, that of declared norms."""

    def refuse():
        raise OpeningRefused("asked often enough")

    results = ask(three_holdings(PLAN, VECTORS), before_shares=refuse)

    assert [type(each) for each in results] == [OpeningRefused] * 3
