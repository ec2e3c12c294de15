"""An archived model and a later trainer, over the coordinator's own server on loopback.

That a trainer that was removed opens no model sealed after it is shown in
`attacks/test_key_life.py::test_a_revoked_trainer_opens_no_model_of_a_later_round`.
"""

import os
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache

import msgspec
import numpy as np
import pytest

from participant.agent import Agent
from participant.config import SiteConfig
from participant.joining.versions import admitted_versions
from participant.kept import Kept
from participant.keys import SiteKeys, generate_keys
from participant.model.wrap import pass_on
from participant.opening import agree
from participant.session import Adopt
from participant.wire.coordinator import Coordinator
from privacy import canonical
from privacy.documents import Signed
from privacy.errors import LedgerRolledBack, WrongContext, WrongIdentity
from privacy.failpoints import Failpoints
from privacy.roster import Member, Role, Roster
from privacy.signing import Purpose, public_bytes, sign
from privacy.vectors import model_digest
from tests import fakes
from tests.coordinator.served import channel_of, served
from tests.loopback import make_federation
from tests.participant import signed_round as made
from tests.participant.shelf import NOWHERE

NEWCOMER, REMOVED = "hospital-e", "hospital-c"
SHAPES = (("weight", (fakes.DIMENSION,)),)
VECTOR = np.cos(np.arange(float(fakes.DIMENSION)))
FIRST = "ab" * 32


@cache
def keys(name: str) -> SiteKeys:
    """A site's keys; its signing key is the one the fakes know."""
    return replace(generate_keys(os.urandom), signing=fakes.signing_key(name))


def member(name: str) -> Member:
    """A trainer's entry."""
    public = public_bytes(fakes.signing_key(name))
    return Member(name, name, (Role.TRAINER,), public, keys(name).sealing_public)


def first_roster() -> Roster:
    """Version 0, to whose members something can be sealed."""
    members = tuple(
        msgspec.structs.replace(each, sealing_key=keys(each.participant).sealing_public)
        for each in fakes.make_roster().members
    )
    return msgspec.structs.replace(fakes.make_roster(), members=members)


def second_roster(first: Roster) -> Roster:
    """Version 1: one trainer comes, one goes."""
    stay = [each for each in first.members if each.participant != REMOVED]
    members = tuple(sorted([*stay, member(NEWCOMER)], key=lambda each: each.participant))
    return Roster(first.federation, 1, first.coordinator_key, members, first.digest())


@pytest.fixture(scope="module")
def certified():
    return make_federation()


@pytest.fixture
def federation():
    """Round 1 is done under version 0, and members have admitted version 1 since."""
    federation = fakes.Federation(roster=first_roster())
    plan = federation.open_round()
    for name in fakes.SITES:
        federation.contribute(name)
    federation.tick()
    seal(federation, plan)
    for opener in fakes.OPENERS[:2]:
        federation.sign_release(opener)
    federation.tick()
    # made without the ledgers that these tests' sites begin; theirs would be older ones
    federation.store._checkpoints.clear()
    admit_second(federation)
    return federation


def seal(federation, plan):
    """Seal a model as its opener does."""
    total, sealer = federation.round().sum, fakes.OPENERS[0]
    envelope, chunks = agree.seal_model(
        plan,
        federation.roster,
        total,
        sealer,
        model_digest(SHAPES, VECTOR),
        lambda: np.array_split(VECTOR, 2),
        os.urandom,
    )
    signed, models = fakes.signed_by(sealer, envelope), federation.service.models
    sealed = models.begin(sealer, signed)
    for at, chunk in enumerate(chunks):
        models.put_chunk(sealed, at, chunk)
    models.finish(sealed, signed)


def admit_second(federation):
    """Let more than half of the trainers of version 0 sign version 1."""
    second = second_roster(federation.roster)
    body = canonical.encode(second)
    federation.store.put_document("roster", "1", body)
    for name in ("hospital-a", "hospital-b", "hospital-d"):
        signature = sign(fakes.signing_key(name), Purpose.ROSTER, body)
        federation.service.rosters.sign(name, 1, signature)
    federation.start()


def config(federation, folder, name):
    policy = made.policy(
        roster=federation.roster.digest(), openers=fakes.OPENERS, without_auditor=True
    )
    return SiteConfig(fakes.FEDERATION, name, folder / name, NOWHERE, made.DATASET, policy)


