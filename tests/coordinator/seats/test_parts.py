"""What a seat is given of contributions: its own seals, and the component that it holds."""

import pytest

from coordinator.rounds.state import Phase
from privacy.errors import IllegalEvent, NotYet, WrongIdentity
from tests.coordinator.seated_round import SEATS, Seated, payload, sealed_secrets
from tests.fakes import AUDITOR, OPENERS, SITES

LIVE = (Phase.OPEN, Phase.JUDGING, Phase.CERTIFYING, Phase.SUMMING)


@pytest.mark.parametrize("phase", [*LIVE, Phase.DISPUTED])
def test_a_seat_is_given_its_own_seals_and_the_component_it_holds(phase):
    """Seat 0 holds the two components that are expanded: nothing travels to it."""
    seated = Seated(phase)

    for at, seat in enumerate(SEATS):
        part = seated.seats.parts.part(seat, 1, SITES[0])
        assert part.sealed == sealed_secrets(SITES[0], seat)
        assert part.header.body == b"header of hospital-a"
        assert part.chunks == (0 if at == 0 else 2)
    assert seated.seats.parts.chunk(SEATS[1], 1, SITES[0], 1) == payload(SITES[0], 1)


def test_the_seat_that_holds_no_part_of_what_travels_is_not_given_it():
    """It holds components 0 and 1; with the third it could open every update."""
    with pytest.raises(WrongIdentity, match="does not hold"):
        Seated().seats.parts.chunk(SEATS[0], 1, SITES[0], 0)


@pytest.mark.parametrize("caller", [SITES[0], OPENERS[1], AUDITOR, "coordinator", "", "seat-d"])
def test_whoever_is_no_seat_of_the_round_is_given_nothing(caller):
    seats = Seated(Phase.JUDGING).seats

    for ask in (
        lambda: seats.parts.part(caller, 1, SITES[0]),
        lambda: seats.parts.chunk(caller, 1, SITES[0], 0),
        lambda: seats.judging.candidates(caller, 1),
    ):
        with pytest.raises(WrongIdentity, match="no seat of round 1"):
            ask()


def test_a_contribution_that_is_not_committed_is_not_given():
    """Its site may still be sending; seats check what counts."""
    seated = Seated(committed=SITES[:3])

    for name in (SITES[3], "nobody", "../../x"):
        with pytest.raises(NotYet, match="has committed no contribution"):
            seated.seats.parts.part(SEATS[1], 1, name)
        with pytest.raises(NotYet):
            seated.seats.parts.chunk(SEATS[1], 1, name, 0)


@pytest.mark.parametrize("phase", [Phase.AGGREGATING, Phase.OPENING, Phase.DONE, Phase.ABORTED])
def test_no_contribution_is_given_once_sums_agree_or_the_round_is_over(phase):
    seated = Seated(Phase.SUMMING)
    seated.put(phase=phase)

    with pytest.raises(IllegalEvent, match="no seat is given anything"):
        seated.seats.parts.part(SEATS[1], 1, SITES[0])
    with pytest.raises(IllegalEvent):
        seated.seats.parts.chunk(SEATS[1], 1, SITES[0], 0)


@pytest.mark.parametrize(
    ("phase", "moves"),
    [(Phase.OPEN, False), (Phase.JUDGING, True), (Phase.CERTIFYING, False), (Phase.SUMMING, True)],
)
def test_what_moves_to_a_seat_keeps_the_round_that_waits_for_it(phase, moves):
    """An open round waits for trainers: who fetches meanwhile must not hold it open."""
    seated = Seated(phase)
    if phase is Phase.CERTIFYING:
        seated.certify(SEATS[1])
    seated.clock.advance(7)

    seated.seats.parts.part(SEATS[1], 1, SITES[0])

    assert seated.progress.quiet(1)[1] == (0 if moves else 7)
    seated.clock.advance(3)
    seated.seats.parts.chunk(SEATS[1], 1, SITES[0], 0)
    assert seated.progress.quiet(1)[1] == (0 if moves else 10)
    seated.clock.advance(3)
    seated.seats.parts.chunk(SEATS[1], 1, SITES[0], 0)
    assert seated.progress.quiet(1)[1] == (3 if moves else 13)
