"""Seats are killed before and after they sign and state; each round still gets its one sum.

One federation, two rounds, three deaths: each test reads what is left of them.
"""

from collections.abc import Iterator

import pytest

from coordinator.rounds.state import Phase
from tests.processes.federation import Federation, federation
from veilsum.federation.statements import Statements

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SITES = ("site-a", "site-b", "site-c")
SEATS = ("seat-1", "seat-2", "seat-3")


@pytest.fixture(scope="module")
def survived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    folder = tmp_path_factory.mktemp("seats")
    asked = {"unchecked": True, "score_step_log2": 24}
    # Longer than a seat takes to start again: for scores all three are needed.
    deadline = {"progress_seconds": "8", "abandon_seconds": "60"}
    rounds = {"wanted": 2, "quorum": 3, "deadline": deadline}
    with federation(folder, SITES, seats=SEATS, asked=asked, **rounds) as made:
        made.start_coordinator()
        made.start_seat("seat-1", "seat.after_certify_record:1=kill")
        made.start_seat("seat-2", "seat.in_upload:2=kill")
        made.start_seat("seat-3", "seat.before_statement:2=kill")
        for name in SITES:
            made.start_site(name)
        made.wait_for_death("seat-1")
        made.start_seat("seat-1")
        made.wait_for_death("seat-2")
        made.start_seat("seat-2")
        made.wait_for_phase(1, Phase.DONE)
        made.wait_for_death("seat-3")
        made.wait_for_phase(2, Phase.DONE)
        made.run_to_the_end()
        yield made


def _statements(made: Federation) -> Statements:
    return Statements(made.roster, made.observer)


@pytest.mark.parametrize("number", [1, 2])
def test_every_sum_is_that_of_the_updates(survived: Federation, number: int) -> None:
    """To the last integer, at every opener."""
    assert survived.cohort(number) == SITES
    assert survived.difference(number) == {0}


def test_a_seat_that_died_in_its_upload_states_the_same_again(survived: Federation) -> None:
    """Another statement would have been refused."""
    current = survived.round(1)

    assert current is not None
    assert "seat-2" in _statements(survived).sums(current)


def test_scores_are_opened_though_the_model_waits_for_none(survived: Federation) -> None:
    """Seats that have just started need longer for them than openers for the model."""
    current = survived.round(1)

    assert current is not None
    scores = _statements(survived).scores(current).scores
    assert [each.participant for each in scores] == list(SITES)


def test_two_seats_end_a_round_without_the_third(survived: Federation) -> None:
    """It died with its sums added and nothing stated."""
    current = survived.round(2)

    assert current is not None
    assert set(_statements(survived).sums(current)) == {"seat-1", "seat-2"}
    assert _statements(survived).certificate(current).complete


def test_nothing_counts_twice(survived: Federation) -> None:
    """Every site has spent once for each round."""
    for number in (1, 2):
        for name in SITES:
            assert survived.spending(name, number) == ["COMMIT", "SENT"]
