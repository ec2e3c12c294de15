"""An embedded chain with the contracts on it, for a measurement: keys, programmes, and a clock."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.request import Request, urlopen

from coordinator.adapters.chain import SettlementChain, attach
from coordinator.settling.settle import Result, Salts, Statement, Terms, statement
from participant.settling.challenge import fields
from veilsum.chain.compiled import load
from veilsum.chain.deployment import Deployed, deploy_all
from veilsum.chain.endpoint import Call, Contract, Endpoint, Receipt, connect, translated
from veilsum.chain.journal import FolderJournal
from veilsum.chain.signing import Signer
from veilsum.chain.wallet import make_key
from veilsum.demo.chain import deploy_token, embedded_chain, give_gas
from veilsum.files import make_folder

from .disputes import ARITHMETIC, LEAVES

BUDGET: Final = 10**22
BOND: Final = 10**21
DEMAND_BOND: Final = 10**18
WINDOW_SECONDS: Final = 86_400
RESPONSE_SECONDS: Final = 3_600

_SUPPLY: Final = 10**27
_LIFE_SECONDS: Final = 300 * 86_400
_GAS_MONEY: Final = 10**20


@dataclass(frozen=True)
class OnChain:
    """The contracts, as their coordinator uses them, and somebody who claims and challenges.

    Attributes:
        deployed: each contract, with the gas that it took.
    """

    rpc: str
    folder: Path
    chain: SettlementChain
    other: Signer
    token: Contract
    deployed: tuple[Deployed, ...]

    @property
    def endpoint(self) -> Endpoint:
        """The way to the chain."""
        return self.chain.endpoint

    def deployed_at(self, name: str) -> Contract:
        """Return one of the contracts."""
        address = next(each.address for each in self.deployed if each.name == name)
        return self.endpoint.at(load(name), address)

    def journal(self, key: Signer) -> FolderJournal:
        """Return the journal of a key."""
        return _journal(self.folder, key)

    def send(self, call: Call, key: Signer) -> Receipt:
        """Send a transaction, once, and return its receipt."""
        purpose = f"bench-{os.urandom(16).hex()}"
        return self.endpoint.send(key, self.journal(key), purpose, call)

    def open(self) -> tuple[str, dict[str, int]]:
        """Open a programme without money, and bond for it; return it, and the gas of both."""
        programme, key = self.chain.open(self._terms()), self.chain.key
        opened = self.endpoint.recall(self.chain.journal, f"open-{programme}")
        assert opened is not None  # it was sent just now
        self.approve(self.chain.vault, BOND, key)
        bond = self.chain.vault.functions.bond(bytes.fromhex(programme), BOND)
        return programme, {"open": opened.gas, "bond": self.send(bond, key).gas}

    def fund(self, programme: str, rounds: int) -> Receipt:
        """Fill the escrow of a programme."""
        self.approve(self.chain.contract, rounds * BUDGET, self.chain.key)
        call = self.chain.contract.functions.fund(bytes.fromhex(programme), rounds * BUDGET)
        return self.send(call, self.chain.key)

    def approve(self, spender: Contract, amount: int, key: Signer) -> Receipt:
        """Let a contract take tokens of a key."""
        return self.send(self.token.functions.approve(spender.address, amount), key)

    def state(
        self,
        programme: str,
        before: Statement | None,
        result: Result,
        payees: Sequence[str],
        budget: int = BUDGET,
    ) -> Statement:
        """Return a round's statement, with scores that nobody has measured."""
        domain = self.chain.domain(programme)
        scores = {payee: 1 + int.from_bytes(os.urandom(4)) for payee in payees}
        salts = {payee: Salts(os.urandom(32), os.urandom(32)) for payee in payees}
        return statement(domain, before, result, budget, scores, salts)

    def commit(self, made: Statement) -> Receipt:
        """Commit a round."""
        call = self.chain.contract.functions.commit(fields(made.commit))
        return self.send(call, self.chain.key)

    @contextmanager
    def apart(self) -> Iterator["OnChain"]:
        """Give this chain for one part of the work, which is undone at its end.

        What is the first of its kind on a contract costs more: no part makes another cheaper.
        """
        before = self._told("evm_snapshot")
        with TemporaryDirectory(dir=self.folder) as name:
            folder = Path(name)
            chain = replace(self.chain, journal=_journal(folder, self.chain.key))
            yield replace(self, folder=folder, chain=chain)
        self._told("evm_revert", before)

    def travel(self, seconds: int) -> None:
        """Let the chain's clock jump: nobody waits for a window."""
        self._told("testing_timeTravel", self._time() + seconds)

    def mine(self) -> None:
        """Let a block follow."""
        self._told("evm_mine", 1)

    def _time(self) -> int:
        with translated():
            return int(self.endpoint.web3.eth.get_block("latest")["timestamp"])

    def _told(self, method: str, *params: int | str) -> Any:  # noqa: ANN401 (JSON)
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        with urlopen(Request(self.rpc, body.encode())) as answer:  # noqa: S310 (it is ours)
            found = json.load(answer)
        assert "error" not in found, found  # the embedded chain knows all of these
        return found["result"]

    def _terms(self) -> Terms:
        key = self.chain.key.address
        return Terms(
            token=str(self.token.address),
            coordinator=key,
            funder=key,
            end=self._time() + _LIFE_SECONDS,
            window=WINDOW_SECONDS,
            response=RESPONSE_SECONDS,
            bond=BOND,
            demand_bond=DEMAND_BOND,
            arithmetic=sha256(ARITHMETIC).digest(),
            leaves_per_chunk=LEAVES,
            last_chunk_leaves=LEAVES,
            label=os.urandom(32),
        )


@contextmanager
def on_chain(folder: Path) -> Iterator[OnChain]:
    """Give a chain with the contracts on it; it ends with the block."""
    with embedded_chain() as rpc:
        endpoint = connect(rpc)
        key, other = (make_key(folder / f"{name}.json", "", work_factor=2) for name in ("a", "b"))
        give_gas(endpoint, [key.address, other.address], _GAS_MONEY)
        journal = _journal(folder, key)
        token = endpoint.at(load("DemoToken"), deploy_token(endpoint, key, journal, _SUPPLY))
        deployed = deploy_all(endpoint, key, journal)
        addresses = {each.name: each.address for each in deployed}
        chain = attach(endpoint, key, journal, addresses["Settlement"])
        made = OnChain(rpc, folder, chain, other, token, deployed)
        made.send(token.functions.transfer(other.address, _SUPPLY // 2), key)
        yield made


def _journal(folder: Path, key: Signer) -> FolderJournal:
    found = folder / key.address.lower()
    make_folder(found)
    return FolderJournal(found)
