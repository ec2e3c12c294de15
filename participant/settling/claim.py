"""Claim: a participant takes its part of a settlement, after checking it itself."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from privacy.errors import ChainUnavailable
from privacy.settlement.payouts import Entitlement
from veilsum.chain.endpoint import Endpoint, Receipt, checksummed
from veilsum.chain.journal import Journal
from veilsum.chain.signing import Signer

from .check import Due, Offer, examine, require_place
from .programme import programme_at

WAIT_SECONDS: Final = 30.0
"""Longest wait for a round to mature.

As long as two blocks of Ethereum take, and somewhat more: of a window that is nearly over nobody
has to be told. A challenge window that is meant seriously takes days, and no process waits for it.
"""

_POLL_SECONDS: Final = 0.5

Sleep = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Claimed:
    """A payee's standing on the chain after a claim.

    Attributes:
        cumulative: token units paid to this payee from the programme's beginning.
        transaction: hash of the transaction that paid the last of it; None if
            somebody else sent that.
        gas: used by that transaction.
        paid: token units that it paid.
    """

    cumulative: int
    transaction: str | None = None
    gas: int | None = None
    paid: int | None = None


@dataclass(frozen=True, slots=True)
class Later:
    """A payout that is right, and cannot be claimed yet: Unix time from which it can."""

    matures_at: int


def due(endpoint: Endpoint, offer: Offer, *, payee: str, contract: str) -> Due:
    """Return what is due to a site by an offer, checked against the chain; nothing is sent.

    Args:
        payee: this participant's own payout address.
        contract: the address its operator agreed to settle on.

    Raises:
        WrongContext: the entitlement is for another chain, contract or payee, the code at that
            address is not this version's contract, or the round is void or an older one.
        RootMismatch, FalsePayout, ChainUnavailable: as for `examine`.
    """
    require_place(offer.entitlement, endpoint.chain_id, contract, payee)
    return examine(programme_at(endpoint, contract, offer.entitlement.domain.programme), offer)


def claim(
    owed: Due,
    gas_key: Signer,
    journal: Journal,
    *,
    wait_seconds: float = WAIT_SECONDS,
    sleep: Sleep = time.sleep,
) -> Claimed | Later:
    """Claim what is due, unless it is claimed, and return the payout, or when it can be claimed.

    Whoever holds `gas_key` pays the gas and receives nothing.

    Args:
        wait_seconds: how long at most a round is waited for that matures soon.

    Raises:
        IllegalEvent: the contract refuses.
        ChainUnavailable: the endpoint does not answer; run this again.
    """
    endpoint, one = owed.programme.endpoint, owed.entitlement
    purpose = f"claim-{one.leaf().hex()}"
    if owed.programme.claimed_by(one.payee) >= one.amount():
        receipt = endpoint.recall(journal, purpose)
    elif not _has_matured(owed, wait_seconds, sleep):
        return Later(owed.round.matures_at)
    else:
        call = owed.programme.settlement.functions.claim(
            owed.programme.word,
            one.round,
            checksummed(one.payee),
            one.amount(),
            bytes.fromhex(one.salt),
            one.entry().digest(),
            one.path(),
        )
        receipt = endpoint.send(gas_key, journal, purpose, call)
    return _claimed(owed, receipt)


def require_final(
    endpoint: Endpoint, gas_key: Signer, journal: Journal, entitlement: Entitlement
) -> None:
    """Return if what `entitlement` says is paid for good, on every endpoint.

    What was sent and is not final yet is looked after meanwhile.

    Raises:
        EndpointsDiffer: two endpoints give different answers.
        ChainUnavailable: it is not final yet, or one does not answer; run this again.
    """
    endpoint.tend(gas_key, journal)
    settlement = endpoint.deployed("Settlement", entitlement.domain.contract)
    programme = bytes.fromhex(entitlement.domain.programme)
    payee = checksummed(entitlement.payee)
    paid = int(endpoint.read_final(settlement.functions.claimedBy(programme, payee)))
    if paid < entitlement.amount():
        raise ChainUnavailable(
            f"{paid} of {entitlement.amount()} token units are paid for good; the rest is mined "
            "and not final yet, and is waited for"
        )


def _has_matured(owed: Due, wait_seconds: float, sleep: Sleep) -> bool:
    """Return whether a round has matured by the chain's own time, after a short wait for it."""
    left, waited = owed.round.matures_at - owed.programme.time(), 0.0
    if left > wait_seconds:
        return False
    while left > 0 and waited < wait_seconds:
        sleep(_POLL_SECONDS)
        waited += _POLL_SECONDS
        left = owed.round.matures_at - owed.programme.time()
    return left <= 0


def _claimed(owed: Due, receipt: Receipt | None) -> Claimed:
    cumulative = owed.programme.claimed_by(owed.entitlement.payee)
    if receipt is None:
        return Claimed(cumulative)
    settlement = owed.programme.settlement
    (event,) = owed.programme.endpoint.events(settlement, "Claimed", receipt)
    return Claimed(cumulative, receipt.transaction, receipt.gas, event["amount"])
