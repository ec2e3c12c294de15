"""A programme with three judges, and a seat with a bond that has lied about its sum of round 1."""

from dataclasses import dataclass
from pathlib import Path

from participant.settling.court import Court
from participant.settling.programme import Programme, programme_at
from participant.settling.stake import Staking
from privacy.settlement.payouts import Domain
from privacy.settlement.verdict import Evidence
from tests.contracts.settlement_run import BOND, Run, settlement_run
from tests.participant import pledged
from tests.participant.settling.offers import HOUR
from veilsum.chain.compiled import load
from veilsum.chain.endpoint import checksummed
from veilsum.chain.journal import FolderJournal
from veilsum.chain.signing import Signer
from veilsum.demo.chain import give_gas

SEAT_BOND = 300


@dataclass(frozen=True)
class Lied:
    """Round 1 is committed; the evidence is against the seat's account."""

    run: Run
    evidence: Evidence

    def programme(self) -> Programme:
        contract = str(self.run.chain.contract.address)
        return programme_at(self.run.endpoint, contract, self.run.programme)

    def court(self, key: Signer | None = None) -> Court:
        return Court(self.programme(), key or self.run.gas_key, self.run.journal)

    def nonce(self) -> int:
        return self.run.endpoint.web3.eth.get_transaction_count(self.run.gas_key.address)


def domain_of(run: Run) -> Domain:
    contract = str(run.chain.contract.address).lower()
    return Domain(run.endpoint.chain_id, contract, run.programme)


def lied(
    url: str, folder: Path, *, window: int = HOUR, committed: bool = True, quorum: int = 2
) -> Lied:
    run = settlement_run(
        url, folder, sites=2, window=window, judges=pledged.NAMES, judges_quorum=quorum
    )
    found = Lied(run, pledged.evidence(pledged.pledge(domain=domain_of(run))))
    bond_seat(found)
    if committed:
        run.chain.commit(run.statement(1))
    return found


def bond_seat(of: Lied) -> None:
    """Give the seat's account what it bonds, and have it bond that."""
    run, account = of.run, pledged.ACCOUNT
    give_gas(run.endpoint, [account.address])
    token = run.endpoint.at(load("DemoToken"), run.token)
    call = token.functions.transfer(checksummed(account.address), SEAT_BOND)
    run.endpoint.send(run.chain.key, run.journal, f"give-{run.programme}", call)
    Staking(of.programme(), account, FolderJournal(run.folder / "seat")).bond_up_to(SEAT_BOND)


__all__ = ("BOND", "SEAT_BOND", "Lied", "bond_seat", "domain_of", "lied")
