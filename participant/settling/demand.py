"""Demand a node that a coordinator does not show, and have it slashed if it stays silent."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from privacy.errors import ConfigError, NotYet, WrongContext
from privacy.settlement.commitment import Commit
from privacy.settlement.payouts import Domain
from privacy.settlement.sum_proof import Node, Opening, Tree
from privacy.settlement.sum_verdict import Context, opens
from veilsum.chain.endpoint import Endpoint, checksummed
from veilsum.chain.journal import Journal
from veilsum.chain.logs import Logged, earliest_block_at, logged
from veilsum.chain.signing import Signer

from .challenge import context_of, disputable, fields
from .collect import collect
from .programme import Programme, programme_at
from .stake import Staking

OPEN: Final = "open"
ANSWERED: Final = "answered"
EXPIRED: Final = "expired"
CLOSED: Final = "closed"
"""Answered or expired: of which no endpoint tells."""


class Demanded(msgspec.Struct, frozen=True):
    """How a demand stands; amounts in token units, gas by transaction that was sent now or before.

    Attributes:
        demand: its identifier on the chain, hexadecimal.
        state: `open`, `answered` or `expired`; `closed` if no endpoint tells which of the two.
        deadline: Unix time until which the coordinator may answer.
        bond: what the demand holds; the coordinator's once it has answered, else it comes back.
        slot_id, steps: the answer, where the endpoint still has it; hashes in hexadecimal.
    """

    round: int
    demand: str
    state: str
    demander: str
    deadline: int
    bond: str
    gas: dict[str, int]
    slot_id: int | None = None
    steps: tuple[str, ...] = ()


class Expired(msgspec.Struct, frozen=True):
    """What came of a demand that nobody answered: token units, and gas by transaction.

    Attributes:
        slashed: what the coordinator lost; half of it, `rewarded`, is the demander's.
        collected: what the vault has paid out to this key: reward and bond, where it demanded.
        gas: of what this key has sent.
    """

    round: int
    demand: str
    slashed: str
    rewarded: str
    burned: str
    collected: str
    gas: dict[str, int]


@dataclass(frozen=True)
class Demander:
    """Whoever is not shown a node, with a key that has the demand's bond, and some ether."""

    endpoint: Endpoint
    key: Signer
    journal: Journal
    contract: str

    def demand(self, commit: Commit, node: Node, arithmetic: bytes) -> Demanded:
        """Demand a node of a round's commit, once, and return how that demand stands.

        Args:
            arithmetic: the arithmetic part of the programme's plans; empty for the cohort's tree.

        Raises:
            WrongContext: the chain has another commit, there is no such node in it, the round is
                void or has matured, or too little of its window is left for an answer.
            IllegalEvent: the contract or the token refuses: the key has too few tokens.
            ChainUnavailable: no answer, or not mined in time; run this again.
        """
        programme = programme_at(self.endpoint, self.contract, commit.programme)
        demand = demand_of(programme, commit.round, node)
        if not _asked(programme, demand).deadline:
            self._require_possible(programme, commit, node, arithmetic)
            staking = Staking(programme, self.key, self.journal)
            staking.allow(programme.terms().demand_bond)
            call = programme.settlement.functions.demand(fields(commit), node_of(node), arithmetic)
            self.endpoint.send(self.key, self.journal, f"demand-{demand.hex()}", call)
        return self._standing(programme, commit.round, demand)

    def expire(self, programme: Programme, number: int, node: Node) -> Expired:
        """Have a coordinator slashed for a demand that it has not answered in time.

        Where somebody else has done so for this key's demand, what that has brought is collected.

        Raises:
            WrongContext: nobody has demanded that node, or it was answered.
            NotYet: the coordinator may still answer; the message says until when.
            ChainUnavailable: no answer, or not mined in time; run this again.
        """
        demand = demand_of(programme, number, node)
        purpose = f"expire-{demand.hex()}"
        done = self.endpoint.recall(self.journal, purpose)
        if done is None and not self._was_expired(programme, number, demand):
            self._require_expired(programme, number, demand)
            call = programme.settlement.functions.expire(programme.word, number, node_of(node))
            done = self.endpoint.send(self.key, self.journal, purpose, call)
        slashed = (
            self._slashed_by_another(programme, number, demand)
            if done is None
            else self.endpoint.events(programme.vault, "Slashed", done)
        )
        paid = collect(programme, self.key, self.journal, f"collect-{purpose}")
        rewarded, burned = (sum(each[name] for each in slashed) for name in ("rewarded", "burned"))
        collecting = {} if paid.gas is None else {"collect": paid.gas}
        expiring = {} if done is None else {"expire": done.gas}
        return Expired(
            round=number,
            demand=demand.hex(),
            slashed=str(rewarded + burned),
            rewarded=str(rewarded),
            burned=str(burned),
            collected=str(paid.amount),
            gas={**collecting, **expiring},
        )

    def _require_possible(
        self, programme: Programme, commit: Commit, node: Node, arithmetic: bytes
    ) -> None:
        round_, terms = disputable(programme, commit), programme.terms()
        latest = round_.matures_at - 2 * terms.response
        if programme.time() >= latest:
            raise WrongContext(
                f"round {commit.round} matures at Unix time {round_.matures_at}: a demand after "
                f"{latest} leaves no time for an answer and for what follows from it"
            )
        context = context_of(programme, commit, bytes(32))
        exists = programme.verifier.functions.exists(context, node_of(node), arithmetic)
        if not self.endpoint.read(exists):
            raise WrongContext(
                f"{node} is no node of round {commit.round}'s commit; nothing was sent. Look at "
                "the numbers again; under shares the cohort's tree alone can be demanded"
            )

    def _was_expired(self, programme: Programme, number: int, demand: bytes) -> bool:
        """Return whether somebody has ended a demand of this key, which its credit comes of."""
        asked = _asked(programme, demand)
        mine = asked.closed and asked.demander.lower() == self.key.address.lower()
        return mine and _how_it_closed(programme, number, demand) == EXPIRED

    def _slashed_by_another(
        self, programme: Programme, number: int, demand: bytes
    ) -> list[Mapping[str, Any]]:
        """Return the slashings in the transaction that has ended a demand of this key."""
        ended = {each.transaction for each in _of_demand(programme, number, "Expired", demand)}
        filters = {"programme": programme.word, "to": checksummed(self.key.address)}
        first = _committed_at(programme, number)
        found = logged(self.endpoint, programme.vault, "Slashed", filters, first).events
        return [each.arguments for each in found if each.transaction in ended]

    def _require_expired(self, programme: Programme, number: int, demand: bytes) -> None:
        asked = _asked(programme, demand)
        if not asked.deadline:
            raise WrongContext(f"nobody has demanded that node of round {number}; demand it first")
        if asked.closed:
            state = self._standing(programme, number, demand).state
            raise WrongContext(f"that demand of round {number} is {state}; nothing is left to do")
        if programme.time() < asked.deadline:
            raise NotYet(
                f"the coordinator may answer until Unix time {asked.deadline}; run this again then"
            )

    def _standing(self, programme: Programme, number: int, demand: bytes) -> Demanded:
        asked, gas = _asked(programme, demand), dict[str, int]()
        sent = self.endpoint.recall(self.journal, f"demand-{demand.hex()}")
        if sent is not None:
            gas["demand"] = sent.gas
        state, answer = OPEN, None
        if asked.closed:
            answered = _of_demand(programme, number, "Answered", demand)
            answer = next(map(_opening, answered), None)
            state = _how_it_closed(programme, number, demand)
        return Demanded(
            round=number,
            demand=demand.hex(),
            state=state,
            demander=asked.demander.lower(),
            deadline=asked.deadline,
            bond=str(programme.terms().demand_bond),
            gas=gas,
            slot_id=answer.slot_id if answer else None,
            steps=tuple(each.hex() for each in answer.steps) if answer else (),
        )


