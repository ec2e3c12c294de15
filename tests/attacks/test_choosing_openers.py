"""A coordinator that chooses who opens: whom a site does not list, and two groups apart.

Whoever opens holds the round's secret. With the coordinator's store beside it, that
opens one site's update; and two groups without a common member can be shown two histories.
"""

from itertools import combinations

import numpy as np
import pytest

from participant.opening import keying
from participant.policy import plans as policy
from participant.sending.masking import open_masks
from participant.session import Adopt, Contribute, MakeKey, Open, VouchForKey
from participant.view import KeyState
from privacy.errors import PolicyRefusal
from privacy.records import digest_of
from privacy.schemes.ckks import CohortKey, make_cohort_key
from tests.participant import signed_round as made
from tests.participant.agent_at_work import Showing, agent, next_model, released

COLLUDING = "delta"
"""A trainer of the roster that works with the coordinator; no site lists it as an opener."""

CHOSEN = ("birch", COLLUDING)


@pytest.fixture
def shown():
    """A coordinator whose plan and order name the chosen openers."""
    coordinator = Showing()
    coordinator.shows(made.Round(made.plan(openers=CHOSEN), made.TRAINERS))
    order = made.encoded(made.specification(openers=CHOSEN))
    pair = made.cohort_key()
    record, sealed = keying.seal_key(
        1, "birch", made.specification(openers=CHOSEN), made.roster(), pair.public, pair.secret
    )
    signed = made.signed_by(record, *CHOSEN)
    coordinator.key_states[1] = KeyState(order, signed, pair.public, sealed[0])
    return coordinator


@pytest.fixture
def amber(tmp_path, shown):
    return agent(tmp_path, shown)


def test_what_a_chosen_opener_and_the_coordinators_store_would_have():
    """The control: amber's update to the last integer, from its ciphertexts alone.

    Amber has sealed its mask to whoever the plan names.
    """
    pair = make_cohort_key(made.PARAMETERS)
    wanted = made.specification(openers=CHOSEN)
    record, sealed = keying.seal_key(1, "birch", wanted, made.roster(), pair.public, pair.secret)
    plan = made.plan(openers=CHOSEN, key_record=digest_of(record))
    sealed_mask = made.sealed_mask(plan, "amber")
    stored = made.protected(made.update("amber"), pair, made.mask("amber", plan))

    mine = made.keys(COLLUDING).sealing
    secret = keying.unseal(record, sealed[1], COLLUDING, mine, made.roster())
    header, seals = made.header_of(plan, "amber", stored), {"amber": sealed_mask.seals[1]}
    assert open_masks(plan, [header], seals, COLLUDING, mine) == (made.mask_secret("amber"),)
    revealer = made.revealer(["amber"], plan, CohortKey(pair.public, secret))
    opened = [revealer.reveal(at, chunk, 1) for at, chunk in enumerate(stored)]

    assert np.array_equal(np.concatenate(opened), made.update("amber"))


def test_a_site_that_lists_the_chosen_opener_would_make_its_key():
    """The control of the refusals: it is the list that refuses, and nothing else."""
    listing = made.policy(openers=("amber", *CHOSEN))

    policy.check_openers(CHOSEN, listing, made.roster())
    policy.check_specification(made.specification(openers=CHOSEN), listing, made.roster())


@pytest.mark.parametrize("task", [Contribute(1), MakeKey(1), Open(1), Adopt(1)], ids=str)
async def test_nothing_is_done_with_openers_that_the_site_does_not_list(shown, amber, task):
    """No data touched, no key made, nothing opened, and no model of theirs adopted."""
    with pytest.raises(PolicyRefusal, match=r"policy\.openers = .*: delta is not among them"):
        await amber._carry_out(task)

    assert amber._ledger.reserved() == ()
    assert amber._worker.opened == 0
    assert amber._memory.opening(1) is None
    assert amber._memory.newest_release() is None


async def test_a_key_for_openers_that_the_site_does_not_list_is_not_vouched_for(tmp_path, shown):
    """Birch is among the chosen, could unseal, and refuses."""
    birch = agent(tmp_path, shown, "birch")
    state = shown.key_states[1]
    record = keying.check_record(state.record, 1, state.public_key, made.roster())

    with pytest.raises(PolicyRefusal, match=r"policy\.openers = .*: delta"):
        await birch._carry_out(VouchForKey(1, digest_of(record)))
    assert shown.key_signatures == []


GROUPS = (("amber", "birch"), ("cedar", "delta"))
"""Two pairs of the same listed four."""


def two_histories():
    """For each pair, a coordinator that shows it alone: its plan, and its own model."""
    for number, group in enumerate(GROUPS):
        of = made.Round(made.plan(openers=group), made.TRAINERS)
        coordinator = Showing()
        coordinator.shows(of)
        signed, envelope, chunks = released(of, next_model(of) + number, *group, sealer=group[0])
        coordinator.releases[1], coordinator.models[1] = signed, (envelope, chunks)
        yield group, coordinator


async def test_what_two_groups_without_a_common_member_could_be_shown(tmp_path):
    """The control: each site believes one pair, and they end with two models of one round."""
    models = set()
    for group, coordinator in two_histories():
        site = agent(tmp_path / group[0], coordinator, group[0], openers=group)
        await site._carry_out(Adopt(1))
        models.add(site._memory.newest_release()[2])

    assert len(models) == 2


async def test_two_groups_of_the_listed_openers_are_both_refused(tmp_path):
    """Each is half of the list, and more than half is asked for."""
    for group, coordinator in two_histories():
        site = agent(tmp_path / group[0], coordinator, group[0], openers=made.TRAINERS)

        for task in (Contribute(1), Open(1), Adopt(1)):
            with pytest.raises(PolicyRefusal, match="2 of 4 are not more than half"):
                await site._carry_out(task)
        assert site._memory.newest_release() is None


@pytest.mark.parametrize("listed", [2, 3, 4])
def test_any_two_accepted_groups_have_a_common_member(listed):
    """Every group of every size, for every length of the list: an honest one of both sees both."""
    names = made.TRAINERS[:listed]
    groups = [g for size in range(1, listed + 1) for g in combinations(names, size)]
    accepted = [group for group in groups if accepts(group, names)]

    assert accepted
    assert all(set(one) & set(other) for one in accepted for other in accepted)
    disjoint = [(a, b) for a in groups for b in groups if not set(a) & set(b)]
    assert disjoint  # there were some to refuse


def accepts(group, listed):
    try:
        policy.check_openers(group, made.policy(openers=listed), made.roster())
    except PolicyRefusal:
        return False
    return True
