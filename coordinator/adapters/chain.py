"""The coordinator's door to the chain: it deploys, opens, funds, bonds and commits, each once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coordinator.config import SettlementSettings
from coordinator.settling.settle import Statement, Terms, programme_of
from privacy.commitment import Commit
from privacy.errors import IllegalEvent, WrongContext
from privacy.failpoints import Step
from privacy.payouts import Domain
from veilsum.chain.compiled import load
from veilsum.chain.deployment import deploy_all
from veilsum.chain.endpoint import (
    Call,
    Contract,
    Endpoint,
    Receipt,
    checksummed,
    reach,
    signer_of,
)
from veilsum.chain.journal import FolderJournal, Journal
from veilsum.chain.signing import Signer
from veilsum.files import make_folder

UNKNOWN: Final = "unknown"
"""Stands for a transaction that made a commit and that this journal does not know."""


@dataclass(frozen=True, slots=True)
class Stands:
    """What the contract keeps of a round: its commit's hash and payouts, and when it matures."""

    commit: bytes
    payouts: bytes
    total: int
    matures_at: int


@dataclass(frozen=True, slots=True)
class SettlementChain:
    """The settlement contract, and its vault, as the holder of `key` uses them."""

    endpoint: Endpoint
    key: Signer
    journal: Journal
    contract: Contract
    vault: Contract

    def domain(self, programme: str) -> Domain:
        """Return where the payouts of `programme` count."""
        address = str(self.contract.address).lower()
        return Domain(chain_id=self.endpoint.chain_id, contract=address, programme=programme)

    def open(self, terms: Terms) -> str:
        """Open the programme with `terms`, unless it is open, and return its identifier.

        Raises:
            IllegalEvent: the contract refuses these terms.
            ChainUnavailable: the endpoint does not answer; run this again.
        """
        programme = programme_of(terms)
        if not self._is_open(programme):
            self._send(f"open-{programme}", self.contract.functions.open(_terms(terms)))
        return programme

    def fund(self, programme: str, amount: int) -> int:
        """Fill the escrow up to `amount` from this key's tokens and return what it holds.

        Raises:
            IllegalEvent: the token or the contract refuses.
            ChainUnavailable: the endpoint does not answer; run this again.
        """
        missing = amount - self._funded(programme)
        if missing > 0:
            self._approve(f"approve-{programme}-{amount}", programme, self.contract, missing)
            call = self.contract.functions.fund(bytes.fromhex(programme), missing)
            self._send(f"fund-{programme}-{amount}", call)
        return self._funded(programme)

    def bond(self, programme: str, amount: int) -> int:
        """Fill this key's bond up to `amount` from its tokens and return what it is.

        Raises:
            IllegalEvent: the token or the vault refuses.
            ChainUnavailable: the endpoint does not answer; run this again.
        """
        missing = amount - self._bonded(programme)
        if missing > 0:
            self._approve(f"allow-{programme}-{amount}", programme, self.vault, missing)
            call = self.vault.functions.bond(bytes.fromhex(programme), missing)
            self._send(f"bond-{programme}-{amount}", call)
        return self._bonded(programme)

    def commit(self, made: Statement) -> str:
        """Make it the programme's newest commit, unless it is one, and return its transaction.

        Raises:
            IllegalEvent: the newest commit is neither this one nor the one before it, the
                programme is halted, or the contract refuses.
            ChainUnavailable: the endpoint does not answer, or the transaction is not
                mined yet; run this again.
        """
        digest = made.commit.digest()
        purpose = f"commit-{made.commit.programme}-{digest.hex()}"
        if self.stands(made.commit.programme, made.commit.round).commit == digest:
            receipt = self.endpoint.recall(self.journal, purpose)
            return receipt.transaction if receipt else UNKNOWN
        self._require_next(made.commit)
        return self._send(purpose, self.contract.functions.commit(_commit(made.commit))).transaction

    def is_final(self, made: Statement) -> bool:
        """Return whether it is a commit of the programme for good, on every endpoint.

        What was sent and is not final yet is looked after meanwhile.

        Raises:
            EndpointsDiffer: two endpoints give different answers.
            ChainUnavailable: one does not answer.
        """
        self.endpoint.tend(self.key, self.journal)
        programme = bytes.fromhex(made.commit.programme)
        call = self.contract.functions.roundOf(programme, made.commit.round)
        return bytes(self.endpoint.read_final(call)[0]) == made.commit.digest()

    def stands(self, programme: str, number: int) -> Stands:
        """Return what the contract keeps of a round; zeros where it has none.

        Raises:
            ChainUnavailable: the endpoint does not answer.
        """
        call = self.contract.functions.roundOf(bytes.fromhex(programme), number)
        commit, payouts, total, matures_at, _ = self.endpoint.read(call)
        return Stands(bytes(commit), bytes(payouts), total, matures_at)

    def _require_next(self, commit: Commit) -> None:
        head = self.contract.functions.headOf(bytes.fromhex(commit.programme))
        number, newest, total = self.endpoint.read(head)
        if bytes(newest).hex() != commit.parent:
            raise IllegalEvent(
                f"the chain stands at round {number}, commit {bytes(newest).hex()[:16]}…, total "
                f"{total}: round {commit.round} follows another; the operator must find who else "
                "commits with this key"
            )

    def _approve(self, purpose: str, programme: str, spender: Contract, amount: int) -> None:
        self._send(purpose, self._token(programme).functions.approve(spender.address, amount))

    def _funded(self, programme: str) -> int:
        state = self.endpoint.read(self.contract.functions.stateOf(bytes.fromhex(programme)))
        return int(state[0])

    def _bonded(self, programme: str) -> int:
        call = self.vault.functions.bondOf(bytes.fromhex(programme), self.key.address)
        return int(self.endpoint.read(call))

    def _is_open(self, programme: str) -> bool:
        return int(self._terms_of(programme)[1], 16) != 0

    def _token(self, programme: str) -> Contract:
        if not self._is_open(programme):
            raise WrongContext(f"programme {programme[:16]}… is not open on this contract")
        return self.endpoint.at(load("DemoToken"), self._terms_of(programme)[0])

    def _terms_of(self, programme: str) -> tuple[str, str]:
        terms = self.endpoint.read(self.contract.functions.termsOf(bytes.fromhex(programme)))
        return terms[0], terms[1]

    def _send(self, purpose: str, call: Call) -> Receipt:
        return self.endpoint.send(self.key, self.journal, purpose, call)


