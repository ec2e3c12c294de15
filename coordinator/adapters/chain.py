"""The coordinator's door to the chain: it deploys, opens, funds, bonds and commits, each once."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from coordinator.config import SettlementSettings
from coordinator.settling.disputes import Asked, Demand, Demands
from coordinator.settling.settle import Statement, Terms, programme_of
from coordinator.settling.shape import Shape
from coordinator.settling.unknown import OnChain
from privacy.errors import ChainUnavailable, ConfigError, IllegalEvent, WrongContext
from privacy.failpoints import Step
from privacy.settlement.commitment import Commit
from privacy.settlement.payouts import Domain
from privacy.settlement.sum_proof import Node, Opening, Tree
from veilsum.chain.compiled import load
from veilsum.chain.deployment import deploy_all
from veilsum.chain.endpoint import (
    Call,
    Contract,
    Endpoint,
    Receipt,
    checksummed,
    reach,
    translated,
)
from veilsum.chain.journal import FolderJournal, Journal
from veilsum.chain.logs import Logged, earliest_block_at, logged
from veilsum.chain.signing import Signer
from veilsum.files import make_folder

log = structlog.get_logger()

_RUNNING: Final = (1 << 64) - 1
"""Where the contract names the first void round: there is none."""

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

    def is_over(self, programme: str) -> bool:
        """Return whether a programme's end has passed, as of the newest final block.

        Raises:
            EndpointsDiffer: two endpoints have different ones.
            ChainUnavailable: one does not answer.
        """
        call = self.contract.functions.termsOf(bytes.fromhex(programme))
        end, number = int(self.endpoint.read_final(call)[6]), self.endpoint.final_block().number
        with translated():
            # Of each: nothing is committed any more after that, on no single endpoint's word.
            blocks = [web3.eth.get_block(number) for web3 in self.endpoint.finality.each]
            return min(int(each["timestamp"]) for each in blocks) >= end

    def stands(self, programme: str, number: int) -> Stands:
        """Return what the contract keeps of a round; zeros where it has none.

        Raises:
            ChainUnavailable: the endpoint does not answer.
        """
        call = self.contract.functions.roundOf(bytes.fromhex(programme), number)
        commit, payouts, total, matures_at, _ = self.endpoint.read(call)
        return Stands(bytes(commit), bytes(payouts), total, matures_at)

    def newest(self, programme: str) -> Iterator[OnChain]:
        """Yield a programme's rounds that are not void, the newest first, as the endpoint says.

        Raises:
            ChainUnavailable: the endpoint does not answer.
        """
        head = self.contract.functions.headOf(bytes.fromhex(programme))
        number = int(self.endpoint.read(head)[0])
        while number:
            call = self.contract.functions.roundOf(bytes.fromhex(programme), number)
            commit, _, _, matures_at, before = self.endpoint.read(call)
            yield OnChain(number, bytes(commit), int(matures_at))
            number = int(before)

    # -- disputes ----------------------------------------------------------------------

    def response_seconds(self, programme: str) -> int:
        """Return how long this coordinator has to answer a demand.

        Raises:
            ChainUnavailable: the endpoint does not answer.
        """
        return self._times_of(programme)[1]

    def first_block(self, programme: str, number: int) -> int:
        """Return the block in which a round was committed, or an earlier one.

        Raises:
            ChainUnavailable, EndpointsDiffer: an endpoint does not answer, or they differ.
        """
        call = self.contract.functions.roundOf(bytes.fromhex(programme), number)
        matures_at = int(self.endpoint.read_final(call)[3])
        if not matures_at:  # not final: a fork may move it
            return self.endpoint.final_block().number
        window, _ = self._times_of(programme)
        return earliest_block_at(self.endpoint, matures_at - window)

    def told_block(self, programme: str, number: int) -> int:
        """Return what `first_block` does as it stands now: the earliest that any endpoint tells.

        Raises:
            ChainUnavailable: no endpoint answers, or knows the round.
        """
        call = self.contract.functions.roundOf(bytes.fromhex(programme), number)
        told = [int(said[3]) for said in self.endpoint.read_each(call) if said[3]]
        if not told:
            raise ChainUnavailable(f"no endpoint knows round {number}; this is tried again")
        window, _ = self._times_of(programme)
        return earliest_block_at(self.endpoint, min(told) - window)

    def demands(self, programme: str, first: int) -> Demands:
        """Return the demands from block `first` on, as any endpoint tells them.

        Raises:
            ChainUnavailable: no endpoint answers.
        """
        where = {"programme": bytes.fromhex(programme)}
        found = logged(self.endpoint, self.contract, "Demanded", where, first)
        read = [each for event in found.events if (each := _demand(event)) is not None]
        demands = {each.id: each for each in read}
        return Demands(tuple(demands.values()), found.until)

    def asked(self, demand: bytes) -> Asked:
        """Return how a demand stands in the newest block, which may yet be undone.

        Raises:
            ChainUnavailable: the endpoint does not answer.
        """
        _, deadline, closed = self.endpoint.read(self.contract.functions.demandAt(demand))
        return Asked(deadline, closed)

    def asked_for_good(self, demand: bytes) -> Asked:
        """Return how a demand stands in the newest final block, on every endpoint.

        Raises:
            EndpointsDiffer: two endpoints give different answers.
            ChainUnavailable: one does not answer.
        """
        _, deadline, closed = self.endpoint.read_final(self.contract.functions.demandAt(demand))
        return Asked(deadline, closed)

    def time(self) -> int:
        """Return the Unix time of the newest block.

        Raises:
            ChainUnavailable: the endpoint does not answer.
        """
        with translated():
            return int(self.endpoint.web3.eth.get_block("latest")["timestamp"])

    def final_block(self) -> tuple[int, int]:
        """Return the number and the Unix time of the newest final block.

        Raises:
            EndpointsDiffer: the endpoints have different ones.
            ChainUnavailable: one does not answer.
        """
        number = self.endpoint.final_block().number
        with translated():
            return number, int(self.endpoint.web3.eth.get_block(number)["timestamp"])

    def answer(self, demand: bytes, commit: Commit, node: Node, opening: Opening) -> None:
        """Have an answer to a demand sent, once, and do not wait until it is mined.

        Raises:
            IllegalEvent: the contract refuses.
            ChainUnavailable: the endpoint does not answer; run this again.
        """
        place = (node.tree, node.chunk, node.leaf, node.level, node.index)
        call = self.contract.functions.answer(_commit(commit), place, opening.encode())
        self.endpoint.post(self.key, self.journal, _answering(demand), call)

    def answered_by(self, demand: bytes) -> str:
        """Return the transaction by which this journal has answered; nothing if none is mined.

        Raises:
            ChainUnavailable: the endpoint does not answer.
        """
        try:
            receipt = self.endpoint.recall(self.journal, _answering(demand))
        except IllegalEvent:
            return ""
        return receipt.transaction if receipt else ""

    def void_from(self, programme: str) -> int | None:
        """Return the first round that is void for good, if any is.

        Raises:
            EndpointsDiffer: two endpoints give different answers.
            ChainUnavailable: one does not answer.
        """
        call = self.contract.functions.stateOf(bytes.fromhex(programme))
        void_from = int(self.endpoint.read_final(call)[4])
        return None if void_from == _RUNNING else void_from

    def is_settled(self, programme: str, number: int) -> bool:
        """Return whether a round has matured, and stands, as of the newest final block.

        Raises:
            EndpointsDiffer: two endpoints give different answers.
            ChainUnavailable: one does not answer.
        """
        call = self.contract.functions.isSettled(bytes.fromhex(programme), number)
        return bool(self.endpoint.read_final(call))

    def _times_of(self, programme: str) -> tuple[int, int]:
        """Return the window and the time for a response, in seconds."""
        terms = self.endpoint.read(self.contract.functions.termsOf(bytes.fromhex(programme)))
        return int(terms[7]), int(terms[8])

    # -- what each of these needs --------------------------------------------------------

    def require_terms(self, programme: str, shape: Shape) -> None:
        """Return if a programme takes this key's commits, and judges rounds of such a shape.

        Under another arithmetic an honest round would look malformed, and cost the bond.

        Raises:
            ConfigError: it does not.
            WrongContext: there is no such programme on this contract.
            ChainUnavailable: the endpoint does not answer.
        """
        self._token(programme)  # which says if it is not open
        terms = self.endpoint.read(self.contract.functions.termsOf(bytes.fromhex(programme)))
        if str(terms[1]).lower() != self.key.address.lower():
            raise ConfigError(
                f"settlement.programme: it takes commits from {str(terms[1]).lower()}, and the "
                f"key is {self.key.address.lower()}"
            )
        if Shape(bytes(terms[11]), terms[12], terms[13]) != shape:
            raise ConfigError(
                "settlement.programme: it pays for plans of another arithmetic than scheme and "
                "model make here; run: veilsum settle verify. Put them back, or open another "
                "programme for a new coordinator"
            )

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


def attach_by(
    settings: SettlementSettings, key: Callable[[], Signer], journal: Path, step: Step
) -> SettlementChain:
    """Return the contract that settings name, at the endpoints that they name.

    Args:
        key: tells who signs.
        journal: folder of what was signed; made where it is not there.

    Raises:
        WrongContext: as for `attach`.
        ChainUnavailable, EndpointsDiffer: an endpoint does not answer, or they differ.
        InsecureKeyFile, ConfigError: the key cannot be had.
    """
    # The key first: one that cannot be had is said whatever the chain does.
    signer, endpoint = key(), reach(settings, step=step)
    make_folder(journal)
    return attach(endpoint, signer, FolderJournal(journal), settings.contract)


def _answering(demand: bytes) -> str:
    return f"answer-{demand.hex()}"


def _demand(event: Logged) -> Demand | None:
    """Return the demand of an event, as an endpoint tells it; nothing if it cannot be read."""
    told = event.arguments
    try:
        name, place = bytes(told["demand"]), _node(told["node"])
        return Demand(name, int(told["round"]), place, int(told["deadline"]), event.block)
    except (TypeError, ValueError, LookupError) as error:
        # No contract of ours has logged that; what is real in other events is answered.
        reason = type(error).__name__
        log.error("demand_not_read", block=event.block, reason=reason, who_acts="operator")
        return None


def _node(told: Mapping[str, int]) -> Node:
    """Return a node as an event tells it."""
    place = (told[each] for each in ("chunk", "leaf", "level", "index"))
    return Node(Tree(told["tree"]), *place)


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
