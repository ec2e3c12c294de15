"""S5, of the roster: a coordinator that adds members by itself, or shows each site another list.

It runs the invitations and the authority, so it can certify whom it likes. What it cannot do is
sign as a member. Each attack stands beside the same version with the trainers' signatures, under
which the very same site does work.
"""

import msgspec
import pytest

from participant.joining.admitting import admit, proposed
from participant.joining.found import entry
from participant.joining.versions import Versions, reading
from participant.kept import Kept
from participant.policy.plans import check_cohort
from participant.session import Contribute, MakeKey, VouchForKey
from participant.view import KeyState
from privacy.canonical import encode
from privacy.documents import Signed
from privacy.enrolment import Asked, Proven
from privacy.errors import (
    CohortTooSmall,
    ConfigError,
    InvalidSignature,
    NotYet,
    PolicyRefusal,
    VeilsumError,
    WrongContext,
    WrongIdentity,
)
from privacy.identifiers import COORDINATOR
from privacy.records import digest_of
from privacy.roster import Roster, SignedRoster
from privacy.signing import Purpose, sign
from tests.participant import agent_at_work as work
from tests.participant import signed_round as made

FIRST = made.roster()
MEMBERS = tuple(member.participant for member in FIRST.members)
MAJORITY = ("birch", "cedar", "delta")
SYBILS = ("sybil-a", "sybil-b", "sybil-c")


def grown(*more, role="trainer", organisation=None):
    """Version 1, with members that the coordinator has made up."""
    new = [
        entry(made.keys(name), name, organisation or f"{name} clinic", "", (role,)) for name in more
    ]
    members = tuple(sorted([*FIRST.members, *new], key=lambda each: each.participant))
    return Roster(made.FEDERATION, 1, FIRST.coordinator_key, members, FIRST.digest())


def changed(roster, name, **fields):
    """The next version, in which one member is otherwise."""
    members = tuple(
        msgspec.structs.replace(each, **fields) if each.participant == name else each
        for each in roster.members
    )
    number = roster.version + 1
    return Roster(made.FEDERATION, number, roster.coordinator_key, members, roster.digest())


def asked_for(member, keys):
    """What a member has asked when it joined, with its proof."""
    asked = Asked("a1" * 32, "b2" * 32, member, "its certificate request")
    return Proven(asked, sign(keys.signing, Purpose.ENROL, asked.body()))


def proofs_of(*members):
    """What the genuine owners of these entries have asked."""
    return {each.participant: asked_for(each, made.keys(each.participant)) for each in members}


def signed_by(roster, *names):
    body = encode(roster)
    return SignedRoster(
        roster, {name: sign(made.keys(name).signing, Purpose.ROSTER, body) for name in names}
    )


def founded():
    return signed_by(FIRST, *MEMBERS)


ADDED = {
    "a trainer": grown("mallory"),
    "a seat": grown("mallory", role="aggregator"),
    "three Sybil sites": grown(*SYBILS),
}


def forged(roster):
    """Every name is there; each signature is the coordinator's."""
    body = encode(roster)
    signature = sign(made.COORDINATOR_KEY, Purpose.ROSTER, body)
    return SignedRoster(roster, dict.fromkeys((*MEMBERS, COORDINATOR), signature))


WITHOUT = {
    "nobody": lambda roster: SignedRoster(roster, {}),
    "the coordinator in everybody's name": forged,
    "the new ones, and half of the trainers": lambda roster: signed_by(
        roster, "birch", "cedar", "watch", *[m.participant for m in roster.members[len(MEMBERS) :]]
    ),
}


PROVEN = proofs_of(*grown("elder", "fir", "mallory", *SYBILS).members)


class Shows(work.Showing):
    """A coordinator with a roster of its own; it notes which signatures it gets."""

    def __init__(self, *history):
        super().__init__()
        self.history, self.offered, self.proposal_of = list(history), [], None
        self.admitted, self.proven = [], dict(PROVEN)

    async def roster(self, fingerprint=None):
        return list(self.history)

    async def offer_key(self, record, public_key, sealed):
        self.offered.append((record, sealed))

    async def proposal(self):
        return self.proposal_of

    async def proofs(self):
        return list(self.proven.values())

    async def sign_proposal(self, fingerprint, signature):
        self.admitted.append((fingerprint, signature))


