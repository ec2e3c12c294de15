"""A seat dies with scores that it has opened and not signed, and the coordinator is killed twice.

One federation, one round, three deaths: each test reads what is left of them.
"""

from collections.abc import Iterator

import pytest

from coordinator.rounds.state import Phase, Round, Scoring
from coordinator.scoring.scores import scores_kind
from tests.processes.federation import Federation, federation

pytestmark = [pytest.mark.deep, pytest.mark.timeout(300)]

SITES = ("site-a", "site-b", "site-c")
SEATS = ("seat-1", "seat-2", "seat-3")
DEADLINE = {"progress_seconds": "8", "abandon_seconds": "20"}


def current(made: Federation) -> Round:
    found = made.round(1)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def survived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    folder = tmp_path_factory.mktemp("seats")
    asked = {"unchecked": True, "score_step_log2": 24}
    with federation(folder, SITES, seats=SEATS, asked=asked, quorum=3, deadline=DEADLINE) as made:
        made.start_coordinator()
        for name in SEATS[:2]:
            made.start_seat(name)
        made.start_seat(SEATS[2], "seat.before_scores:1=kill")
        for name in SITES:
            made.start_site(name)
        made.wait_for_death(SEATS[2])
        made.wait_for_phase(1, Phase.DONE)
        made.wait_for("two seats to sign", lambda: len(current(made).scored) == 2)
        made.kill("coordinator")
        made.start_coordinator()
        made.wait_for("time to be over", lambda: current(made).scoring is Scoring.OVER)
        made.kill("coordinator")
        made.run_to_the_end()
        yield made


def test_the_round_has_its_model_and_no_scores_for_good(survived: Federation) -> None:
    """Two seats have signed the same, and that is not enough."""
    assert current(survived).phase is Phase.DONE
    assert (current(survived).scoring, current(survived).scores) == (Scoring.OVER, "")
    assert survived.difference(1) == {0}


def test_what_two_seats_have_signed_is_kept_as_evidence_and_alike(survived: Federation) -> None:
    kept = survived.observer.store.documents(scores_kind(1))

    assert [name for name, _ in kept] == [*SEATS[:2]]
    assert len({each.scores for each in current(survived).scored}) == 1


def test_it_is_said_whose_signature_is_missing(survived: Federation) -> None:
    """By the life of the coordinator in which time was over."""
    [line] = survived.log("coordinator", "round_unscored")

    assert (line["round"], line["missing"]) == (1, [SEATS[2]])
