"""A coordinator that wants one site's update: what it can show openers, and what they open."""

import msgspec
import numpy as np
import pytest

from participant.session import Agree, Open, SealModel
from privacy import canonical
from privacy.errors import (
    CohortTooSmall,
    InvalidSignature,
    OpeningRefused,
    PolicyRefusal,
    WrongContext,
)
from privacy.records import SealedModel, digest_of
from tests.participant import signed_round as made
from tests.participant.agent_at_work import Showing, agent, ends, next_model, released

WHOLE = made.Round(made.plan(), made.TRAINERS)
WITHOUT_DELTA = made.Round(made.plan(), made.OPENERS)


@pytest.fixture
def shown():
    coordinator = Showing()
    coordinator.shows(WHOLE)
    return coordinator


@pytest.fixture
def amber(tmp_path, shown):
    return agent(tmp_path, shown)


async def test_two_cohorts_of_one_round_are_never_both_opened(tmp_path, shown, amber):
    """Their difference is delta's update, to the last integer: the second stays shut."""
    await amber._carry_out(Open(1))
    shown.shows(WITHOUT_DELTA)

    for _ in range(2):
        with pytest.raises(OpeningRefused, match="shows two"):
            await amber._carry_out(Open(1))
        assert amber._worker.opened <= 1
        ends(amber)
        amber = agent(tmp_path, shown)

    assert amber._worker.opened == 0


async def test_what_the_difference_would_have_given():
    """The control: the attack works against whoever opens both."""
    both = sum(made.update(n) for n in made.TRAINERS) - sum(made.update(n) for n in made.OPENERS)

    assert np.array_equal(both, made.update("delta"))


async def test_the_same_cohort_with_another_sum_is_not_opened(shown, amber):
    """The sum of a part of the cohort, under the manifest of all of it."""
    await amber._carry_out(Open(1))
    other = msgspec.structs.replace(WHOLE.sum, root=WITHOUT_DELTA.sum.root)
    shown.sums[1] = (made.by_coordinator(other), WITHOUT_DELTA.chunks)

    with pytest.raises(OpeningRefused):
        await amber._carry_out(Open(1))
    assert amber._worker.opened == 1


async def test_a_lone_contribution_is_not_opened_as_a_cohort(shown, amber):
    """One site is no cohort, whatever the plan says."""
    shown.shows(made.Round(made.plan(), ("delta",)))

    with pytest.raises(CohortTooSmall):
        await amber._carry_out(Open(1))
    assert amber._worker.opened == 0


@pytest.mark.parametrize(
    "terms",
    [
        {"cohort_minimum": 2},
        {"openers": ("amber", "watch")},
        {"auditor": "delta"},
        {"roster": "1" * 64},
    ],
)
async def test_a_plan_that_policy_refuses_is_not_opened_either(shown, amber, terms):
    """The opener's own policy counts, though every site of the cohort took part."""
    shown.shows(made.Round(made.plan(**terms), made.TRAINERS))

    with pytest.raises(PolicyRefusal):
        await amber._carry_out(Open(1))
    assert (amber._worker.opened, amber._memory.opening(1)) == (0, None)


async def test_a_plan_without_an_auditor_is_not_opened_where_policy_wants_one(tmp_path, shown):
    """`without_auditor = false` binds the opener, not only the contributor."""
    strict = agent(tmp_path, shown, without_auditor=False)

    with pytest.raises(PolicyRefusal, match="without_auditor"):
        await strict._carry_out(Open(1))


async def test_a_named_auditor_that_has_not_signed_opens_nothing(shown, amber):
    """The coordinator names one, and never asks it."""
    shown.shows(made.Round(made.plan(auditor="watch"), made.TRAINERS))

    with pytest.raises(InvalidSignature):
        await amber._carry_out(Open(1))
    assert amber._worker.opened == 0


async def test_the_key_of_another_round_opens_nothing(shown, amber):
    """Contributions of round 2 under the key of round 1: the plan names the wrong record."""
    plan = made.plan(round=2, key_record=digest_of(made.key_record(1)))
    shown.shows(made.Round(plan, made.TRAINERS))

    with pytest.raises(WrongContext, match="another key record"):
        await amber._carry_out(Open(2))
    assert amber._worker.opened == 0


async def test_a_plan_exchanged_after_the_opening_changes_nothing_that_is_signed(shown, amber):
    """Sealed and released is what was opened under, not what is shown by then."""
    await amber._carry_out(Open(1))
    shown.plans[1] = made.plan(clip="19")
    await amber._carry_out(SealModel(1))
    shown.models[1] = shown.put[0]
    await amber._carry_out(Agree(1, "s"))

    envelope = canonical.decode(shown.put[0][0].body, SealedModel)
    assert envelope.plan == WHOLE.plan.digest()


async def test_an_opener_signs_one_release_a_round(shown, amber):
    """Two envelopes of one model: the second release would split the federation."""
    await amber._carry_out(Open(1))
    for number, sealer in enumerate(("birch", "cedar")):
        _, envelope, chunks = released(WHOLE, next_model(WHOLE), sealer=sealer)
        shown.models[1] = (envelope, chunks)
        if number == 0:
            await amber._carry_out(Agree(1, "s"))
            continue
        with pytest.raises(OpeningRefused, match="signed before"):
            await amber._carry_out(Agree(1, "s"))

    assert len(shown.signed_releases) == 1


async def test_a_model_of_another_openers_cohort_is_not_even_opened(shown, amber):
    """Birch was shown three sites, amber four: amber must not learn birch's sum."""
    await amber._carry_out(Open(1))
    _, envelope, chunks = released(WITHOUT_DELTA, next_model(WITHOUT_DELTA))
    shown.models[1] = (envelope, chunks)
    amber._open_sealed = None  # not to be reached

    with pytest.raises(WrongContext, match="another round, sum"):
        await amber._carry_out(Agree(1, "s"))
    assert shown.signed_releases == []
