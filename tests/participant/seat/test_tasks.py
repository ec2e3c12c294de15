"""What a seat does next follows from what it sees and what it has done, and from nothing else."""

import pytest

from participant.seat.tasks import (
    Accept,
    AnswerNorms,
    AnswerScores,
    Certify,
    HandIn,
    Judge,
    Score,
    Show,
    Standing,
    State,
    is_over,
    tasks,
    waiting,
)
from participant.view import RoundView, View

SEATS = ("east", "north", "south")
STANDING = Standing("north", {1: frozenset({"amber"})})


def at(phase, number=1, **more):
    """A round in one phase, seated."""
    shown = {"seats": SEATS, "committed": ("amber",), **more}
    committed = shown.pop("committed")
    return RoundView(number, phase, "", (), "", (), committed, "", (), **shown)


@pytest.mark.parametrize(
    ("shown", "task"),
    [
        (at("open"), None),
        (at("open", committed=("amber", "birch")), Accept(1)),
        (at("judging"), None),
        (at("judging", candidates="c"), Judge(1)),
        (at("judging", candidates="c", judged=("north",)), AnswerNorms(1)),
        (at("certifying"), None),
        (at("certifying", cohort="c"), Certify(1)),
        (at("certifying", cohort="c", certified=("north",)), None),
        (at("summing"), State(1)),
        (at("summing", summed=("north",)), Score(1)),
        (at("disputed"), State(1)),
        (at("disputed", summed=("north",), disputed=("east", "south")), Score(1)),
        (at("disputed", summed=SEATS, disputed=SEATS[:2]), Show(1, ("east", "north"))),
        (at("aggregating", summed=("north",)), Score(1)),
        (at("opening", summed=("north",)), Score(1)),
        (at("opening", summed=("east",)), None),
        (at("keying"), None),
        (at("a phase of later"), None),
        (at("done", summed=("north",)), None),
    ],
)
def test_each_phase_has_its_task(shown, task):
    """And none is there before what it needs."""
    assert tasks(View(1, (shown,)), STANDING) == (() if task is None else (task,))


def test_a_round_that_seats_others_is_nobodys_business():
    """Whatever its phase."""
    others = at("summing", seats=("east", "south", "west"))

    assert tasks(View(1, (others,)), STANDING) == ()


def test_scores_that_were_signed_before_the_release_are_handed_in_after_it():
    """A round that is over is shown to nobody as one that wants any."""
    standing = Standing("north", unsent=frozenset({3, 1, 2}))

    assert tasks(View(1, released=2), standing) == (HandIn(1), HandIn(2))
    assert tasks(View(1, (at("opening", 3, summed=SEATS),), released=2), standing) == (
        Score(3), HandIn(1), HandIn(2),
    )  # fmt: skip


def test_scores_that_are_taken_no_more_are_handed_in_once():
    """In this process; the next one may be told something else."""
    standing = Standing("north", unsent=frozenset({1}), declined=frozenset({HandIn(1)}))

    assert tasks(View(1, released=1), standing) == ()


def test_what_is_declined_is_not_done_again():
    """In this process; the next one may have another policy."""
    declined = Standing("north", declined=frozenset({State(1)}))

    assert tasks(View(1, (at("summing"),)), declined) == ()


def test_scores_that_are_in_are_answered_if_another_asks():
    """It may have started again before its own were recorded."""
    scored = Standing("north", scored=frozenset({1}))

    assert tasks(View(1, (at("opening", summed=SEATS),)), scored) == (AnswerScores(1),)


def test_the_oldest_round_comes_first():
    """Its sum is waited for."""
    view = View(1, (at("open", 4), at("summing", 3)))

    assert tasks(view, STANDING) == (State(3), Accept(4))


def test_what_is_waiting_is_what_has_not_been_taken():
    """Of that round alone."""
    view = View(1, (at("open", committed=("amber", "birch")), at("open", 2)))

    assert waiting(view, STANDING, 1) == ("birch",)
    assert waiting(view, STANDING, 2) == ("amber",)


@pytest.mark.parametrize(
    ("view", "over"),
    [
        (View(), False),
        (View(1, (at("open", 2),)), False),
        (View(1, (at("open", 1),)), False),
        (View(1, (at("open", 3),)), True),
        (View(1, (at("aborted", 2),)), True),
        (View(1, (at("summing", 2),), released=2), True),
        (View(1, finished=True), True),
    ],
)
def test_a_round_is_over_once_nothing_more_is_asked_of_it(view, over):
    """A view without it, such as the first after a restart, does not say so."""
    assert is_over(view, 2) is over
