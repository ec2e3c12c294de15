"""What is said of a published sum. Pure."""

from privacy.plan import Plan
from privacy.records import Cohort, Sum, digest_of


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
