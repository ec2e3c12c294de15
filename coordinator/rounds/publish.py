"""What is said of a published sum. Pure."""

from collections.abc import Sequence

from privacy.plan import Plan
from privacy.records import Cohort, Sum, digest_of
from privacy.schemes.shares.layout import COMPONENTS
from privacy.schemes.shares.opening import sum_length, sum_root

from .state import Stated


def sum_manifest(plan: Plan, cohort: Cohort, root: bytes, length: int) -> Sum:
    """Return the manifest of the cohort's protected sum."""
    return Sum(
        federation=plan.terms.federation,
        round=plan.terms.round,
        plan=plan.digest(),
        cohort=digest_of(cohort),
        contributions=len(cohort.entries),
        root=root.hex(),
        chunks=plan.arithmetic.chunks,
        length=length,
    )


def shares_manifest(plan: Plan, cohort: Cohort, stated: Sequence[Stated]) -> Sum:
    """Return the manifest of the sum that seats state.

    Args:
        stated: by two seats or more, which agree.
    """
    roots = [_root_of(component, stated) for component in range(COMPONENTS)]
    length = sum_length(plan.shares(), plan.arithmetic.dimension)
    return sum_manifest(plan, cohort, sum_root(roots), length)


def _root_of(component: int, stated: Sequence[Stated]) -> bytes:
    found = {each.roots[component] for each in stated} - {""}
    assert len(found) == 1  # two seats hold every component, and were compared
    return bytes.fromhex(found.pop())
