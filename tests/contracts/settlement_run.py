"""A settlement set up through the real adapters, for tests of whoever uses one."""

import os
from dataclasses import dataclass
from pathlib import Path

from eth_account.signers.local import LocalAccount

from coordinator.adapters.chain import SettlementChain, attach, deploy
from coordinator.settling.settle import Result, Salts, Statement, Terms, statement
from privacy.settlement.commitment import Cohort, Slot
from privacy.settlement.payouts import parse_address
from veilsum.chain.compiled import load
from veilsum.chain.endpoint import Endpoint, connect
from veilsum.chain.journal import FolderJournal
from veilsum.chain.wallet import load_or_make_key
from veilsum.demo.chain import deploy_token, give_gas

LIGHT = 1 << 12
ESCROW = 1_000
BOND = 500
WINDOW_SECONDS = 3_600
"""Nobody waits for it: on the embedded chain a test moves the time."""

RESPONSE_SECONDS = 60
_LIFE_SECONDS = 365 * 86_400


def key(folder: Path, name: str) -> LocalAccount:
    return load_or_make_key(folder / f"{name}.json", "of the test", work_factor=LIGHT)


@dataclass(frozen=True)
class Run:
    endpoint: Endpoint
    folder: Path
    chain: SettlementChain
    token: str
    programme: str
    sites: dict[str, LocalAccount]
    gas_key: LocalAccount

    @property
    def journal(self) -> FolderJournal:
        return FolderJournal(self.folder)

    def statement(
        self, round_number: int = 3, budget: int = ESCROW, before: Statement | None = None
    ) -> Statement:
        """Every site took part, with equal scores."""
        payees = {parse_address(account.address): 1 for account in self.sites.values()}
        salts = {payee: Salts(os.urandom(32), os.urandom(32)) for payee in payees}
        domain = self.chain.domain(self.programme)
        return statement(domain, before, result(round_number, len(payees)), budget, payees, salts)

    def again(self, url: str, patience_seconds: float = 60.0) -> SettlementChain:
        """The same contract as a new process finds it: same key, same journal."""
        endpoint = connect(url, patience_seconds=patience_seconds)
        return attach(endpoint, self.chain.key, self.journal, self.chain.contract.address)

    def balance(self, account: str) -> int:
        token = self.endpoint.at(load("DemoToken"), self.token)
        checksummed = self.endpoint.web3.to_checksum_address(account)
        return int(self.endpoint.read(token.functions.balanceOf(checksummed)))

    def pass_until(self, moment: int) -> None:
        """Move the embedded chain's own time to Unix time `moment`, unless it is there."""
        if self.endpoint.web3.eth.get_block("latest")["timestamp"] < moment:
            # Its newest block may be a second or two before what was asked for.
            answer = self.endpoint.web3.provider.make_request("testing_timeTravel", [moment + 2])
            assert "error" not in answer, answer

    def mature(self, number: int = 3) -> None:
        """Move the embedded chain's own time past the window of a committed round."""
        self.pass_until(self.chain.stands(self.programme, number).matures_at)


def result(number: int, contributions: int) -> Result:
    """What a round of so many contributions has come to, of no real words."""
    slots = tuple(Slot(place, os.urandom(32)) for place in range(contributions))
    plan, total, model = (os.urandom(32).hex() for _ in range(3))
    return Result(number, plan, total, model, Cohort(slots), os.urandom(32))


def settlement_run(
    url: str,
    folder: Path,
    sites: int = 4,
    escrow: int = ESCROW,
    window: int = WINDOW_SECONDS,
    judges: tuple[str, ...] = (),
    judges_quorum: int = 0,
    response: int = RESPONSE_SECONDS,
    arithmetic: bytes | None = None,
) -> Run:
    endpoint = connect(url)
    coordinator, gas_key = key(folder, "coordinator"), key(folder, "gas")
    give_gas(endpoint, [coordinator.address, gas_key.address])
    journal = FolderJournal(folder)
    token = deploy_token(endpoint, coordinator, journal, 10**24)
    chain = deploy(endpoint, coordinator, journal)
    # By the chain's own time: on a shared chain other tests have moved it.
    end = endpoint.web3.eth.get_block("latest")["timestamp"] + _LIFE_SECONDS
    terms = Terms(
        token=token,
        coordinator=coordinator.address,
        funder=coordinator.address,
        end=end,
        window=window,
        response=response,
        bond=BOND,
        demand_bond=10,
        arithmetic=arithmetic or os.urandom(32),
        leaves_per_chunk=32,
        last_chunk_leaves=32,
        label=os.urandom(32),
        judges=judges,
        judges_quorum=judges_quorum,
    )
    programme = chain.open(terms)
    chain.fund(programme, escrow)
    chain.bond(programme, BOND)
    accounts = {f"site-{index}": key(folder, f"site-{index}") for index in range(sites)}
    return Run(endpoint, folder, chain, token, programme, accounts, gas_key)
