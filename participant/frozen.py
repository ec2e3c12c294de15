"""A round's frozen cohort and its sum, checked by whoever opens the sum or adds it again.

The coordinator's word is enough for none of it: every header is its own site's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from privacy import canonical
from privacy.documents import Signed, check_signer
from privacy.errors import CohortTooSmall, MalformedMessage, WrongContext, WrongIdentity
from privacy.identifiers import COORDINATOR
from privacy.plan import Plan
from privacy.records import Cohort, Contribution, Entry, Sum, digest_of
from privacy.roster import Role, Roster
from privacy.signing import Purpose

from .policy import HasSmallestCohort, check_cohort


@dataclass(frozen=True, slots=True)
class Frozen:
    """A cohort whose every contribution has been checked, and its sum's manifest."""

    cohort: Cohort
    sum: Sum


def check_frozen(
    plan: Plan,
    policy: HasSmallestCohort,
    roster: Roster,
    signed_cohort: Signed,
    headers: Sequence[Signed],
    signed_sum: Signed,
) -> Frozen:
    """Return the cohort and the sum's manifest, if all that is said of them holds.

    Raises:
        InvalidSignature: of the coordinator, or of a site on its own header.
        WrongContext: something belongs to another round or plan.
        MalformedMessage: a cohort, a piece or a sum of another shape than the plan's.
        WrongIdentity: a contribution of somebody who is no trainer.
        CohortTooSmall: fewer contributions, or organisations, than plan and policy ask for.
    """
    check_signer(signed_cohort, Purpose.COHORT, COORDINATOR, roster.coordinator_key)
    check_signer(signed_sum, Purpose.SUM, COORDINATOR, roster.coordinator_key)
    cohort = canonical.decode(signed_cohort.body, Cohort)
    total = canonical.decode(signed_sum.body, Sum)
    for record in (cohort, total):
        if (record.federation, record.round, record.plan) != _context(plan):
            raise WrongContext(f"round {plan.terms.round}: cohort or sum of another round or plan")
    if total.cohort != digest_of(cohort) or total.contributions != len(cohort.entries):
        raise WrongContext(f"round {plan.terms.round}: the sum is of another cohort")
    if (total.chunks, total.length) != (plan.arithmetic.chunks, _length(plan)):
        raise MalformedMessage(f"round {plan.terms.round}: a sum of another length than the plan's")
    if len(cohort.entries) < plan.terms.quorum:
        raise CohortTooSmall(
            f"round {plan.terms.round}: a cohort of {len(cohort.entries)}, the plan has a quorum "
            f"of {plan.terms.quorum}"
        )
    _check_entries(plan, cohort, headers, roster)
    names = tuple(entry.participant for entry in cohort.entries)
    check_cohort(names, policy, plan.terms.cohort_minimum, roster)
    return Frozen(cohort, total)


def _check_entries(plan: Plan, cohort: Cohort, headers: Sequence[Signed], roster: Roster) -> None:
    names = [entry.participant for entry in cohort.entries]
    if names != sorted(set(names)) or len(headers) != len(names):
        raise MalformedMessage(f"round {plan.terms.round}: the cohort names a site twice")
    for entry, signed in zip(cohort.entries, headers, strict=True):
        member = roster.member(entry.participant)
        if Role.TRAINER not in member.roles:
            raise WrongIdentity(f"round {plan.terms.round}: {entry.participant} is no trainer")
        check_signer(signed, Purpose.CONTRIBUTION, entry.participant, member.signing_key)
        header = canonical.decode(signed.body, Contribution)
        roots = tuple(piece.root for piece in header.pieces)
        expected = Entry(header.participant, digest_of(header), roots)
        same_key = header.key_record == plan.terms.key_record
        context = (header.federation, header.round, header.plan)
        if expected != entry or context != _context(plan) or not same_key:
            raise WrongContext(
                f"round {plan.terms.round}: what the cohort says of {entry.participant} is not "
                "what it signed"
            )
        _check_piece(plan, header)
        if tuple(each.opener for each in header.masks) != plan.terms.openers:
            raise MalformedMessage(
                f"round {plan.terms.round}: {header.participant} sealed its mask to others than "
                "the plan's openers"
            )


def _check_piece(plan: Plan, header: Contribution) -> None:
    shapes = [(each.recipient, each.scheme, each.chunks, each.length) for each in header.pieces]
    wanted = (COORDINATOR, plan.arithmetic.scheme, plan.arithmetic.chunks, _length(plan))
    if shapes != [wanted]:
        raise MalformedMessage(
            f"round {plan.terms.round}: {header.participant} signed other pieces than the plan's"
        )


def _length(plan: Plan) -> int:
    parameters = plan.parameters()
    geometry = parameters.geometry(plan.arithmetic.dimension)
    last = parameters.chunk_bytes(geometry.values_in(geometry.chunks - 1))
    return (geometry.chunks - 1) * parameters.chunk_bytes(geometry.values_per_chunk) + last


def _context(plan: Plan) -> tuple[str, int, str]:
    return (plan.terms.federation, plan.terms.round, plan.digest())