@dataclass(frozen=True, slots=True)
class _Asked:
    demander: str
    deadline: int
    closed: bool


def node_of(node: Node) -> tuple[int, ...]:
    """Return a node in the contract's order."""
    return (int(node.tree), node.chunk, node.leaf, node.level, node.index)


def tree_named(name: str) -> Tree:
    """Return the tree of that name.

    Raises:
        ConfigError: there is none.
    """
    try:
        return Tree[name.upper()]
    except KeyError:
        trees = ", ".join(each.name.lower() for each in Tree)
        raise ConfigError(f"--tree {name[:40]}: there is no such tree; one of {trees}") from None


def demand_of(programme: Programme, number: int, node: Node) -> bytes:
    """Return what identifies a demand on the chain: 32 bytes."""
    call = programme.settlement.functions.demandOf(programme.word, number, node_of(node))
    return bytes(programme.endpoint.read(call))


def answers_of(programme: Programme, commit: Commit, arithmetic: bytes) -> dict[Node, Opening]:
    """Return what was answered to demands of a round, by node; without arithmetic.

    Whatever was called for it, the contract itself has logged them. Each is held against the commit
    again, here: no endpoint can make one up, or refuse one that another tells.

    Args:
        arithmetic: the arithmetic part of the programme's plans.

    Raises:
        ChainUnavailable: the endpoint does not answer.
    """
    first = _committed_at(programme, commit.round)
    demanded: dict[bytes, set[Node]] = {}  # each but one of them is made up
    for each in _events(programme, commit.round, first, "Demanded"):
        tree, *place = each.arguments["node"].values()
        if tree in set(Tree):
            node = Node(Tree(tree), *place)
            demanded.setdefault(bytes(each.arguments["demand"]), set()).add(node)
    found, context = dict[Node, Opening](), _context(programme, commit)
    for each in _events(programme, commit.round, first, "Answered"):
        opening = _opening(each)
        for node in demanded.get(bytes(each.arguments["demand"]), ()):
            if opens(context, node, replace(opening, arithmetic=arithmetic)):
                found[node] = opening
    return found


