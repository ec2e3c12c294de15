"""Demand a node that a coordinator does not show, and have it slashed if it stays silent."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from privacy.errors import ConfigError, IllegalEvent, MalformedMessage, NotYet, WrongContext
from privacy.settlement.commitment import Commit
from privacy.settlement.sum_proof import Hashes, Node, Opening, Tree
from veilsum.chain.called import called_with, struct_in
from veilsum.chain.endpoint import Endpoint, checksummed
from veilsum.chain.journal import Journal
from veilsum.chain.logs import Logged, block_at, logged
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

_OPENING: Final = ["uint32", "bytes32[]", "bytes"]


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
        ended = {each.transaction for each in _events(programme, number, "Expired", demand=demand)}
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
            answer = next(_openings(programme, number, demand), None)
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


def answers_of(programme: Programme, commit: Commit) -> dict[Node, Hashes]:
    """Return what was answered to demands of a round: the steps of each node's opening.

    Of answers that were sent to the contract itself. Each is held against the commit again, by the
    contract's own verifier: an endpoint cannot make one up.

    Raises:
        ChainUnavailable: the endpoint does not answer.
    """
    found, context = dict[Node, Hashes](), context_of(programme, commit, bytes(32))
    for event in _events(programme, commit.round, "Demanded"):
        demand, node = bytes(event.arguments["demand"]), tuple(event.arguments["node"].values())
        for opening in _openings(programme, commit.round, demand):
            call = programme.verifier.functions.opens(context, node, opening.encode())
            with suppress(IllegalEvent):  # what it cannot read opens nothing
                if programme.endpoint.read(call):
                    found[Node(Tree(node[0]), *node[1:])] = opening.steps
    return found


def _asked(programme: Programme, demand: bytes) -> _Asked:
    call = programme.settlement.functions.demandAt(demand)
    return _Asked(*programme.endpoint.read(call))


def _how_it_closed(programme: Programme, number: int, demand: bytes) -> str:
    for name, state in (("Answered", ANSWERED), ("Expired", EXPIRED)):
        if _events(programme, number, name, demand=demand):
            return state
    return CLOSED


def _openings(programme: Programme, number: int, demand: bytes) -> Iterator[Opening]:
    """Yield what answered a demand, as far as it can be read: none, or one unless somebody lies."""
    for event in _events(programme, number, "Answered", demand=demand):
        with suppress(MalformedMessage):  # it stays an answer, whose content nobody can read
            sent = (programme.endpoint, programme.settlement, "answer", event.transaction)
            _, _, opening = called_with(*sent)
            slot_id, steps, arithmetic = struct_in(_OPENING, opening)
            yield Opening(tuple(steps), arithmetic, slot_id)


def _events(programme: Programme, number: int, name: str, **wanted: object) -> tuple[Logged, ...]:
    """Return the events of a round since it was committed, as any endpoint tells them."""
    first = _committed_at(programme, number)
    filters = {"programme": programme.word, "round": number, **wanted}
    return logged(programme.endpoint, programme.settlement, name, filters, first).events


def _committed_at(programme: Programme, number: int) -> int:
    """Return the block of a round's commit; of a round that there is not, the newest."""
    round_ = programme.round(number)
    if round_ is None:
        return programme.height()
    return block_at(programme.endpoint, round_.matures_at - programme.terms().window)
