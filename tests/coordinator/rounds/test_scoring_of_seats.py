"""Scores of seats count if all three have signed the same in time, and are void for good if not."""

from itertools import permutations

import pytest
from msgspec.structs import replace

from coordinator.rounds.round import Quiet, ReleaseSigned, decode, encode, step
from coordinator.rounds.scoring import ScoresSigned
from coordinator.rounds.state import Erase, Phase, Round, Rules, Scored, Scoring
from privacy.errors import ConflictingContribution, IllegalEvent, WrongIdentity
from privacy.records import Entry

SITES = ("amber", "birch", "cedar")
SEATS = ("seat-a", "seat-b", "seat-c")
RULES = Rules(SITES, SITES, 3, 1, 3.0, 60.0, seats=SEATS, scores=True)
ENTRIES = tuple(Entry(name, "aa" * 32, ("bb" * 32,)) for name in SITES)
OPENING = Round(1, RULES, Phase.OPENING, committed=ENTRIES, sealed_model="m", release="r")
RELEASE = ReleaseSigned("amber", "r")
LATE, EARLY = Quiet(60.0, 60.0), Quiet(60.0, 59.0)
SAME, OTHER = "11" * 32, "22" * 32
ALL = tuple(ScoresSigned(seat, SAME) for seat in SEATS)


def after(*events, start=OPENING):
    current = start
    for event in events:
        current, _ = step(current, event)
    return current


TWO = after(*ALL[:2], RELEASE)


@pytest.mark.parametrize(
    "phase", [Phase.SUMMING, Phase.DISPUTED, Phase.AGGREGATING, Phase.OPENING, Phase.DONE]
)
def test_seats_sign_as_soon_as_their_cohort_is_certified(phase):
    current, effects = step(replace(OPENING, phase=phase), ALL[0])

    assert current.scored == (Scored(SEATS[0], SAME),)
    assert (current.phase, current.scores, effects) == (phase, "", ())


def test_a_release_waits_for_no_seat_and_scores_that_are_there_for_no_time():
    done, effects = step(after(*ALL), RELEASE)

    assert (done.phase, done.scoring, done.scores) == (Phase.DONE, Scoring.OVER, SAME)
    assert effects == (Erase(1),)
    assert step(done, LATE) == (done, ())


def test_a_seat_that_has_not_signed_is_waited_for_from_the_release_on():
    assert (TWO.phase, TWO.scoring, TWO.scores) == (Phase.DONE, Scoring.JUDGING, "")
    assert TWO.is_over()
    assert step(TWO, EARLY) == (TWO, ())

    in_time = after(ALL[2], start=TWO)

    assert (in_time.scoring, in_time.scores) == (Scoring.OVER, SAME)


@pytest.mark.parametrize("signed", [0, 1, 2])
def test_scores_are_void_when_a_seat_has_not_signed_in_time(signed):
    """Two of three would be whatever any two of them say; the third is what makes them true."""
    waiting = after(*ALL[:signed], RELEASE)

    current, effects = step(waiting, LATE)

    assert (current.scoring, current.scores, effects) == (Scoring.OVER, "", ())
    assert step(current, LATE) == (current, ())


def test_who_signs_too_late_is_refused_by_name():
    over = after(LATE, start=TWO)

    with pytest.raises(IllegalEvent, match="signature of seat-c is taken, its scores are over"):
        step(over, ALL[2])
    assert step(over, ALL[0]) == (over, ())


def test_seats_that_sign_different_scores_have_signed_none():
    differ = after(*ALL[:2], ScoresSigned(SEATS[2], OTHER))

    assert (len(differ.scored), differ.scores) == (3, "")
    assert after(RELEASE, start=differ).scoring is Scoring.OVER


def test_a_seat_signs_once_and_nobody_else_does():
    with pytest.raises(ConflictingContribution, match="seat-a"):
        step(TWO, ScoresSigned(SEATS[0], OTHER))
    with pytest.raises(WrongIdentity, match="amber is no seat"):
        step(TWO, ScoresSigned("amber", SAME))


def test_openers_sign_nothing_before_the_release():
    ckks = replace(OPENING, rules=replace(RULES, seats=(), scores=False, products=True))

    for phase in (Phase.AGGREGATING, Phase.OPENING):
        with pytest.raises(IllegalEvent, match="no signature of amber"):
            step(replace(ckks, phase=phase), ScoresSigned("amber", SAME))


def test_where_the_plan_asks_for_none_nothing_is_waited_for():
    done = after(RELEASE, start=replace(OPENING, rules=replace(RULES, scores=False)))

    assert done.scoring is Scoring.NONE
    assert step(done, LATE) == (done, ())


def test_whatever_comes_first_the_end_is_one_and_stands():
    """All ways in which release, deadline and signatures can follow each other, killed at each."""
    orders = set(permutations([*ALL, RELEASE, LATE]))

    for order in orders:
        current, ends = OPENING, set()
        for event in order:
            if event is LATE and current.phase is not Phase.DONE:
                continue  # what opens is late by other rules
            try:
                current = decode(encode(step(current, event)[0]))
            except IllegalEvent:
                assert current.scoring is Scoring.OVER
            if current.scoring is Scoring.OVER:
                ends.add(current.scores)
        at = order.index(LATE)
        in_time = {*ALL} <= {*order[:at]} or RELEASE not in order[:at]
        assert ends == {SAME if in_time else ""}, order


def test_a_round_of_a_version_without_the_deadline_is_read():
    """A coordinator that is upgraded goes on with what it finds: it has no such rule."""
    plain = replace(TWO, rules=replace(RULES, scores=False), scoring=Scoring.NONE)
    stored = encode(plain).replace(b',"scores":false', b"")

    assert decode(stored) == plain
    assert stored != encode(plain)
    assert b'"opener":"seat-a"' in stored