class Contributes:
    """Takes part in what the agent has let through."""

    def __init__(self):
        self.plans, self.roster = [], None

    async def contribute(self, plan, public_key, outbox):
        self.plans.append(plan)


class Keys(work.Hands):
    """A worker that makes keys."""

    async def make_key(self, parameters):
        return made.cohort_key()


@pytest.fixture
def at_work(tmp_path):
    """Amber, which has joined under version 0, before a coordinator that shows what it likes."""
    coordinator = Shows(founded())
    amber = work.agent(tmp_path, coordinator)
    who = (made.keys("amber"), "amber", FIRST.digest())
    amber._versions = Versions((FIRST,), reading(coordinator, *who, amber._kept))
    amber._contributor = Contributes()
    amber._worker = Keys(amber._models.folder)
    yield amber, coordinator
    work.ends(amber)


def round_under(coordinator, roster, number=1):
    """The coordinator plans a round, and orders a key, under a roster."""
    wanted = made.specification(roster=roster.digest())
    record, sealed = made.keying.seal_key(
        number, "birch", wanted, roster, made.cohort_key().public, made.cohort_key().secret
    )
    signed = made.signed_by(record, "birch", "cedar")
    mine = sealed[made.OPENERS.index("amber")]
    public = made.cohort_key().public
    coordinator.key_states[number] = KeyState(made.encoded(wanted), signed, public, mine)
    coordinator.plans[number] = made.plan(
        round=number, roster=roster.digest(), key_record=digest_of(record)
    )
    return record


async def everything(agent, record):
    """All that a coordinator may ask of a site in a round; what each attempt ended with."""
    ends = []
    for task in (Contribute(1), MakeKey(1), VouchForKey(1, digest_of(record))):
        try:
            await agent._carry_out(task)
            ends.append(None)
        except VeilsumError as error:
            ends.append(type(error))
    return ends


def given(agent, coordinator):
    """What the coordinator has got: updates begun, keys made, keys vouched for."""
    return len(agent._contributor.plans), len(coordinator.offered), len(coordinator.key_signatures)


@pytest.mark.parametrize("added", list(ADDED))
async def test_with_the_trainers_signatures_the_site_goes_on_without_a_restart(at_work, added):
    """The positive control: whom members admit is worked with, from the next plan on."""
    amber, coordinator = at_work
    later = ADDED[added]
    coordinator.history.append(signed_by(later, *MAJORITY))
    record = round_under(coordinator, later)

    assert await everything(amber, record) == [None, None, None]

    assert given(amber, coordinator) == (1, 1, 1)
    assert amber._contributor.roster == later


@pytest.mark.parametrize("signed", list(WITHOUT))
@pytest.mark.parametrize("added", list(ADDED))
async def test_a_coordinator_that_adds_members_by_itself_gets_nothing(at_work, added, signed):
    """No update, no key sealed to anybody, no signature under a key."""
    amber, coordinator = at_work
    later = ADDED[added]
    coordinator.history.append(WITHOUT[signed](later))
    record = round_under(coordinator, later)

    assert await everything(amber, record) == [InvalidSignature] * 3

    assert given(amber, coordinator) == (0, 0, 0)


async def test_a_version_that_is_named_and_not_shown_gets_nothing(at_work):
    """It may exist for others."""
    amber, coordinator = at_work
    record = round_under(coordinator, ADDED["three Sybil sites"])

    assert await everything(amber, record) == [PolicyRefusal, PolicyRefusal, WrongContext]

    assert given(amber, coordinator) == (0, 0, 0)


def test_sybils_around_one_victim_do_not_make_a_cohort():
    """A cohort has members alone, and counts their organisations."""
    policy = made.policy(smallest_cohort=3)
    cohort = ("amber", *SYBILS)
    of_one = grown(*SYBILS, organisation="Sybil clinics")

    with pytest.raises(WrongIdentity, match="sybil-a"):
        check_cohort(cohort, policy, 3, FIRST)
    with pytest.raises(CohortTooSmall):
        check_cohort(cohort, policy, 3, of_one)
    check_cohort(("amber", "birch", "cedar"), policy, 3, FIRST)


