"""The auditor, and nobody else, says whose sums are false."""

import pytest

from coordinator.rounds.state import Phase
from privacy.errors import IllegalEvent, WrongIdentity
from privacy.records import SealedWords
from tests.coordinator.seated_round import SEATS, Seated
from tests.fakes import AUDITOR, SITES

OTHER = "ee" * 32


@pytest.fixture
def disputed():
    """Seats a and b state different sums of component 1."""
    seated = Seated(Phase.SUMMING)
    first, second = seated.statement(SEATS[0]).sums
    false = SealedWords(second.component, OTHER, second.ciphertext, second.length)
    seated.state(SEATS[0], sums=(first, false))
    seated.state(SEATS[1])
    seated.state(SEATS[2])
    return seated


def test_the_auditors_word_settles_a_dispute(disputed):
    assert disputed.round().phase is Phase.DISPUTED

    for _ in range(2):
        disputed.seats.disputes.name_liar(AUDITOR, 1, (SEATS[0],))

    assert disputed.round().phase is Phase.AGGREGATING
    assert disputed.round().liars == (SEATS[0],)


@pytest.mark.parametrize("caller", [SITES[0], SEATS[2], "stranger"])
def test_nobody_but_the_auditor_names_liars(disputed, caller):
    with pytest.raises(WrongIdentity):
        disputed.seats.disputes.name_liar(caller, 1, (SEATS[0],))

    assert disputed.round().phase is Phase.DISPUTED


def test_what_is_settled_is_not_settled_again_by_others(disputed):
    disputed.seats.disputes.name_liar(AUDITOR, 1, (SEATS[0],))

    for caller in (SITES[0], SEATS[1]):
        with pytest.raises((WrongIdentity, IllegalEvent)):
            disputed.seats.disputes.name_liar(caller, 1, (SEATS[0],))


def test_a_seat_outside_the_dispute_is_no_liar(disputed):
    with pytest.raises(IllegalEvent):
        disputed.seats.disputes.name_liar(AUDITOR, 1, (SEATS[2],))


def test_a_dispute_that_cannot_be_settled_ends_the_round(disputed):
    disputed.seats.disputes.name_liar(AUDITOR, 1, ())

    assert disputed.round().phase is Phase.ABORTED
