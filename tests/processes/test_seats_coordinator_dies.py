"""The coordinator is killed while seats judge, while they certify and while they state sums.

One federation, one round, eight deaths: each test reads what is left of them.
"""

from collections.abc import Iterator

import pytest

from coordinator.rounds.state import Phase, Round
from tests.processes.federation import Federation, federation
from veilsum.federation.statements import Statements

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SITES = ("site-a", "site-b", "site-c")
SEATS = ("seat-1", "seat-2", "seat-3")
DEATHS = {
    "effect.after_nominate": Phase.JUDGING,
    "seats.after_verdict": Phase.JUDGING,
    "effect.before_freeze": Phase.CERTIFYING,
    "seats.after_certificate": Phase.CERTIFYING,
    "seats.after_statement": Phase.SUMMING,
    "seats.after_chunk": Phase.SUMMING,
    "effect.before_manifest": Phase.AGGREGATING,
}
"""Where it dies, one after another, and in which phase its round is then."""

# Long enough for seats to come back in each of the coordinator's lives.
PATIENT = {"progress_seconds": "15", "abandon_seconds": "60"}


@pytest.fixture(scope="module")
def survived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Federation, list[Phase]]]:
    folder, phases = tmp_path_factory.mktemp("coordinator"), []
    with federation(folder, SITES, seats=SEATS, deadline=PATIENT) as made:
        for name in SEATS:
            made.start_seat(name)
        for name in SITES:
            made.start_site(name)
        for place in DEATHS:
            made.start_coordinator(f"{place}:1=kill")
            made.wait_for_death("coordinator")
            phases.append(_round(made).phase)
            if place == "effect.after_nominate":
                _kill_in_a_session(made)
        made.run_to_the_end()
        yield made, phases


def _kill_in_a_session(made: Federation) -> None:
    """Whatever was on its way between seats is lost: they begin again."""
    made.start_coordinator()
    made.wait_for_log(SEATS[0], "seats_in_session")
    made.kill("coordinator")


def test_it_dies_in_each_phase_that_seats_work_in(
    survived: tuple[Federation, list[Phase]],
) -> None:
    """Or the tests below would be about less than they say."""
    assert survived[1] == list(DEATHS.values())


def test_the_round_ends_with_the_sum_of_all_sites(
    survived: tuple[Federation, list[Phase]],
) -> None:
    """To the last integer; no seat was left out on the way."""
    made, current = survived[0], _round(survived[0])

    assert current.phase is Phase.DONE
    assert made.cohort(1) == SITES
    assert made.difference(1) == {0}
    assert {each.seat for each in current.judged} == set(SEATS)
    assert {each.seat for each in current.stated} == set(SEATS)


def test_what_was_handed_in_before_a_death_counts_once(
    survived: tuple[Federation, list[Phase]],
) -> None:
    """A verdict, a signature or a sum that is sent again is the same one."""
    made, current = survived[0], _round(survived[0])
    statements = Statements(made.roster, made.observer)

    assert len(current.judged) == len(current.stated) == len(SEATS)
    assert set(statements.verdicts(current)) == set(SEATS)
    assert set(statements.sums(current)) == set(SEATS)
    assert statements.certificate(current).complete
    assert made.observer.store.pending_effects() == []
    assert [made.spending(name, 1) for name in SITES] == [["COMMIT", "SENT"]] * 3


def _round(made: Federation) -> Round:
    current = made.round(1)
    assert current is not None
    return current
