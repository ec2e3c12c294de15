"""Who is shown statements, who is given sealed words, and when."""

import pytest

from coordinator.rounds.state import Disagreement, Phase
from privacy.errors import IllegalEvent, MalformedMessage, NotYet, WrongIdentity
from tests.coordinator.seated_round import SEATS, Seated, chunks_at
from tests.fakes import AUDITOR, OPENERS, SITES, signed_by


def test_statements_are_shown_when_they_are_compared_and_not_before():
    """A seat that could read another's would not need to add."""
    seated = Seated(Phase.SUMMING)
    seated.state(SEATS[0])
    for caller in (SITES[3], SEATS[1], AUDITOR):
        with pytest.raises(NotYet, match="not compared"):
            seated.seats.sealed.statements(caller, 1)
    seated.state(SEATS[1])
    seated.state(SEATS[2])

    for caller in (SITES[3], SEATS[1], AUDITOR):
        shown = seated.seats.sealed.statements(caller, 1)
        assert [list(each.signatures) for each in shown] == [[seat] for seat in SEATS]
        assert shown[0] == signed_by(SEATS[0], seated.statement(SEATS[0]))


def test_a_dispute_shows_statements_and_no_words():
    seated = Seated(Phase.OPENING)
    seated.put(phase=Phase.DISPUTED, disputed=Disagreement(SEATS[:2], 1))

    assert len(seated.seats.sealed.statements(AUDITOR, 1)) == 3
    for caller in SITES:
        with pytest.raises(NotYet, match="not opened yet"):
            seated.seats.sealed.words(caller, 1, SEATS[0], 0, 0)


@pytest.mark.parametrize("caller", [*SEATS, AUDITOR, "coordinator", "stranger", ""])
def test_no_one_but_trainers_is_given_sealed_words(caller):
    seated = Seated(Phase.OPENING)

    with pytest.raises(WrongIdentity, match="no trainer"):
        seated.seats.sealed.chunks(caller, 1, SEATS[0], 0)
    with pytest.raises(WrongIdentity):
        seated.seats.sealed.words(caller, 1, SEATS[0], 0, 0)


@pytest.mark.parametrize("caller", ["coordinator", "stranger", ""])
def test_strangers_are_shown_no_statements(caller):
    with pytest.raises(WrongIdentity, match="no part"):
        Seated(Phase.OPENING).seats.sealed.statements(caller, 1)


@pytest.mark.parametrize("phase", [Phase.SUMMING, Phase.AGGREGATING])
def test_words_wait_for_the_manifest(phase):
    seated = Seated(Phase.OPENING)
    seated.put(phase=phase)

    with pytest.raises(NotYet):
        seated.seats.sealed.words(SITES[0], 1, SEATS[0], 0, 0)


def test_nobody_opens_the_sum_of_an_aborted_round():
    seated = Seated(Phase.OPENING)
    seated.put(phase=Phase.ABORTED)

    with pytest.raises(IllegalEvent, match="nobody opens"):
        seated.seats.sealed.words(SITES[0], 1, SEATS[0], 0, 0)


def test_a_liars_words_are_not_given_out():
    seated = Seated(Phase.OPENING)
    seated.put(liars=(SEATS[1],))

    with pytest.raises(NotYet, match="no sum that counts"):
        seated.seats.sealed.words(SITES[0], 1, SEATS[1], 0, 0)
    assert seated.seats.sealed.words(SITES[0], 1, SEATS[2], 0, 0)


@pytest.mark.parametrize("position", [2, 1 << 31, -1])
def test_a_seat_has_two_sums(position):
    with pytest.raises(MalformedMessage, match="two sums"):
        Seated(Phase.OPENING).seats.sealed.words(SITES[0], 1, SEATS[0], position, 0)


def test_words_on_their_way_to_an_opener_are_progress_and_to_others_are_not():
    seated = Seated(Phase.OPENING)
    seated.clock.advance(6)
    seated.seats.sealed.words(SITES[3], 1, SEATS[0], 0, 0)
    assert seated.progress.quiet(1)[1] == 6

    seated.seats.sealed.words(OPENERS[1], 1, SEATS[0], 0, 0)

    assert seated.progress.quiet(1)[1] == 0


def test_words_are_erased_with_the_round():
    seated = Seated(Phase.OPENING)
    seated.put(phase=Phase.DONE)
    assert seated.seats.sealed.words(SITES[0], 1, SEATS[0], 0, 0)

    seated.seats.sums.erase(1)

    assert chunks_at(seated) == []
    with pytest.raises(IllegalEvent, match="erased"):
        seated.seats.sealed.words(SITES[0], 1, SEATS[0], 0, 0)
