"""S4: a dishonest coordinator signs a weaker plan, with its own good key; no participant takes it.

What it signs is bytes: its own code, which would not make such a plan, does not stand in the way.
"""

from dataclasses import replace

import msgspec
import pytest

from participant.policy.plans import check_plan
from participant.wire.planned import planned
from privacy import canonical
from privacy.errors import PolicyRefusal, UnsafeParameters, WrongContext
from privacy.plan import digest_of
from privacy.schemes.ckks_parameters import MODULUS_4096
from privacy.signing import Purpose, sign
from privacy.vectors import model_digest
from tests.participant import signed_round as made

PLAN = made.plan()


class Signs:
    """A coordinator that signs and shows whatever two parts it is given."""

    def __init__(self, arithmetic, terms):
        self.parts = arithmetic.encode(), canonical.encode(terms)

    async def plan(self, number):
        signature = sign(made.COORDINATOR_KEY, Purpose.PLAN, bytes.fromhex(digest_of(*self.parts)))
        return (*self.parts, signature)


def with_scheme(**changes):
    return msgspec.structs.replace(
        PLAN.terms, scheme=msgspec.structs.replace(PLAN.terms.scheme, **changes)
    )


def with_modulus(modulus):
    [only] = PLAN.arithmetic.ranges
    return replace(PLAN.arithmetic, ranges=(replace(only, modulus=modulus),))


def accept(plan):
    """Do what a site does before it looks at its data."""
    first = model_digest(made.SHAPES, made.FIRST)
    check_plan(plan, made.policy(), made.DATASET, made.roster(), first, None)


async def test_a_plan_that_a_coordinator_signs_is_taken():
    """The control of all that follows: the same signer, the same way."""
    assert await planned(Signs(PLAN.arithmetic, PLAN.terms), made.roster(), 1) == PLAN


@pytest.mark.parametrize("scheme", ["plain/1", "ckks", "ckks/2", "shares"])
async def test_another_scheme_is_refused_though_the_coordinator_has_signed_it(scheme):
    """There is none by which an update leaves in the clear, and none of a name like ours."""
    weaker = Signs(replace(PLAN.arithmetic, scheme=scheme), PLAN.terms)

    with pytest.raises(UnsafeParameters, match="ckks/1"):
        await planned(weaker, made.roster(), 1)


@pytest.mark.parametrize("modulus", [MODULUS_4096 - 8192, 1 << 64, 2])
async def test_another_modulus_is_refused_though_the_coordinator_has_signed_it(modulus):
    with pytest.raises(UnsafeParameters, match="modul"):
        await planned(Signs(with_modulus(modulus), PLAN.terms), made.roster(), 1)


@pytest.mark.parametrize("changes", [{"degree": 2048}, {"scale_log2": 10}, {"cohort_max": 1 << 20}])
async def test_weaker_parameters_are_refused_though_the_coordinator_has_signed_them(changes):
    """A ring that is easier to break, a sum that is not exact, one that wraps."""
    with pytest.raises(UnsafeParameters):
        await planned(Signs(PLAN.arithmetic, with_scheme(**changes)), made.roster(), 1)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"federation": "cardiology"}, "policy.roster"),
        ({"roster": "1" * 64}, "policy.roster"),
        ({"cohort_minimum": 2}, "policy.smallest_cohort"),
        ({"auditor": "delta"}, "policy.without_auditor"),
    ],
)
async def test_a_plan_of_elsewhere_or_a_laxer_one_is_refused_by_the_sites_own_file(change, line):
    """Signed by the right key, and in order: what a site accepts is its own word."""
    other = made.plan(**change)
    taken = await planned(Signs(other.arithmetic, other.terms), made.roster(), 1)

    with pytest.raises(PolicyRefusal, match=line):
        accept(taken)

    accept(PLAN)


async def test_the_same_plan_is_not_taken_again_for_the_next_round():
    """Whoever trains twice under one plan gives two updates for what one round may cost."""
    with pytest.raises(WrongContext, match="round 1 was sent for round 2"):
        await planned(Signs(PLAN.arithmetic, PLAN.terms), made.roster(), 2)