def deploy(endpoint: Endpoint, key: Signer, journal: Journal) -> SettlementChain:
    """Deploy the settlement contract and what it needs, once for each journal, and return it.

    Raises:
        ChainUnavailable: the endpoint does not answer; run this again.
    """
    made = {each.name: each.address for each in deploy_all(endpoint, key, journal)}
    return attach(endpoint, key, journal, made["Settlement"])


def attach(endpoint: Endpoint, key: Signer, journal: Journal, address: str) -> SettlementChain:
    """Return the settlement contract that was deployed at `address`.

    Raises:
        WrongContext: the code there is not that of this version's contract.
        ChainUnavailable: the endpoint does not answer.
    """
    contract = endpoint.deployed("Settlement", address)
    vault = endpoint.deployed("StakeVault", str(endpoint.read(contract.functions.vault())))
    return SettlementChain(endpoint, key, journal, contract, vault)


def attach_by(settings: SettlementSettings, journal: Path, step: Step) -> SettlementChain:
    """Return the contract that settings name, with the key and endpoints that they name.

    Args:
        journal: folder of what was signed; made where it is not there.

    Raises:
        WrongContext: as for `attach`.
        ChainUnavailable, EndpointsDiffer: an endpoint does not answer, or they differ.
        InsecureKeyFile, ConfigError: the key cannot be had.
    """
    # The key first: one that cannot be had is said whatever the chain does.
    key, endpoint = signer_of(settings), reach(settings, step=step)
    make_folder(journal)
    return attach(endpoint, key, FolderJournal(journal), settings.contract)


def _terms(terms: Terms) -> tuple[object, ...]:
    """Return terms in the order of the contract's struct."""
    return (
        checksummed(terms.token),
        checksummed(terms.coordinator),
        checksummed(terms.funder),
        checksummed(terms.guardian),
        [checksummed(judge) for judge in terms.judges],
        terms.judges_quorum,
        terms.end,
        terms.window,
        terms.response,
        terms.bond,
        terms.demand_bond,
        terms.arithmetic,
        terms.leaves_per_chunk,
        terms.last_chunk_leaves,
        terms.label,
    )


def _commit(commit: Commit) -> tuple[object, ...]:
    """Return a commit in the order of the contract's struct."""
    roots = (commit.plan, commit.cohort, commit.sum_trees, commit.sum, commit.model, commit.payouts)
    return (
        bytes.fromhex(commit.programme),
        commit.round,
        bytes.fromhex(commit.parent),
        commit.slots,
        *map(bytes.fromhex, roots),
        *map(int, (commit.total, commit.budget, commit.scores)),
    )
