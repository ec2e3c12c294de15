"""Claim: a participant takes its part of a settlement, after checking it itself."""

from dataclasses import dataclass

from eth_account.signers.local import LocalAccount
from web3.contract.contract import Contract
from web3.logs import DISCARD

from privacy.errors import WrongContext
from privacy.payouts import Entitlement, check
from veilsum.chain.endpoint import Endpoint, Receipt
from veilsum.chain.journal import Journal


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


def claim(
    endpoint: Endpoint,
    gas_key: LocalAccount,
    journal: Journal,
    entitlement: Entitlement,
    *,
    payee: str,
    contract: str,
) -> Claimed:
    """Claim `entitlement`, unless it is claimed, and return the payout.

    The leaf and its path are checked here against the root on the chain before
    anything is sent. Whoever holds `gas_key` pays the gas and receives nothing.

    Args:
        payee: this participant's own payout address.
        contract: the address its operator agreed to settle on.

    Raises:
        WrongContext: the entitlement is for another chain, contract or payee, or the
            code at that address is not this version's contract.
        RootMismatch: it is not under the newest root; fetch the newest entitlement.
        IllegalEvent: the contract refuses.
        ChainUnavailable: the endpoint does not answer; run this again.
    """
    _require(entitlement, endpoint.chain_id, contract, payee)
    settlement = endpoint.deployed("Settlement", contract)
    programme = bytes.fromhex(entitlement.domain.programme)
    purpose = f"claim-{entitlement.leaf().hex()}"
    if _paid(endpoint, settlement, entitlement) >= entitlement.amount():
        receipt = endpoint.recall(journal, purpose)
    else:
        check(entitlement, _root(endpoint, settlement, programme))
        call = settlement.functions.claim(
            programme,
            endpoint.web3.to_checksum_address(entitlement.payee),
            entitlement.amount(),
            bytes.fromhex(entitlement.salt),
            entitlement.path(),
        )
        receipt = endpoint.send(gas_key, journal, purpose, call)
    return _claimed(_paid(endpoint, settlement, entitlement), settlement, receipt)


def _require(entitlement: Entitlement, chain_id: int, contract: str, payee: str) -> None:
    domain = entitlement.domain
    found = (domain.chain_id, domain.contract, entitlement.payee)
    if found != (chain_id, contract.lower(), payee.lower()):
        raise WrongContext(
            f"a payout for {entitlement.payee} on contract {domain.contract}, chain "
            f"{domain.chain_id}, where {payee} on {contract}, chain {chain_id} was expected; "
            "the coordinator must issue the right one"
        )


def _paid(endpoint: Endpoint, settlement: Contract, entitlement: Entitlement) -> int:
    payee = endpoint.web3.to_checksum_address(entitlement.payee)
    programme = bytes.fromhex(entitlement.domain.programme)
    return int(endpoint.read(settlement.functions.claimedBy(programme, payee)))


def _root(endpoint: Endpoint, settlement: Contract, programme: bytes) -> bytes:
    _, _, root, _, _ = endpoint.read(settlement.functions.stateOf(programme))
    return bytes(root)


def _claimed(cumulative: int, settlement: Contract, receipt: Receipt | None) -> Claimed:
    if receipt is None:
        return Claimed(cumulative)
    (event,) = settlement.events.Claimed().process_receipt(receipt.mined, errors=DISCARD)
    return Claimed(cumulative, receipt.transaction, receipt.gas, event["args"]["amount"])
