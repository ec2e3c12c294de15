"""Open a round's protected sum, and nothing else, once.

Whoever opens checks first, by itself: the cohort, every header in it, the sum's
root. The coordinator's word is enough for none of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from privacy import canonical
from privacy.documents import Signed, check_signer
from privacy.errors import MalformedMessage, RootMismatch, WrongContext, WrongIdentity
from privacy.identifiers import COORDINATOR
from privacy.merkle import piece_root
from privacy.plan import Plan
from privacy.records import (
    Cohort,
    Contribution,
    Entry,
    Sum,
    digest_of,
)
from privacy.roster import Role, Roster
from privacy.schemes.base import Revealer
from privacy.schemes.ckks_sum import CkksCombiner
from privacy.signing import Purpose

from .config import Policy
from .policy import check_cohort


@dataclass(frozen=True, slots=True)
class Frozen:
    """A cohort whose every contribution this opener has checked, and its sum's manifest."""

    cohort: Cohort
    sum: Sum


def check(
    plan: Plan,
    policy: Policy,
    roster: Roster,
    signed_cohort: Signed,
    headers: Sequence[Signed],
    signed_sum: Signed,
) -> Frozen:
    """Return the cohort and the sum's manifest, if all that is said of them holds.

    Raises:
        InvalidSignature: of the coordinator, of the auditor that the plan names, or of a
            site on its own header.
        WrongContext: something belongs to another round or plan.
        WrongIdentity: a contribution of somebody who is no trainer.
        CohortTooSmall: fewer organisations than plan and policy ask for.
    """
    check_signer(signed_cohort, Purpose.COHORT, COORDINATOR, roster.coordinator_key)
    check_signer(signed_sum, Purpose.SUM, COORDINATOR, roster.coordinator_key)
    if plan.terms.auditor is not None:
        # Fails until the auditor has re-added the contributions and signed the same manifest.
        auditor = roster.member(plan.terms.auditor)
        check_signer(signed_sum, Purpose.SUM, auditor.participant, auditor.signing_key)
    cohort = canonical.decode(signed_cohort.body, Cohort)
    total = canonical.decode(signed_sum.body, Sum)
    for record in (cohort, total):
        if (record.federation, record.round, record.plan) != _context(plan):
            raise WrongContext(f"round {plan.terms.round}: cohort or sum of another round or plan")
    if total.cohort != digest_of(cohort) or total.contributions != len(cohort.entries):
        raise WrongContext(f"round {plan.terms.round}: the sum is of another cohort")
    _check_entries(plan, cohort, headers, roster)
    names = tuple(entry.participant for entry in cohort.entries)
    check_cohort(names, policy, plan.terms.cohort_minimum, roster)
    return Frozen(cohort, total)


def reveal(
    plan: Plan, frozen: Frozen, revealer: Revealer, chunks: Sequence[bytes]
) -> NDArray[np.int64]:
    """Return the sum of the cohort's updates, shape (dimension,), in grid steps.

    Raises:
        RootMismatch: the chunks are not those the manifest names.
        SumOffGrid: what opens is no sum of grid values; it cannot be said whose fault.
    """
    if len(chunks) != plan.arithmetic.chunks:
        raise MalformedMessage(f"{len(chunks)} chunks of a sum of {plan.arithmetic.chunks}")
    combiner = CkksCombiner(plan.parameters(), plan.arithmetic.dimension)
    roots = [combiner.check(index, chunk) for index, chunk in enumerate(chunks)]
    if piece_root(roots).hex() != frozen.sum.root:
        raise RootMismatch(f"round {plan.terms.round}: the sum's chunks have another root")
    count = len(frozen.cohort.entries)
    return np.concatenate(
        [revealer.reveal(index, chunk, count) for index, chunk in enumerate(chunks)]
    )


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
        expected = Entry(header.participant, digest_of(header), _roots(header))
        same_key = header.key_record == plan.terms.key_record
        context = (header.federation, header.round, header.plan)
        if expected != entry or context != _context(plan) or not same_key:
            raise WrongContext(
                f"round {plan.terms.round}: what the cohort says of {entry.participant} is not "
                "what it signed"
            )


def _roots(header: Contribution) -> tuple[str, ...]:
    return tuple(piece.root for piece in header.pieces)


def _context(plan: Plan) -> tuple[str, int, str]:
    return (plan.terms.federation, plan.terms.round, plan.digest())
