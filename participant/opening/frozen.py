"""A round's frozen cohort and its sum, checked by whoever opens the sum or adds it again.

The coordinator's word is enough for none of it: every header is its own site's. Under `shares`
the cohort alone is checked first, by those who certify it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from participant.policy.plans import HasSmallestCohort, check_cohort
from privacy import canonical
from privacy.documents import Signed, check_signer
from privacy.errors import CohortTooSmall, MalformedMessage, WrongContext, WrongIdentity
from privacy.growth import SeenOf, check_grown, seen_in
from privacy.identifiers import COORDINATOR
from privacy.plan import SHARES, Plan
from privacy.records import (
    PURPOSES,
    SEATS,
    Cohort,
    Contribution,
    Entry,
    Header,
    SharedContribution,
    Sum,
    digest_of,
)
from privacy.roster import Role, Roster
from privacy.schemes.shares.opening import sum_length
from privacy.schemes.shares.payload import PayloadCheck
from privacy.signing import Purpose


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
    seen: SeenOf,
) -> Frozen:
    """Return the cohort and the sum's manifest, if all that is said of them holds.

    Args:
        seen: how far whoever checks has seen the sites' ledgers.

    Raises:
        PeerLedgerRolledBack: a site's header was signed with an older ledger than that.
        InvalidSignature: of the coordinator, or of a site on its own header.
        WrongContext: something belongs to another round or plan.
        MalformedMessage: a cohort, a piece or a sum of another shape than the plan's.
        WrongIdentity: a contribution of somebody who is no trainer.
        CohortTooSmall: fewer contributions, or organisations, than plan and policy ask for.
    """
    check_signer(signed_sum, Purpose.SUM, COORDINATOR, roster.coordinator_key)
    cohort = check_frozen_cohort(plan, policy, roster, signed_cohort, headers, seen)
    total = canonical.decode(signed_sum.body, Sum)
    _check_context(plan, total)
    if total.cohort != digest_of(cohort) or total.contributions != len(cohort.entries):
        raise WrongContext(f"round {plan.terms.round}: the sum is of another cohort")
    if (total.chunks, total.length) != (plan.arithmetic.chunks, _sum_length(plan)):
        raise MalformedMessage(f"round {plan.terms.round}: a sum of another length than the plan's")
    return Frozen(cohort, total)


def check_frozen_cohort(
    plan: Plan,
    policy: HasSmallestCohort,
    roster: Roster,
    signed_cohort: Signed,
    headers: Sequence[Signed],
    seen: SeenOf,
) -> Cohort:
    """Return the cohort, if all that is said of it and its contributions holds.

    Raises:
        InvalidSignature, WrongContext, MalformedMessage, WrongIdentity, CohortTooSmall,
            PeerLedgerRolledBack: as for `check_frozen`.
    """
    check_signer(signed_cohort, Purpose.COHORT, COORDINATOR, roster.coordinator_key)
    cohort = canonical.decode(signed_cohort.body, Cohort)
    _check_context(plan, cohort)
    if len(cohort.entries) < plan.terms.quorum:
        raise CohortTooSmall(
            f"round {plan.terms.round}: a cohort of {len(cohort.entries)}, the plan has a quorum "
            f"of {plan.terms.quorum}"
        )
    for header in check_entries(plan, cohort.entries, headers, roster):
        check_grown(header.participant, seen_in(header), seen.get(header.participant))
    names = tuple(entry.participant for entry in cohort.entries)
    check_cohort(names, policy, plan.terms.cohort_minimum, roster)
    return cohort


def check_entries(
    plan: Plan, entries: Sequence[Entry], headers: Sequence[Signed], roster: Roster
) -> tuple[Header, ...]:
    """Return the headers, if each entry says what its own site has signed, once and in order.

    Raises:
        MalformedMessage, WrongContext, WrongIdentity, InvalidSignature: as for `check_frozen`.
    """
    names = [entry.participant for entry in entries]
    if names != sorted(set(names)) or len(headers) != len(names):
        raise MalformedMessage(f"round {plan.terms.round}: the cohort names a site twice")
    checked = []
    for entry, signed in zip(entries, headers, strict=True):
        header = check_header(plan, entry.participant, signed, roster)
        roots = tuple(piece.root for piece in header.pieces)
        if Entry(header.participant, digest_of(header), roots) != entry:
            raise _not_what_it_signed(plan, entry.participant)
        checked.append(header)
    return tuple(checked)


def check_header(plan: Plan, participant: str, signed: Signed, roster: Roster) -> Header:
    """Return the header of a participant's contribution, if it has the shape of the plan's.

    Raises:
        InvalidSignature: its site has not signed it.
        WrongIdentity: somebody who is no trainer.
        WrongContext: of another site, round, plan or key.
        MalformedMessage: other pieces than the plan's, or seals to others than its openers,
            or than its seats.
    """
    member = roster.member(participant)
    if Role.TRAINER not in member.roles:
        raise WrongIdentity(f"round {plan.terms.round}: {participant} is no trainer")
    kind = header_kind(plan)
    check_signer(signed, PURPOSES[kind], participant, member.signing_key)
    header = canonical.decode(signed.body, kind)
    context = (header.federation, header.round, header.plan)
    if context != _context(plan) or header.participant != participant:
        raise _not_what_it_signed(plan, participant)
    _check_piece(plan, header)
    if isinstance(header, SharedContribution):
        _check_seals(plan, header)
    else:
        assert isinstance(header, Contribution)  # there are two kinds
        _check_masks(plan, header)
    return header


def header_kind(plan: Plan) -> type[Header]:
    """Return the kind of header that contributions to a round have."""
    return SharedContribution if plan.arithmetic.scheme == SHARES else Contribution


def _check_context(plan: Plan, record: Cohort | Sum) -> None:
    if (record.federation, record.round, record.plan) != _context(plan):
        raise WrongContext(f"round {plan.terms.round}: cohort or sum of another round or plan")


def _check_piece(plan: Plan, header: Header) -> None:
    shapes = [(each.recipient, each.scheme, each.chunks, each.length) for each in header.pieces]
    recipient = SEATS if isinstance(header, SharedContribution) else COORDINATOR
    wanted = (recipient, plan.arithmetic.scheme, plan.arithmetic.chunks, _length(plan))
    if shapes != [wanted]:
        raise MalformedMessage(
            f"round {plan.terms.round}: {header.participant} signed other pieces than the plan's"
        )


def _check_masks(plan: Plan, header: Contribution) -> None:
    if header.key_record != plan.terms.key_record:
        raise _not_what_it_signed(plan, header.participant)
    if tuple(each.opener for each in header.masks) != plan.terms.openers:
        raise MalformedMessage(
            f"round {plan.terms.round}: {header.participant} sealed its mask to others than "
            "the plan's openers"
        )


def _check_seals(plan: Plan, header: SharedContribution) -> None:
    if tuple(each.seat for each in header.seals) != plan.terms.seats:
        raise MalformedMessage(
            f"round {plan.terms.round}: {header.participant} sealed its parts to others than "
            "the plan's seats"
        )


def _length(plan: Plan) -> int:
    """Bytes of the one piece of a contribution; under `ckks`, of the sum as well."""
    if plan.arithmetic.scheme == SHARES:
        return PayloadCheck(plan.shares(), plan.arithmetic.dimension).length()
    parameters = plan.parameters()
    geometry = plan.geometry()
    last = parameters.chunk_bytes(geometry.values_in(geometry.chunks - 1))
    return (geometry.chunks - 1) * parameters.chunk_bytes(geometry.values_per_chunk) + last


def _sum_length(plan: Plan) -> int:
    if plan.arithmetic.scheme == SHARES:
        return sum_length(plan.shares(), plan.arithmetic.dimension)
    return _length(plan)


def _context(plan: Plan) -> tuple[str, int, str]:
    return (plan.terms.federation, plan.terms.round, plan.digest())


def _not_what_it_signed(plan: Plan, participant: str) -> WrongContext:
    return WrongContext(
        f"round {plan.terms.round}: what the cohort says of {participant} is not what it signed"
    )
