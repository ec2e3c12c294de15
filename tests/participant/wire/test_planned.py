"""A plan counts only as the roster's coordinator has signed it, for the round it is asked for."""

from dataclasses import dataclass

import pytest

from participant.wire.planned import planned
from privacy import canonical
from privacy.errors import InvalidSignature, MalformedMessage, WrongContext
from privacy.signing import Purpose, sign
from tests.participant import signed_round as made


@dataclass
class Offering:
    """A coordinator that offers one plan, whichever round it is asked for."""

    arithmetic: bytes
    terms: bytes
    signature: bytes

    async def plan(self, number):
        return self.arithmetic, self.terms, self.signature


def offering(plan=None, key=made.COORDINATOR_KEY, purpose=Purpose.PLAN):
    plan = plan or made.plan()
    signature = sign(key, purpose, bytes.fromhex(plan.digest()))
    return Offering(plan.arithmetic.encode(), canonical.encode(plan.terms), signature)


async def test_a_plan_that_the_coordinator_has_signed_is_taken():
    plan = made.plan()

    found = await planned(offering(plan), made.roster(), plan.terms.round)

    assert found == plan


async def test_a_plan_that_somebody_else_has_signed_is_refused():
    """Not a member either: plans are the coordinator's to make."""
    with pytest.raises(InvalidSignature):
        await planned(offering(key=made.keys("amber").signing), made.roster(), 1)


async def test_a_signature_for_another_purpose_is_refused():
    with pytest.raises(InvalidSignature):
        await planned(offering(purpose=Purpose.COHORT), made.roster(), 1)


@pytest.mark.parametrize("part", ["arithmetic", "terms", "signature"])
async def test_a_changed_plan_is_refused(part):
    """One bit of any of the three parts."""
    offered = offering()
    changed = bytearray(getattr(offered, part))
    changed[-1] ^= 1
    setattr(offered, part, bytes(changed))

    with pytest.raises((InvalidSignature, MalformedMessage)):
        await planned(offered, made.roster(), 1)


async def test_the_plan_of_another_round_is_refused():
    """A coordinator cannot have an old plan worked on again."""
    with pytest.raises(WrongContext):
        await planned(offering(), made.roster(), 2)
