"""What a hospital is owed follows from signed scores, round by round, and from nothing else."""

import pytest

from privacy.contribution.scores import Method
from privacy.errors import WrongContext
from privacy.records import Score, Scores
from veilsum.demo.worth import Scored, owed, parts

COHORT = ("a", "b", "c")
ESCROW = 900


def scored(number: int, *alignments: int, void: str = "") -> Scored:
    """A round of three sites, with these alignments; none are void scores."""
    pairs = zip(COHORT, alignments, strict=False)
    each = tuple(Score(name, "1", str(alignment)) for name, alignment in pairs)
    return Scored(number, COHORT, Scores("f", number, "aa" * 32, "bb" * 32, 0, each, void))


def test_each_round_pays_its_own_third_by_its_own_scores() -> None:
    """300 each: as 1 to 2 to 3, then all to one, where below zero counts as zero."""
    rounds = [scored(1, 10, 20, 30), scored(2, 5, 0, -7)]

    found = owed(Method.ALIGNMENT, rounds, escrow=ESCROW, wanted=3)

    assert found == {"a": 350, "b": 100, "c": 150}
    assert parts(Method.ALIGNMENT, rounds)[0] == pytest.approx({"a": 1 / 6, "b": 1 / 3, "c": 1 / 2})


@pytest.mark.parametrize(
    "unscored", [scored(2, void="a seat was away"), Scored(2, COHORT, None)], ids=["void", "none"]
)
def test_a_round_without_scores_pays_nobody_and_moves_no_other_rounds_share(
    unscored: Scored,
) -> None:
    """Its third stays in the escrow: nobody gains by voiding a round."""
    rounds = [scored(1, 1, 1, 1), unscored, scored(3, 1, 1, 1)]

    found = owed(Method.ALIGNMENT, rounds, escrow=ESCROW, wanted=3)

    assert found == dict.fromkeys(COHORT, 200)
    assert parts(Method.ALIGNMENT, rounds)[1] == {}


def test_by_participation_a_round_needs_no_scores() -> None:
    """Two of three rounds are over: a third stays."""
    rounds = [Scored(1, COHORT, None), Scored(2, COHORT[:2], None)]

    found = owed(Method.PARTICIPATION, rounds, escrow=ESCROW, wanted=3)

    assert found == {"a": 250, "b": 250, "c": 100}


def test_scores_of_another_cohort_are_refused() -> None:
    """They would pay somebody who is not in the sum."""
    other = Scored(1, ("a", "b"), scored(1, 1, 2, 3).scores)

    with pytest.raises(WrongContext):
        owed(Method.ALIGNMENT, [other], escrow=ESCROW, wanted=3)