# -- different versions for different sites --------------------------------------------------


async def test_another_history_than_before_is_found_for_good(at_work):
    """Trainers that sign whatever they are shown make a fork; each site that saw one notices."""
    amber, coordinator = at_work
    one, other = grown("elder"), grown("mallory")
    coordinator.history.append(signed_by(one, *MAJORITY))
    await amber._versions.refresh()
    coordinator.history[1] = signed_by(other, *MAJORITY)
    record = round_under(coordinator, other)

    assert await everything(amber, record) == [WrongContext] * 3

    assert given(amber, coordinator) == (0, 0, 0)


async def test_another_history_is_found_after_a_restart_too(at_work):
    """What was seen is on the site's disk."""
    amber, coordinator = at_work
    coordinator.history.append(signed_by(grown("elder"), *MAJORITY))
    await amber._versions.refresh()
    coordinator.history[1] = signed_by(grown("mallory"), *MAJORITY)

    with pytest.raises(WrongContext, match="one of you is shown another federation"):
        await amber._versions.read()


async def test_a_history_that_has_become_shorter_is_waited_for(at_work):
    """A coordinator that was restored from an old backup; or one that hides who was removed."""
    amber, coordinator = at_work
    newest = coordinator.history
    newest.append(signed_by(grown("elder"), *MAJORITY))
    await amber._versions.refresh()
    coordinator.history = newest[:1]

    with pytest.raises(NotYet, match="has seen version 1"):
        await amber._versions.read()


async def test_a_round_is_never_planned_under_an_older_version_again(at_work):
    """Whoever was removed would be back in; only a round that had begun goes on."""
    amber, coordinator = at_work
    begun = round_under(coordinator, FIRST)
    assert await everything(amber, begun) == [None, None, None]
    coordinator.history.append(signed_by(grown("elder"), *MAJORITY))
    await amber._versions.refresh()
    before = given(amber, coordinator)

    assert await amber._versions.under(1, FIRST.digest()) == FIRST
    round_under(coordinator, FIRST, number=2)
    with pytest.raises(PolicyRefusal):
        await amber._carry_out(Contribute(2))
    assert given(amber, coordinator) == before


async def test_a_trainer_signs_one_version_of_a_number_and_no_second_one(at_work, tmp_path):
    """Two versions with one number need one trainer, at least, who has signed both."""
    _, coordinator = at_work
    kept = Kept(tmp_path / "kept")
    who = (coordinator, made.keys("amber"), "amber", FIRST.digest(), kept)
    state = tmp_path / "voice"
    state.mkdir()
    first, second = grown("elder"), grown("mallory")
    coordinator.proposal_of = Signed(encode(first), {})
    shown = await proposed(*who)
    assert shown is not None
    await admit(coordinator, made.keys("amber"), state, shown)
    coordinator.proposal_of = Signed(encode(second), {})
    other = await proposed(*who)
    assert other is not None

    with pytest.raises(ConfigError, match=f"before, {first.digest()}"):
        await admit(coordinator, made.keys("amber"), state, other)

    assert [each for each, _ in coordinator.admitted] == [first.digest()]


@pytest.mark.parametrize("key", ["signing_key", "sealing_key"])
async def test_a_proposal_with_this_sites_key_exchanged_is_not_signed(at_work, tmp_path, key):
    """What is sealed to it, somebody else could open; and what is signed, somebody else write."""
    _, coordinator = at_work
    theirs = getattr(grown("mallory").member("mallory"), key)
    stolen = changed(FIRST, "amber", **{key: theirs})
    coordinator.proposal_of = Signed(encode(stolen), {})
    kept = Kept(tmp_path / "kept")

    with pytest.raises(WrongContext, match="other keys for amber"):
        await proposed(coordinator, made.keys("amber"), "amber", FIRST.digest(), kept)
