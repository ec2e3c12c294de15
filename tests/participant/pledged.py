"""A seat that lied, its pledge, and the evidence against it, as auditor and seats make them."""

from functools import cache, partial
from typing import Any

import msgspec
from eth_account import Account
from eth_account.signers.local import LocalAccount

from privacy import canonical
from privacy.documents import Signed
from privacy.records import DisputeReport, Exhibit, SeatSum, digest_of
from privacy.roster import Roster
from privacy.settlement import pledge as pledges
from privacy.settlement.payouts import Domain
from privacy.settlement.verdict import Evidence, evidence_of
from privacy.signing import Purpose, sign
from tests.participant import at_dispute as at
from tests.participant import shared_round as shared
from tests.participant import signed_round as made
from veilsum.chain.digests import sign_typed

HERE = Domain(31337, "0x" + "5e" * 20, "70" * 32)
LIAR, HONEST = at.FERN, at.ELM
ACCOUNT: LocalAccount = Account.from_key(b"\x07" * 32)
JUDGES: tuple[LocalAccount, ...] = tuple(
    sorted(
        (Account.from_key(bytes([each]) * 32) for each in (21, 22, 23)),
        key=lambda each: each.address.lower(),
    )
)
NAMES = tuple(each.address.lower() for each in JUDGES)


def roster() -> Roster:
    return shared.roster()


@cache
def round_of() -> shared.Round:
    """The second seat has changed a bit of its sum."""
    return at.lied_about(1)


def pledge(seat: int = 1, domain: Domain = HERE, account: LocalAccount = ACCOUNT) -> Signed:
    """What a seat pledges for what it has stated."""
    return made_for(round_of().stated[seat].statement, domain, account)


def made_for(stated: SeatSum, domain: Domain = HERE, account: LocalAccount = ACCOUNT) -> Signed:
    """What a seat pledges for a statement."""
    key = made.keys(stated.seat).signing
    return pledges.make(stated, domain, account.address, partial(sign_typed, account), key)


def changed(signed: Signed, **fields: Any) -> Signed:
    """A pledge with other fields, signed by the seat again, and not by the account."""
    found = canonical.decode(signed.body, pledges.Pledge)
    body = canonical.encode(msgspec.structs.replace(found, **fields))
    (seat,) = signed.signatures
    return Signed(body, {seat: sign(made.keys(seat).signing, Purpose.PLEDGE, body)})


@cache
def truthful() -> shared.Round:
    """The same round, in which nobody lied."""
    return shared.Round(at.plan(), at.NAMES)


def exhibits_of(of: shared.Round) -> tuple[Exhibit, ...]:
    """What the first two seats have signed of a round."""
    return tuple(
        Exhibit(
            each.statement.seat, each.signed().body, each.signed().signatures[each.statement.seat]
        )
        for each in of.stated[:2]
    )


def report(**fields: Any) -> DisputeReport:
    """The report by which the auditor calls it a liar."""
    of = round_of()
    exhibits = exhibits_of(of)
    found = DisputeReport(
        federation=made.FEDERATION,
        round=1,
        auditor=made.WATCH,
        code="seat_lied",
        reason="the sum of fern is not that of the sites",
        component=at.COMPONENT,
        seats=at.DISPUTED,
        plan=of.plan.digest(),
        cohort=digest_of(of.cohort),
        chunk=1,
        leaf=0,
        liars=(LIAR,),
        exhibits=exhibits,
    )
    return msgspec.structs.replace(found, **fields)


def evidence(
    signed: Signed | None = None, *, signer: str = made.WATCH, seat: str = LIAR, **fields: Any
) -> Evidence:
    """The evidence against it, or something else."""
    found = report(**fields)
    body = canonical.encode(found)
    signature = sign(made.keys(signer).signing, Purpose.DISPUTE_REPORT, body)
    return evidence_of(found, signature, signed or pledge(), seat)
