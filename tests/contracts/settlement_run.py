"""A settlement set up through the real adapters, for tests of whoever uses one."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from eth_account.signers.local import LocalAccount

from coordinator.adapters.chain import SettlementChain, attach, deploy
from coordinator.settling.settle import Statement, Terms, earned, statement
from veilsum.chain.compiled import load
from veilsum.chain.endpoint import Endpoint, connect
from veilsum.chain.journal import FolderJournal
from veilsum.chain.wallet import load_or_make_key
from veilsum.demo.chain import deploy_token, give_gas

LIGHT = 1 << 12
ESCROW = 1_000


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

    def statement(self, round_number: int = 3, budget: int = ESCROW) -> Statement:
        payees = {name: account.address for name, account in self.sites.items()}
        amounts = earned({}, budget, dict.fromkeys(payees, 1), payees)
        salts = {payee: os.urandom(32) for payee in amounts}
        head = self.chain.head(self.programme)
        return statement(self.chain.domain(self.programme), head, round_number, amounts, salts)

    def again(self, url: str, patience_seconds: float = 60.0) -> SettlementChain:
        """The same contract as a new process finds it: same key, same journal."""
        endpoint = connect(url, patience_seconds=patience_seconds)
        return attach(endpoint, self.chain.key, self.journal, self.chain.contract.address)

    def balance(self, account: str) -> int:
        token = self.endpoint.at(load("DemoToken"), self.token)
        checksummed = self.endpoint.web3.to_checksum_address(account)
        return int(self.endpoint.read(token.functions.balanceOf(checksummed)))


def settlement_run(url: str, folder: Path, sites: int = 4, escrow: int = ESCROW) -> Run:
    endpoint = connect(url)
    coordinator, gas_key = key(folder, "coordinator"), key(folder, "gas")
    give_gas(endpoint, [coordinator.address, gas_key.address])
    journal = FolderJournal(folder)
    token = deploy_token(endpoint, coordinator, journal, 10**24)
    chain = deploy(endpoint, coordinator, journal)
    end = int(time.time()) + 86_400
    terms = Terms(token, coordinator.address, coordinator.address, end, os.urandom(32))
    programme = chain.open(terms)
    chain.fund(programme, escrow)
    accounts = {f"site-{index}": key(folder, f"site-{index}") for index in range(sites)}
    return Run(endpoint, folder, chain, token, programme, accounts, gas_key)
