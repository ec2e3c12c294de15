"""Whatever seats say counts once, wherever the coordinator dies."""

from contextlib import suppress

import pytest

from coordinator.rounds.state import Phase
from privacy.records import digest_of
from tests.coordinator.seated_round import SEATS, Seated, chunks_at
from tests.fakes import Crash, crash_at


@pytest.mark.parametrize("place", ["service.before_save", "service.after_save"])
@pytest.mark.parametrize(
    ("phase", "act", "own"),
    [
        (Phase.JUDGING, Seated.judge, "seats.after_verdict"),
        (Phase.CERTIFYING, Seated.certify, "seats.after_certificate"),
        (Phase.SUMMING, Seated.state, "seats.after_statement"),
        (Phase.SUMMING, Seated.state, "seats.after_chunk"),
    ],
)
def test_whatever_a_seat_says_counts_once_wherever_the_coordinator_dies(phase, act, own, place):
    """It says the same again, as it recorded it before it said it first."""
    undisturbed = Seated(phase)
    for seat in SEATS:
        act(undisturbed, seat)

    seated = Seated(phase)
    for seat in SEATS:
        for where in (own, place):
            seated.start(crash_at(where))
            with suppress(Crash):
                act(seated, seat)
        seated.start()
        act(seated, seat)

    assert seated.round() == undisturbed.round()
    assert chunks_at(seated) == chunks_at(undisturbed)
    for kind in ("verdict", "seat-sum", f"cohort-signature-{digest_of(seated.cohort)}"):
        assert seated.store.documents(kind) == undisturbed.store.documents(kind)


@pytest.mark.parametrize(
    ("phase", "act", "place"),
    [
        (Phase.JUDGING, Seated.judge, "seats.after_verdict"),
        (Phase.CERTIFYING, Seated.certify, "seats.after_certificate"),
        (Phase.SUMMING, Seated.state, "seats.after_statement"),
        (Phase.SUMMING, Seated.state, "seats.after_chunk"),
    ],
)
def test_each_of_these_places_is_passed(phase, act, place):
    """Or the test above would let nobody die."""
    seated = Seated(phase)
    seated.start(crash_at(place))

    with pytest.raises(Crash):
        act(seated, SEATS[0])
