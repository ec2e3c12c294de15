"""Scores count when all three seats have signed the same."""

import pytest
from msgspec.structs import replace

from coordinator.rounds.state import Phase
from privacy import canonical
from privacy.errors import (
    ConflictingContribution,
    IllegalEvent,
    InvalidSignature,
    MalformedMessage,
    NotYet,
    WrongContext,
    WrongIdentity,
)
from privacy.records import Score
from tests.coordinator.seated_round import SEATS, Seated
from tests.fakes import AUDITOR, SITES, signed_by

OTHER = "ee" * 32


def test_scores_count_when_all_three_seats_have_signed_the_same():
    seated = Seated(Phase.SUMMING)

    for seat in SEATS:
        with pytest.raises(NotYet):
            seated.seats.scores.agreed(1)
        seated.seats.scores.put(seat, signed_by(seat, seated.opened()))

    signed = seated.seats.scores.agreed(1)
    assert signed.body == canonical.encode(seated.opened())
    assert list(signed.signatures) == list(SEATS)


def test_scores_that_differ_are_kept_and_do_not_count(capfd):
    seated = Seated(Phase.SUMMING)
    void = seated.opened(scores=(), void="seat-b was away")
    for seat, scores in zip(SEATS, (seated.opened(), void, seated.opened()), strict=True):
        seated.seats.scores.put(seat, signed_by(seat, scores))

    agreed = seated.seats.scores.agreed(1)

    assert agreed is None
    assert len(seated.archive.all_of("scores-000001")) == 3
    assert "scores_differ" in "".join(capfd.readouterr())


def test_one_seat_that_signs_that_there_are_none_ends_the_wait_for_a_dead_one():
    """All three can sign the same numbers no more: payment of later rounds must not wait."""
    seated = Seated(Phase.SUMMING)
    void = seated.opened(scores=(), void="seat-c was away")
    seated.seats.scores.put(SEATS[0], signed_by(SEATS[0], void))

    agreed = seated.seats.scores.agreed(1)

    assert agreed is None


def test_who_is_paid_nothing_is_shown_which_seat_has_signed_that_there_are_no_scores():
    """By its signature a round that pays nobody is right, though the others never sign theirs."""
    seated = Seated(Phase.SUMMING)
    void = seated.opened(scores=(), void="seat-c was away")
    seated.seats.scores.put(SEATS[1], signed_by(SEATS[1], seated.opened()))
    seated.seats.scores.put(SEATS[0], signed_by(SEATS[0], void))

    shown = seated.seats.scores.shown(1)

    assert shown == signed_by(SEATS[0], void)


def test_numbers_that_differ_are_shown_to_nobody():
    """None of them counts, and whoever was shown one could take it for what does."""
    seated = Seated(Phase.SUMMING)
    other = seated.opened()
    other = replace(other, scores=(Score(SITES[0], "1", "1"), *other.scores[1:]))
    for seat, scores in zip(SEATS, (seated.opened(), other, seated.opened()), strict=True):
        seated.seats.scores.put(seat, signed_by(seat, scores))

    with pytest.raises(NotYet, match="has no scores"):
        seated.seats.scores.shown(1)


def test_a_seat_signs_scores_once():
    seated = Seated(Phase.SUMMING)
    for _ in range(2):
        seated.seats.scores.put(SEATS[0], signed_by(SEATS[0], seated.opened()))

    other = seated.opened(scores=(), void="seat-b was away")
    with pytest.raises(ConflictingContribution):
        seated.seats.scores.put(SEATS[0], signed_by(SEATS[0], other))


@pytest.mark.parametrize(
    ("other", "error"),
    [
        ({"cohort": OTHER}, WrongContext),
        ({"plan": OTHER}, WrongContext),
        ({"federation": "cardiology"}, WrongContext),
        ({"step_log2": 3}, WrongContext),
        ({"round": 2}, NotYet),
        ({"scores": ()}, MalformedMessage),
        ({"scores": tuple(Score(n, "1", "1") for n in reversed(SITES))}, MalformedMessage),
        ({"scores": tuple(Score(n, "1", "1") for n in SITES * 2)}, MalformedMessage),
        ({"void": "seat-b was away"}, MalformedMessage),
        ({"scores": (), "void": "\x07"}, MalformedMessage),
    ],
)
def test_scores_of_something_else_are_refused(other, error):
    seated = Seated(Phase.SUMMING)

    with pytest.raises(error):
        seated.seats.scores.put(SEATS[0], signed_by(SEATS[0], seated.opened(**other)))

    assert seated.archive.all_of("scores-000001") == []


def test_scores_that_the_plan_does_not_ask_for_are_refused():
    seated = Seated(Phase.SUMMING, scheme={"score_step_log2": None})

    with pytest.raises(WrongContext, match="does not ask"):
        seated.seats.scores.put(SEATS[0], signed_by(SEATS[0], seated.opened()))


def test_scores_by_others_or_under_another_key_are_refused():
    seated = Seated(Phase.SUMMING)

    for caller in (SITES[0], AUDITOR):
        with pytest.raises(WrongIdentity):
            seated.seats.scores.put(caller, signed_by(caller, seated.opened()))
    with pytest.raises(InvalidSignature):
        seated.seats.scores.put(SEATS[0], signed_by(SEATS[0], seated.opened(), key=SEATS[1]))


@pytest.mark.parametrize("phase", [Phase.OPEN, Phase.JUDGING, Phase.CERTIFYING])
def test_scores_are_taken_of_a_certified_cohort_only(phase):
    seated = Seated(phase)

    with pytest.raises(IllegalEvent, match="no scores"):
        seated.seats.scores.put(SEATS[0], signed_by(SEATS[0], seated.opened()))