def _context(programme: Programme, commit: Commit) -> Context:
    """Return what a node is looked for under; nothing of it is needed for receipts or payouts."""
    terms = programme.terms()
    contract = programme.settlement.address.lower()
    return Context(
        domain=Domain(programme.endpoint.chain_id, contract, programme.word.hex()),
        coordinator=terms.coordinator,
        arithmetic=terms.arithmetic,
        leaves_per_chunk=terms.leaves_per_chunk,
        last_chunk_leaves=terms.last_chunk_leaves,
        payouts_before=bytes(32),
        commit=commit,
        signer_of=lambda *_: None,
    )


def _asked(programme: Programme, demand: bytes) -> _Asked:
    call = programme.settlement.functions.demandAt(demand)
    return _Asked(*programme.endpoint.read(call))


def _how_it_closed(programme: Programme, number: int, demand: bytes) -> str:
    for name, state in (("Answered", ANSWERED), ("Expired", EXPIRED)):
        if _of_demand(programme, number, name, demand):
            return state
    return CLOSED


def _opening(answered: Logged) -> Opening:
    said = answered.arguments
    return Opening(tuple(said["steps"]), b"", said["slotId"])


def _of_demand(programme: Programme, number: int, name: str, demand: bytes) -> tuple[Logged, ...]:
    """Return the events of one demand."""
    first = _committed_at(programme, number)
    return _events(programme, number, first, name, demand=demand)


def _events(
    programme: Programme, number: int, first: int, name: str, **wanted: object
) -> tuple[Logged, ...]:
    """Return the events of a round from a block on, as any endpoint tells them."""
    filters = {"programme": programme.word, "round": number, **wanted}
    return logged(programme.endpoint, programme.settlement, name, filters, first).events


def _committed_at(programme: Programme, number: int) -> int:
    """Return the block of a round's commit; of a round that there is not, the newest."""
    round_ = programme.round(number)
    if round_ is None:
        return programme.height()
    return earliest_block_at(programme.endpoint, round_.matures_at - programme.terms().window)
