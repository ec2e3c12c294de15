"""A release is checked under the roster of its day, and against who is a member now."""

from dataclasses import replace

import msgspec
import pytest

from participant.memory import Memory
from participant.model.adopt import Adopter
from participant.model.models import Models
from participant.model.released import released
from privacy import plan as plans
from privacy.errors import InvalidSignature, NotYet, PolicyRefusal, SchemaMismatch, WrongContext
from privacy.signing import Purpose, sign
from tests.participant import signed_round as made
from tests.participant.shelf import NEWCOMER, Shelf, config, later_roster, model_digest

NEWEST = later_roster("cedar")
VERSIONS = (made.roster(), NEWEST)


async def found(shelf, versions=VERSIONS, number=1):
    return await released(shelf, made.policy(), versions, number)


async def test_a_model_of_an_earlier_version_is_checked_by_that_version():
    """Its openers, its envelope and its coordinator's key are those of the day."""
    shelf = Shelf(NEWEST)

    of = await found(shelf)

    assert of.roster == made.roster()
    assert of.envelope(shelf.signed_envelope) == shelf.envelope
    of.check_still_agreed(NEWEST)


async def test_a_plan_of_an_earlier_version_is_signed_by_the_coordinator_of_that_day():
    """The newest version may name another key; the plan's own does not sign it again."""
    moved = msgspec.structs.replace(NEWEST, coordinator_key=made.keys("mallory").signing_public)

    assert (await found(Shelf(NEWEST), (made.roster(), moved))).roster == made.roster()
    with pytest.raises(InvalidSignature):
        await found(Shelf(NEWEST), (moved,))


async def test_a_plan_of_no_admitted_version_is_refused():
    """A site that joined with version 1 alone accepts nothing of version 0."""
    with pytest.raises(PolicyRefusal, match="another roster"):
        await found(Shelf(NEWEST), (NEWEST,))


async def test_a_plan_that_was_sent_for_another_round_is_refused():
    """The number that was asked for."""
    with pytest.raises(WrongContext, match="sent for round 2"):
        await found(Shelf(NEWEST), number=2)


async def test_a_plan_of_another_version_of_veilsum_is_this_sites_operators_to_read():
    """Signed as it is: nobody broke the protocol, and that version can still adopt the model."""
    shelf = OtherVersion(NEWEST)

    with pytest.raises(SchemaMismatch, match="another version of Veilsum; run that version"):
        await found(shelf, (made.roster(),))

    shelf.signed = b"made up"
    with pytest.raises(InvalidSignature):
        await found(shelf, (made.roster(),))


class OtherVersion(Shelf):
    """Shows a plan with a term that this version does not know."""

    signed = b""

    async def plan(self, number):
        arithmetic, terms, _ = await super().plan(number)
        terms = b'{"added":1,' + terms[1:]
        digest = bytes.fromhex(plans.digest_of(arithmetic, terms))
        signature = self.signed or sign(made.COORDINATOR_KEY, Purpose.PLAN, digest)
        return arithmetic, terms, signature


async def test_a_history_goes_past_a_round_that_was_aborted_by_an_upgrade(tmp_path):
    """It released nothing: the release after it follows from the model before it."""
    site = adopter(tmp_path, AfterAbort(NEWEST), "delta")

    assert (await site.adopt(2)).release.round == 2


class AfterAbort(Shelf):
    """Round 1 was ended, as its plan could be read no more; round 2 starts from the same model."""

    def __init__(self, newest):
        first = made.plan()
        second = replace(first, terms=msgspec.structs.replace(first.terms, round=2))
        super().__init__(newest, of=second)

    async def plan(self, number):
        if number == 1:
            raise NotYet("round 1 was aborted: it released nothing")
        return await super().plan(number)


@pytest.mark.parametrize("signers", [("amber", "cedar"), ("birch", "cedar")])
async def test_the_signature_of_who_was_removed_counts_no_more(signers):
    """It did on the day; it makes no model the newest one now."""
    of = await found(Shelf(NEWEST, *signers))

    of.check_still_agreed(made.roster())
    with pytest.raises(InvalidSignature, match="1 signatures, 2 are needed"):
        of.check_still_agreed(NEWEST)


async def test_the_signature_of_who_trains_no_more_counts_no_more():
    """A member still, and an auditor now."""
    members = tuple(
        msgspec.structs.replace(m, roles=made.roster().member("watch").roles)
        if m.participant == "birch"
        else m
        for m in NEWEST.members
    )

    with pytest.raises(InvalidSignature, match="1 signatures"):
        (await found(Shelf(NEWEST))).check_still_agreed(
            msgspec.structs.replace(NEWEST, members=members)
        )


# -- adopting --------------------------------------------------------------------------------


def adopter(folder, shelf, name):
    memory, models = Memory(folder), Models(folder / "models")
    keys, first = made.keys(name), made.plan().terms.model
    settings = config(folder, name)
    return Adopter(settings, keys, shelf, memory, models, VERSIONS, made.SHAPES, first, {})


async def test_a_site_that_was_away_adopts_a_model_of_the_version_before(tmp_path):
    """The roster has changed meanwhile; what members of both agreed on is still the model."""
    site = adopter(tmp_path, Shelf(NEWEST), "delta")

    assert (await site.adopt(1)).release.model == model_digest()


async def test_nobody_adopts_what_a_removed_opener_makes_count(tmp_path):
    """Neither who was there before nor who came later; nothing is kept of it."""
    shelf = Shelf(NEWEST, "amber", "cedar")
    site = adopter(tmp_path, shelf, "delta")

    with pytest.raises(InvalidSignature, match="2 are needed"):
        await site.adopt(1)
    assert site.memory.newest_release() is None
    assert not site.models.holds(model_digest())


async def test_a_newcomer_without_a_wrap_keeps_nothing(tmp_path):
    """It is told whom to ask; after a wrap it adopts."""
    site = adopter(tmp_path, Shelf(NEWEST), NEWCOMER)

    with pytest.raises(WrongContext, match="ask a trainer"):
        await site.adopt(1)

    assert site.memory.newest_release() is None