@asynccontextmanager
async def connected(federation, certified, name):
    """A site's end of a connection."""

    async def explain():
        return "no reason"

    uri = f"spiffe://{fakes.FEDERATION}/participant/{name}"
    async with (
        served(federation.service, certified) as address,
        channel_of(address, certified, uri) as channel,
    ):
        yield Coordinator(channel, explain)


async def adopted(federation, certified, folder, name):
    """Start a site, let it adopt round 1's model, and end it; return the digest it holds."""
    site = Agent(config(federation, folder, name), keys(name), os.urandom, Failpoints())
    site._shapes, site._first = SHAPES, FIRST
    try:
        async with connected(federation, certified, name) as site._coordinator:
            await site._join()
            await site._carry_out(Adopt(1))
        (_, _, model) = site._memory.newest_release()
        assert site._models.holds(model)
        return model
    finally:
        site._memory.close()
        site._ledger.close()
        os.close(site._held)


async def wrapped(federation, certified, folder, name, *names):
    async with connected(federation, certified, name) as coordinator:
        settings = config(federation, folder, name)
        return await pass_on(settings, keys(name), coordinator, 1, names)


async def test_a_trainer_who_joined_later_opens_the_model_after_a_wrap_and_not_before(
    certified, federation, tmp_path
):
    """It adopts it under the roster of that day, and the chunks on the coordinator stay."""
    before = federation.objects.names("rounds/000001/model")
    with pytest.raises(WrongContext, match="not sealed to hospital-e: ask a trainer"):
        await adopted(federation, certified, tmp_path, NEWCOMER)

    made_for = await wrapped(federation, certified, tmp_path, "hospital-d")

    assert made_for == (NEWCOMER,)
    model = model_digest(SHAPES, VECTOR)
    assert await adopted(federation, certified, tmp_path, NEWCOMER) == model
    assert federation.objects.names("rounds/000001/model") == before


async def test_a_trainer_who_was_away_adopts_a_model_of_the_roster_before(
    certified, federation, tmp_path
):
    """The envelope has a wrap for it; a newer roster closes nothing that was sealed to it."""
    model = model_digest(SHAPES, VECTOR)

    assert await adopted(federation, certified, tmp_path, "hospital-d") == model


async def test_a_site_whose_ledger_lacks_what_it_sent_does_not_join(certified, tmp_path):
    """Here its whole folder is gone, and the coordinator keeps its newest header."""
    federation = fakes.Federation(roster=first_roster())
    federation.open_round()
    federation.contribute("hospital-d")

    with pytest.raises(LedgerRolledBack):
        await adopted(federation, certified, tmp_path, "hospital-d")


async def test_a_removed_trainer_gets_no_wrap_and_makes_none(certified, federation, tmp_path):
    """Neither is it answered any more."""
    with pytest.raises(WrongIdentity, match="hospital-c is not in roster version 1"):
        await wrapped(federation, certified, tmp_path, "hospital-d", REMOVED)
    with pytest.raises(WrongIdentity):
        await wrapped(federation, certified, tmp_path, REMOVED, NEWCOMER)

    assert federation.service.models.later_wraps(1) == []


async def test_wraps_that_a_coordinator_forges_are_passed_over(certified, federation, tmp_path):
    """It keeps what it likes beside the envelope; the newcomer opens the model, or nothing."""
    async with connected(federation, certified, NEWCOMER) as coordinator:
        fingerprint = federation.roster.digest()
        who = (keys(NEWCOMER), NEWCOMER, fingerprint)
        versions = await admitted_versions(coordinator, *who, Kept(tmp_path / "kept"))
    envelope = canonical.decode(federation.service.models.envelope(1).body, agree.SealedModel)
    body = canonical.encode(fakes.wraps(envelope, versions[-1], "hospital-a", NEWCOMER))
    by_coordinator = sign(fakes.signing_key(fakes.COORDINATOR), Purpose.WRAPS, body)
    forged = Signed(body, {"hospital-a": by_coordinator})
    kind = f"wraps-{federation.round().sealed_model}"
    federation.service.archive.keep(kind, "a-first", forged)
    with pytest.raises(WrongContext, match="not sealed to hospital-e"):
        await adopted(federation, certified, tmp_path, NEWCOMER)

    await wrapped(federation, certified, tmp_path, "hospital-b")

    assert len(federation.service.models.later_wraps(1)) == 2
    model = model_digest(SHAPES, VECTOR)
    assert await adopted(federation, certified, tmp_path, NEWCOMER) == model
