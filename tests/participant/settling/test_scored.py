"""A commit's scores are those of one method, from what all who must have signed; or it is said."""

from typing import Any

import pytest
from msgspec.structs import replace

from participant.settling.scored import Scored, method_for
from participant.wire.seat_calls import SeatCalls
from privacy.contribution.scores import Method, weights
from privacy.documents import Signed
from privacy.errors import ConfigError, InvalidSignature, NotYet, WrongContext
from privacy.plan import Plan
from privacy.records import Cohort, Entry, Score, Scores, digest_of
from privacy.settlement.commitment import Commit
from tests.participant import shared_round as shared
from tests.participant import signed_round as made
from tests.participant.auditing.committed_round import commit as commit_of

PLAN = shared.scored_plan()
SITES = made.TRAINERS
COHORT = Cohort(
    made.FEDERATION, 1, PLAN.digest(), tuple(Entry(name, "e" * 64, ("f" * 64,)) for name in SITES)
)
NORMS, ALIGNMENTS = (4, 9, 16, 10_000), (20, 30, 40, 50)
OPENED = Scores(
    made.FEDERATION,
    1,
    PLAN.digest(),
    digest_of(COHORT),
    4,
    tuple(
        Score(name, str(norm), str(alignment))
        for name, norm, alignment in zip(SITES, NORMS, ALIGNMENTS, strict=True)
    ),
)
"""The last site moves farthest, so that `norm/1` pays it most."""


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the coordinator shows of the round's scores: what all three seats have signed."""
    found: dict[str, Any] = {"signed": made.signed_by(OPENED, *shared.SEATS)}

    async def scores(calls: SeatCalls, number: int) -> Signed:
        signed: Signed | None = found["signed"]
        if signed is None:
            raise NotYet("no scores")
        return signed

    monkeypatch.setattr(SeatCalls, "scores", scores)
    monkeypatch.setattr(SeatCalls, "__post_init__", lambda _: None)
    return found


def scored(method: Method, plan: Plan = PLAN) -> Scored:
    return Scored(None, plan, shared.roster(), COHORT, method)  # type: ignore[arg-type]


def paid_by(method: Method) -> tuple[Commit, dict[str, int]]:
    """The commit of a coordinator that pays by a method, and the score of each site in it."""
    of = weights(method, SITES, OPENED)
    return commit_of(scores=str(sum(of.values()))), of


@pytest.mark.parametrize("agreed", Method)
@pytest.mark.parametrize("paid", Method)
async def test_each_method_fits_itself_and_no_other(
    shown: dict[str, Any], agreed: Method, paid: Method
) -> None:
    """By each of them somebody is paid more than by the others."""
    commit, of = paid_by(paid)

    fault = await scored(agreed).fault(commit, "amber", of["amber"])
    of_all = await scored(agreed).fault(commit)

    assert (not fault, not of_all) == (agreed is paid,) * 2
    if agreed is not paid:
        right = weights(agreed, SITES, OPENED)
        assert fault == (
            f"it pays by a score of {of['amber']} of {commit.scores} in all, where {agreed} makes "
            f"a score of {right['amber']} of {sum(right.values())} in all; ask the programme's "
            "judges before it matures"
        )


async def test_score_that_is_shifted_is_seen_by_who_loses_it_and_not_in_the_sum(
    shown: dict[str, Any],
) -> None:
    """Hence each site looks at its own: an auditor is shown no leaf."""
    commit, of = paid_by(Method.ALIGNMENT)
    shifted = of | {"amber": of["amber"] - 5, "delta": of["delta"] + 5}

    faults = {
        name: await scored(Method.ALIGNMENT).fault(commit, name, score)
        for name, score in shifted.items()
    }

    assert {name for name, fault in faults.items() if fault} == {"amber", "delta"}
    assert await scored(Method.ALIGNMENT).fault(commit) == ""


@pytest.mark.parametrize("signers", [(), shared.SEATS[:2], made.OPENERS])
async def test_under_shares_all_three_seats_must_have_signed(
    shown: dict[str, Any], signers: tuple[str, ...]
) -> None:
    """Two of them could state what they like."""
    shown["signed"] = Signed(
        made.signed_by(OPENED, "elm").body,
        made.signed_by(OPENED, *signers).signatures if signers else {},
    )
    commit, of = paid_by(Method.ALIGNMENT)

    with pytest.raises(InvalidSignature):
        await scored(Method.ALIGNMENT).fault(commit, "amber", of["amber"])


@pytest.mark.parametrize(
    "other",
    [{"round": 2}, {"plan": "0" * 64}, {"cohort": "0" * 64}],
    ids=["round", "plan", "sites"],
)
async def test_scores_of_something_else_pay_for_nothing(
    shown: dict[str, Any], other: dict[str, Any]
) -> None:
    """A coordinator that replays the scores of a round in which its friend was better."""
    shown["signed"] = made.signed_by(replace(OPENED, **other), *shared.SEATS)
    commit, of = paid_by(Method.ALIGNMENT)

    with pytest.raises(WrongContext, match="another round, plan or cohort"):
        await scored(Method.ALIGNMENT).fault(commit, "amber", of["amber"])


async def test_by_participation_no_scores_are_asked_for(shown: dict[str, Any]) -> None:
    """They may never come, and nothing depends on them."""
    shown["signed"] = None
    commit, _ = paid_by(Method.PARTICIPATION)

    assert await scored(Method.PARTICIPATION).fault(commit, "amber", 1) == ""


@pytest.mark.parametrize("void", ["seat-2 was away", ""])
async def test_void_scores_pay_nobody(shown: dict[str, Any], void: str) -> None:
    """Whoever is paid all the same is paid for nothing that was measured."""
    if void:
        record = replace(OPENED, scores=(), void=void)
        shown["signed"] = made.signed_by(record, *shared.SEATS)
    nobody = commit_of(scores="0")

    fault = await scored(Method.ALIGNMENT).fault(nobody, "amber", 0)

    assert (not fault) is bool(void)


async def test_a_method_that_the_plan_cannot_pay_by_fits_no_commit(shown: dict[str, Any]) -> None:
    """Not one that pays nobody, either: the plan would then never pay at all."""
    unscored = shared.plan()

    for commit in (commit_of(), commit_of(scores="0")):
        fault = await scored(Method.COSINE, unscored).fault(commit, "amber", 0)
        assert "for which the plan does not open squared-norm and alignment" in fault


def test_without_a_word_the_method_is_the_only_one_that_the_plan_can_pay_by() -> None:
    """Where scores are opened there is more than one, and none is taken for granted."""
    assert method_for(None, shared.plan()) is Method.PARTICIPATION
    assert method_for(Method.NORM, PLAN) is Method.NORM
    with pytest.raises(ConfigError, match=r"settlement\.method: scores are opened in round 1"):
        method_for(None, PLAN)
