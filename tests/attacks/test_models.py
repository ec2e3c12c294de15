"""A coordinator that wants to place a model of its own: with no opener, and with one of them."""

import msgspec
import pytest

from participant.session import Adopt, Open
from privacy import canonical
from privacy.errors import (
    InvalidSignature,
    MalformedMessage,
    OpeningRefused,
    PolicyRefusal,
    WrongContext,
    WrongIdentity,
)
from privacy.records import Release, SealedModel, digest_of, release_of
from tests.participant import signed_round as made
from tests.participant.agent_at_work import Showing, agent, ends, next_model, released
from tests.participant.roster_versions import versions

ROUND = made.Round(made.plan(), made.TRAINERS)
POISON = made.FIRST * -3


@pytest.fixture
def shown():
    coordinator = Showing()
    coordinator.shows(ROUND)
    return coordinator


@pytest.fixture
def delta(tmp_path, shown):
    return agent(tmp_path, shown, "delta")


def place(shown, of, vector, *signers, sealer="birch"):
    signed, envelope, chunks = released(of, vector, *signers, sealer=sealer)
    shown.plans[1], shown.releases[1], shown.models[1] = of.plan, signed, (envelope, chunks)
    return signed


async def refused(site, error, match=None):
    with pytest.raises(error, match=match):
        await site._carry_out(Adopt(1))
    assert site._memory.newest_release() is None


async def test_two_openers_of_the_plan_make_a_release(delta, shown):
    """The control."""
    place(shown, ROUND, next_model(ROUND))

    await delta._carry_out(Adopt(1))

    assert delta._memory.newest_release()[0] == 1


@pytest.mark.parametrize("signers", [("birch",), ("birch", "delta"), ("birch", "watch")])
async def test_one_opener_and_the_coordinator_place_no_model(delta, shown, signers):
    """Whoever else signs."""
    place(shown, ROUND, POISON, *signers)

    await refused(delta, InvalidSignature, "2 are needed")


@pytest.mark.parametrize(
    ("openers", "signers"),
    [
        (("birch", "watch"), ("birch", "watch")),
        (("watch", "birch", "amber"), ("birch", "watch")),
    ],
)
async def test_a_plan_made_for_the_purpose_appoints_no_auditor(delta, shown, openers, signers):
    """An old round's plan was never checked by a site that was absent: it is checked now."""
    of = made.Round(made.plan(openers=openers), made.TRAINERS)
    place(shown, of, POISON, *signers)

    await refused(delta, PolicyRefusal, "trainers of different organisations")


async def test_a_plan_made_for_the_purpose_appoints_no_stranger(delta, shown):
    """Keys that no member has admitted."""
    of = made.Round(made.plan(openers=("birch", "mallory")), made.TRAINERS)
    place(shown, of, POISON, "birch", "mallory")

    await refused(delta, WrongIdentity)


async def test_a_plan_made_for_the_purpose_counts_an_organisation_once(tmp_path, shown):
    """Two openers of one organisation are one."""
    roster = made.roster_with(cedar="birch hospital")
    site = agent(tmp_path, shown, "delta")
    site._versions = versions(roster)
    of = made.Round(made.plan(openers=("birch", "cedar"), roster=roster.digest()), made.TRAINERS)
    place(shown, of, POISON, "birch", "cedar")

    await refused(site, PolicyRefusal, "different organisations")


async def test_a_plan_of_another_roster_is_refused(delta, shown):
    """One in which the coordinator has its own openers."""
    place(shown, made.Round(made.plan(roster="1" * 64), made.TRAINERS), POISON)

    await refused(delta, PolicyRefusal, "another roster")


async def test_a_release_that_does_not_follow_from_the_first_model_is_refused(delta, shown):
    """All openers signed it, in a history that begins elsewhere."""
    of = made.Round(made.plan(model="6" * 64), made.TRAINERS)
    place(shown, of, POISON)

    await refused(delta, WrongContext, "another history")


async def test_another_envelope_than_the_released_one_is_refused(delta, shown):
    """The coordinator swaps what it stores."""
    place(shown, ROUND, next_model(ROUND))
    _, envelope, chunks = released(ROUND, POISON, sealer="amber")
    shown.models[1] = (envelope, chunks)

    await refused(delta, WrongContext, "not the sealed model")


async def test_swapped_chunks_are_refused(delta, shown):
    """Or what the envelope is about."""
    place(shown, ROUND, next_model(ROUND))
    _, _, chunks = released(ROUND, POISON)
    shown.models[1] = (shown.models[1][0], chunks)

    await refused(delta, MalformedMessage)


async def test_a_release_whose_model_is_not_its_envelopes_is_refused(delta, shown):
    """Two openers together say one digest and seal another model: the lie is found."""
    _, signed_envelope, chunks = released(ROUND, POISON)
    envelope = canonical.decode(signed_envelope.body, SealedModel)
    honest = made.model_digest(made.SHAPES, next_model(ROUND))
    lie = msgspec.structs.replace(
        release_of(envelope, digest_of(ROUND.cohort), ROUND.plan.terms.model), model=honest
    )
    shown.releases[1] = made.signed_by(lie, "birch", "cedar")
    shown.models[1] = (signed_envelope, chunks)

    await refused(delta, WrongContext, "not the sealed model")
    assert not delta._models.holds(honest)


async def test_two_releases_of_one_round_are_not_both_accepted(delta, shown):
    """Properly signed, both of them: the second one splits the federation."""
    place(shown, ROUND, next_model(ROUND))
    await delta._carry_out(Adopt(1))
    place(shown, ROUND, next_model(ROUND), "amber", "cedar", sealer="amber")

    with pytest.raises(OpeningRefused, match="another release"):
        await delta._carry_out(Adopt(1))


async def test_an_opener_does_not_adopt_what_its_own_opening_contradicts(tmp_path, shown):
    """Birch and cedar agree on a model that amber, with the same sum, did not find."""
    amber = agent(tmp_path, shown)
    await amber._carry_out(Open(1))
    place(shown, ROUND, POISON, "birch", "cedar")

    await refused(amber, OpeningRefused, "disagree")


async def test_an_opener_that_was_shown_another_cohort_says_so_after_a_restart(tmp_path, shown):
    """Its memory has the cohort; the release names another one."""
    amber = agent(tmp_path, shown)
    await amber._carry_out(Open(1))
    ends(amber)
    fewer = made.Round(made.plan(), made.OPENERS)
    place(shown, fewer, next_model(fewer))

    await refused(agent(tmp_path, shown), OpeningRefused, "disagree")


async def test_what_two_colluding_openers_can_do(delta, shown):
    """Not protected, and said so: two openers' signatures are what a model is believed on."""
    signed = place(shown, ROUND, POISON)

    await delta._carry_out(Adopt(1))

    poisoned = canonical.decode(signed.body, Release).model
    assert delta._memory.newest_release()[2] == poisoned
