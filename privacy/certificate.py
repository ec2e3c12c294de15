"""The certificate of a cohort: without it, nothing of a round under `shares` is opened.

    all three seats                           have signed the cohort, or
    two seats, and more than two thirds of all trainers

Who is honest signs one cohort of a round, ever. Of two certificates, one by all three seats has
two seats in common with any other; two of the other kind have one seat in common, and more
than a third of the trainers. So a coordinator that runs one seat cannot have two of one round,
whose sums would differ by an update, unless another seat signs twice, or more than a third of
the trainers do. Pure.
"""

from collections.abc import Iterable
from typing import Final

from .canonical import decode
from .documents import Signed, check_signer
from .errors import InvalidSignature, WrongContext, WrongIdentity
from .plan import SignedPlan
from .records import Cohort
from .roster import Role, Roster
from .schemes.shares.layout import SEATS
from .signing import Purpose

ENOUGH_SEATS: Final = 2
"""Seats whose signatures are enough beside those of more than two thirds of the trainers."""


def is_complete(signers: Iterable[str], seats: Iterable[str], trainers: Iterable[str]) -> bool:
    """Return whether so many have signed a cohort that no second one can be certified.

    Args:
        seats: of the plan, three.
        trainers: of the roster that the plan names, all of them.
    """
    signed, everyone = set(signers), set(trainers)
    by_seats = len(signed & set(seats))
    most = 3 * len(signed & everyone) > 2 * len(everyone)
    return by_seats == SEATS or (by_seats >= ENOUGH_SEATS and most)


def check_certificate(signed_cohort: Signed, plan: SignedPlan, roster: Roster) -> None:
    """Return if the cohort is certified.

    Signatures of others than seats and trainers do not count, and are not looked at.

    Args:
        signed_cohort: with every signature there is for a certificate, by signer.
        roster: the one that the plan names.

    Raises:
        WrongContext: a cohort of another federation, round or plan, or another roster.
        WrongIdentity: the roster has one of the plan's seats not as an aggregator alone.
        InvalidSignature: too few have signed, or a signature that is there is wrong.
    """
    _check_context(signed_cohort, plan, roster)
    trainers = [member.participant for member in roster.trainers()]
    present = [n for n in (*plan.terms.seats, *trainers) if n in signed_cohort.signatures]
    for name in present:
        key = roster.member(name).signing_key
        check_signer(signed_cohort, Purpose.CERTIFICATE, name, key)
    if not is_complete(present, plan.terms.seats, trainers):
        seats = len(set(present) & set(plan.terms.seats))
        raise InvalidSignature(
            f"round {plan.terms.round}: the cohort is signed by {seats} of {SEATS} seats and "
            f"{len(present) - seats} of {len(trainers)} trainers; three seats are needed, or two "
            "and more than two thirds of the trainers"
        )


def _check_context(signed_cohort: Signed, plan: SignedPlan, roster: Roster) -> None:
    cohort, terms = decode(signed_cohort.body, Cohort), plan.terms
    here = (terms.federation, terms.round, plan.digest())
    if (cohort.federation, cohort.round, cohort.plan) != here:
        raise WrongContext(f"round {terms.round}: a certificate of another round or plan")
    if roster.digest() != terms.roster:
        raise WrongContext(f"round {terms.round}: the plan names another roster")
    for seat in terms.seats:
        # Who trained and sat would be counted twice.
        if roster.member(seat).roles != (Role.AGGREGATOR,):
            raise WrongIdentity(f"{seat} is no aggregator alone in the roster, and has no seat")
