"""A seat that never signs its numbers holds up no payment: in time the round has no scores."""

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from coordinator.rounds.state import Phase, Scoring
from coordinator.settling.results import Results
from coordinator.wire.codec import statuses_to_wire
from privacy import canonical
from privacy.contribution.scores import Method, weights
from privacy.errors import IllegalEvent, NotYet
from privacy.plan import SCORE_RELEASES
from privacy.records import Cohort, Score, Scores, digest_of
from tests.coordinator import seated_federation
from tests.coordinator.seated_federation import SeatedFederation, canonical_replace
from tests.coordinator.seated_round import SEATS, STEP_LOG2
from tests.fakes import ABANDON_SECONDS, SITES, Crash, crash_at, signed_by
from veilsum.v1 import round_pb2


def scored_federation() -> SeatedFederation:
    """A programme of one round, whose plan asks seats for scores."""
    settings = seated_federation.make_settings(wanted=1)
    scheme = replace(settings.scheme, bound_norms=True, score_step_log2=STEP_LOG2)
    releases = (*settings.privacy.releases, *SCORE_RELEASES)
    privacy = replace(settings.privacy, releases=releases)
    return SeatedFederation(settings=canonical_replace(settings, scheme=scheme, privacy=privacy))


@pytest.fixture
def released():
    """A round that is released, of which two seats have signed the same numbers."""
    federation = scored_federation()
    federation.close()
    federation.freeze()
    federation.sum_up()
    for seat in SEATS[:2]:
        sign(federation, seat)
    federation.finish()
    federation.tick()
    return federation


def opened(federation) -> Scores:
    current = federation.round()
    body = federation.service.archive.document("cohort", current.cohort).body
    cohort = canonical.decode(body, Cohort)
    each = tuple(Score(entry.participant, "12", "3") for entry in cohort.entries)
    place = (federation.settings.federation, 1, current.plan, digest_of(cohort))
    return Scores(*place, STEP_LOG2, each)


def sign(federation, seat):
    federation.service.seats.scores.put(seat, signed_by(seat, opened(federation)))


def earned(federation) -> dict[str, int]:
    """What the round's settlement is told that each site has earned."""
    service = federation.service
    trees = None  # of no meaning to scores
    results = Results(service.archive, service.rosters, trees, service.seats.scores.agreed)
    return weights(Method.ALIGNMENT, SITES, results.scores(federation.round()))


def let_time_pass(federation):
    federation.clock.advance(ABANDON_SECONDS + 1)
    federation.tick()


def test_two_of_three_are_waited_for_and_no_longer_than_the_plan_says(released):
    released.clock.advance(ABANDON_SECONDS - 1)
    released.tick()
    with pytest.raises(NotYet, match="no scores of seat-c yet"):
        earned(released)

    with capture_logs() as said:
        released.clock.advance(2)
        released.tick()

    assert released.round().scoring is Scoring.OVER
    assert released.service.seats.scores.agreed(1) is None
    assert earned(released) == dict.fromkeys(SITES, 0)
    [line] = [each for each in said if each["event"] == "round_unscored"]
    assert (line["round"], line["missing"]) == (1, [SEATS[2]])
    with pytest.raises(NotYet, match="has no scores"):
        released.service.seats.scores.shown(1)


def test_a_seat_that_signs_in_time_is_counted(released):
    sign(released, SEATS[2])

    let_time_pass(released)

    assert list(released.service.seats.scores.agreed(1).signatures) == list(SEATS)
    assert set(earned(released).values()) == {3}


def test_a_seat_that_signs_too_late_is_refused_and_nothing_of_it_is_kept(released):
    """What was settled without it must not come out another way the next time."""
    let_time_pass(released)

    with pytest.raises(IllegalEvent, match="no signature of seat-c is taken"):
        sign(released, SEATS[2])

    assert len(released.service.archive.all_of("scores-000001")) == 2
    assert earned(released) == dict.fromkeys(SITES, 0)


def test_while_a_round_goes_on_no_scores_are_too_late():
    """However long the opening takes: they are waited for from the release on."""
    federation = scored_federation()
    federation.close()
    federation.freeze()
    federation.sum_up()
    federation.clock.advance(ABANDON_SECONDS - 1)
    for seat in SEATS:
        sign(federation, seat)

    federation.finish()

    assert federation.round().phase is Phase.DONE
    assert len(federation.service.seats.scores.agreed(1).signatures) == 3


@pytest.mark.parametrize("place", ["service.before_save", "service.after_save"])
def test_a_coordinator_that_is_killed_as_time_is_over_comes_to_one_end(released, place):
    """The end is in the round's state, or the wait begins again: no clock is asked by who pays."""
    released.start(crash_at(place))
    released.tick()
    released.clock.advance(ABANDON_SECONDS + 1)
    with pytest.raises(Crash):
        released.tick()

    released.start()

    is_void = place == "service.after_save"
    assert (released.round().scoring is Scoring.OVER) == is_void
    if is_void:
        assert released.service.seats.scores.agreed(1) is None
        with pytest.raises(IllegalEvent):
            sign(released, SEATS[2])
    else:
        sign(released, SEATS[2])
        assert set(earned(released).values()) == {3}
    first = earned(released)
    for _ in range(2):
        released.start()
        let_time_pass(released)
        assert earned(released) == first


def test_scores_that_were_kept_and_not_counted_when_a_kill_came_are_not_paid_by(released):
    """A signature counts once the round says so; its seat was not answered, and sends it again."""
    released.start(crash_at("scoring.after_keep"))
    with pytest.raises(Crash):
        sign(released, SEATS[2])
    released.start()
    with pytest.raises(NotYet, match="seat-c"):
        earned(released)

    sign(released, SEATS[2])

    assert set(earned(released).values()) == {3}


def test_scores_that_were_kept_as_time_was_over_do_not_count(released):
    """Between the question whether it comes in time and the answer, time may be over."""
    released.start(crash_at("scoring.after_keep"))
    with pytest.raises(Crash):
        sign(released, SEATS[2])
    released.start()
    released.tick()

    let_time_pass(released)

    assert len(released.service.archive.all_of("scores-000001")) == 3
    assert released.service.seats.scores.agreed(1) is None
    with pytest.raises(IllegalEvent):
        sign(released, SEATS[2])


def test_a_restart_begins_the_wait_for_a_seat_again(released):
    """Nobody is left out for a time in which the coordinator was not there."""
    released.clock.advance(ABANDON_SECONDS + 1)

    released.start()
    released.tick()

    assert released.round().scoring is Scoring.JUDGING


def test_nobody_is_asked_for_products_where_seats_sign_scores(released):
    """An opener that is told of scores being judged would ask for products that there are none."""
    [status] = [each for each in statuses_to_wire({1: released.round()}) if each.number == 1]

    assert released.round().is_scored()
    assert status.scoring == round_pb2.SCORING_UNSPECIFIED
    assert list(status.scored) == []
