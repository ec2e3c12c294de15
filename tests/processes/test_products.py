"""Scores under `ckks`: sites state products, openers judge them, whoever is killed meanwhile.

One federation, two rounds, five deaths: each test reads what is left of them.
"""

from collections.abc import Iterator

import numpy as np
import pytest

from coordinator.rounds.state import Phase, Round, Scoring
from coordinator.scoring.scores import scores_kind
from participant.scoring.kept_update import FOLDER
from privacy import canonical
from privacy.documents import unpack
from privacy.records import Scores, digest_of
from tests.processes.federation import Federation, federation
from veilsum.demo.witness import noted

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SITES = ("site-a", "site-b", "site-c", "site-d")
STEP_LOG2 = 20


@pytest.fixture(scope="module")
def survived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    folder = tmp_path_factory.mktemp("products")
    asked = {"score_step_log2": STEP_LOG2}
    accepted = {name: {"releases": ["participation", "alignment"]} for name in SITES}
    rounds = {"wanted": 2, "quorum": 4}
    with federation(folder, SITES, policies=accepted, asked=asked, **rounds) as made:
        made.start_coordinator("scoring.after_product:2=kill")
        made.start_site("site-a", "scoring.before_sign:1=kill")
        made.start_site("site-b")
        made.start_site("site-c", "scoring.before_send:1=kill")
        made.start_site("site-d", "contribute.after_commit:1=kill")
        made.wait_for_death("site-d")
        made.start_site("site-d", "scoring.before_keep:1=kill")
        made.wait_for_death("coordinator")
        made.start_coordinator()
        made.wait_for_death("site-c")
        made.wait_for_death("site-d")
        made.start_site("site-c")
        made.start_site("site-d")
        made.wait_for_death("site-a")
        made.start_site("site-a")
        made.run_to_the_end()
        yield made


def test_scores_are_the_exact_products_with_the_sum_rounded(survived: Federation) -> None:
    """What anybody with all updates in the clear would compute, and nobody has."""
    for number in (1, 2):
        updates = {name: _noted(survived, name, number, "update") for name in SITES}
        total = sum(updates.values())
        step = 1 << STEP_LOG2

        found = {each.participant: int(each.alignment) for each in _scores(survived, number).scores}

        whole = [int(each) for each in total]
        exact = {name: _product(one, whole) for name, one in updates.items()}
        assert found == {
            name: (2 * each + step) // (2 * step) * step for name, each in exact.items()
        }


def test_enough_openers_have_signed_the_same(survived: Federation) -> None:
    for number in (1, 2):
        current = _round(survived, number)

        assert current.scoring is Scoring.OVER
        assert current.scores == digest_of(_scores(survived, number))
        assert len({each.scores for each in current.scored}) == 1
        assert len(current.scored) >= 2
        assert {each.signer for each in current.scored} <= set(SITES[:3])


def test_nothing_is_left_of_an_update_once_its_scores_are_over(survived: Federation) -> None:
    """Sealed as it is, it is not needed; the coordinator forgets what it carried, too."""
    for name in SITES:
        assert not list((survived.places.site(name) / FOLDER).glob("*/key"))
    for number in (1, 2):
        assert survived.observer.store.documents(f"product-{number:06d}") == []


def test_nothing_counts_twice(survived: Federation) -> None:
    for number in (1, 2):
        assert _round(survived, number).phase is Phase.DONE
        assert survived.cohort(number) == SITES
        assert survived.difference(number) == {0}
        for name in SITES:
            assert survived.spending(name, number) == ["COMMIT", "SENT"]


def _scores(made: Federation, number: int) -> Scores:
    kept = made.observer.store.documents(scores_kind(number))
    (body,) = {unpack(stored).body for _, stored in kept}
    return canonical.decode(body, Scores)


def _product(one: np.ndarray, other: list[int]) -> int:
    return sum(int(a) * b for a, b in zip(one, other, strict=True))


def _noted(made: Federation, name: str, number: int, what: str) -> np.ndarray:
    found = noted(made.places.witness(name), number, what)
    assert found is not None
    return found.astype(np.int64)


def _round(made: Federation, number: int) -> Round:
    current = made.round(number)
    assert current is not None
    return current
