"""Collect from the vault what it owes to a key: rewards, and bonds of demands that come back."""

from dataclasses import dataclass

from veilsum.chain.endpoint import Receipt, checksummed
from veilsum.chain.journal import Journal
from veilsum.chain.signing import Signer

from .programme import Programme


@dataclass(frozen=True, slots=True)
class Collected:
    """What the vault has paid out, in token units, and the gas; None if nothing was sent."""

    amount: int
    gas: int | None


def collect(programme: Programme, key: Signer, journal: Journal, purpose: str) -> Collected:
    """Have a key's credit paid out, and return what that was; once for each purpose.

    Raises:
        IllegalEvent: the vault refuses.
        ChainUnavailable: no answer, or not mined in time; run this again.
    """
    endpoint = programme.endpoint
    if programme.credit_of(key.address):
        token = checksummed(programme.terms().token)
        call = programme.vault.functions.collect(token, checksummed(key.address))
        paid: Receipt | None = endpoint.send(key, journal, purpose, call)
    else:
        paid = endpoint.recall(journal, purpose)
    if paid is None:
        return Collected(0, None)
    events = endpoint.events(programme.vault, "Collected", paid)
    return Collected(sum(each["amount"] for each in events), paid.gas)
