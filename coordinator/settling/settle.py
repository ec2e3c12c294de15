"""Settle, purely: what the contract is told of each round; `settlement.py` sends it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from privacy.contribution.scores import earned
from privacy.errors import ConfigError, UnsafeParameters, WrongContext
from privacy.settlement import abi
from privacy.settlement.commitment import (
    NO_COMMIT,
    Cohort,
    Commit,
)
from privacy.settlement.payouts import (
    Domain,
    Entitlement,
    address_word,
    keccak256,
    parse_address,
    tree,
)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a programme is; the contract names it by the hash of these.

    Attributes:
        token: address of the ERC-20 token of escrow and bonds.
        coordinator: address of the only key that may commit, and whose bond answers for it.
        funder: address that gets back, after the end or a halt, what no round committed.
        guardian: address that may pause commits; zero for none.
        judges: addresses whose verdicts count, strictly rising; `judges_quorum` make one.
        end: Unix time; commits and funding stop there.
        window: seconds from a commit to its maturity, more than twice `response`.
        response: seconds that the coordinator has to answer a demand.
        bond: what the coordinator must have bonded to commit, in the token's smallest unit.
        demand_bond: what a demand costs whoever is answered.
        arithmetic: SHA-256 of the arithmetic part of the plans, 32 bytes.
        leaves_per_chunk, last_chunk_leaves: leaves of a contribution's chunks.
        label: 32 bytes that tell programmes of otherwise equal terms apart.
    """

    token: str
    coordinator: str
    funder: str
    end: int
    window: int
    response: int
    bond: int
    demand_bond: int
    arithmetic: bytes
    leaves_per_chunk: int
    last_chunk_leaves: int
    label: bytes
    guardian: str = "0x" + "00" * 20
    judges: tuple[str, ...] = ()
    judges_quorum: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """What a round has come to, as its commit names it.

    Attributes:
        plan, sum, model: digests and root of the round's records, 64 hexadecimal digits.
        cohort: its contributions, by slot.
        sum_trees: root over the trees of partial sums, 32 bytes; zeros under `shares`.
    """

    number: int
    plan: str
    sum: str
    model: str
    cohort: Cohort
    sum_trees: bytes


@dataclass(frozen=True, slots=True)
class Statement:
    """One commit, and what each payee is handed so that it can claim."""

    commit: Commit
    entitlements: tuple[Entitlement, ...]

    def amounts(self) -> dict[str, int]:
        """Return what each payee has earned from the programme's beginning, by address."""
        return {each.payee: each.amount() for each in self.entitlements}


@dataclass(frozen=True, slots=True)
class Salts:
    """The 32 random bytes of a payee's leaf, and those of the score under it."""

    leaf: bytes = field(repr=False)
    entry: bytes = field(repr=False)


def programme_of(terms: Terms) -> str:
    """Return the identifier of the programme with `terms`: 64 hexadecimal digits."""
    parties = (terms.token, terms.coordinator, terms.funder, terms.guardian)
    numbers = (terms.judges_quorum, terms.end, terms.window, terms.response)
    leaves = (terms.leaves_per_chunk, terms.last_chunk_leaves)
    encoded = abi.struct(
        *map(address_word, parties),
        abi.array([address_word(judge) for judge in terms.judges]),
        *map(abi.uint, (*numbers, terms.bond, terms.demand_bond)),
        terms.arithmetic,
        *map(abi.uint, leaves),
        terms.label,
    )
    return keccak256(abi.encode(encoded)).hex()


def budget_of(escrow: int, wanted: int, position: int) -> int:
    """Return what a round divides: equal parts of the escrow, to the last unit.

    Args:
        wanted: rounds that the programme is for.
        position: which of them it is, from 0.
    """
    return escrow * (position + 1) // wanted - escrow * position // wanted


def require_distinct(payees: Mapping[str, str]) -> None:
    """Return if no two sites are paid at one address, where the contract could not tell them.

    Raises:
        ConfigError: two are.
    """
    seen: dict[str, str] = {}
    for participant, address in payees.items():
        other = seen.setdefault(parse_address(address), participant)
        if other != participant:
            raise ConfigError(
                f"{other} and {participant} are paid at one address; one of them must name "
                "another before anything is settled"
            )


def statement(
    domain: Domain,
    before: Statement | None,
    result: Result,
    budget: int,
    weights: Mapping[str, int],
    salts: Mapping[str, Salts],
) -> Statement:
    """Return the commit of a round, and every payee's leaf under it.

    Args:
        before: the statement of the round before; None for the first.
        budget: what this round divides, in the token's smallest unit.
        weights: score of each payee in this round, by address, 0 for who took no part; whoever
            was a payee before is one still.
        salts: new ones for each payee, never used before.

    Raises:
        UnsafeParameters: no payee, one is left out who was one before, or salts repeat.
        WrongContext: the round does not follow.
    """
    amounts = before.amounts() if before else {}
    _require_follows(before, result.number)
    if not weights or not amounts.keys() <= weights.keys():
        raise UnsafeParameters("each payee of the round before is one of the next")
    if len(
        {each for payee in weights for each in (salts[payee].leaf, salts[payee].entry)}
    ) != 2 * len(weights):
        raise UnsafeParameters("two payouts share a salt; each needs its own 32 random bytes")
    leaves = _leaves(domain, result.number, amounts, earned(budget, weights), weights, salts)
    payouts = tree(tuple(each.leaf() for each in leaves))
    commit = Commit(
        programme=domain.programme,
        round=result.number,
        parent=before.commit.digest().hex() if before else NO_COMMIT,
        slots=len(result.cohort.slots),
        plan=result.plan,
        cohort=result.cohort.root().hex(),
        sum_trees=result.sum_trees.hex(),
        sum=result.sum,
        model=result.model,
        payouts=payouts.root.hex(),
        total=str(sum(each.amount() for each in leaves)),
        budget=str(budget),
        scores=str(sum(weights.values())),
    )
    paths = {each.payee: tuple(map(bytes.hex, payouts.proof(each.leaf()))) for each in leaves}
    return Statement(commit, tuple(replace(each, proof=paths[each.payee]) for each in leaves))


def payouts_root(entitlements: Sequence[Entitlement]) -> bytes:
    """Return the root over the leaves of a round's payouts: 32 bytes."""
    return tree(tuple(each.leaf() for each in entitlements)).root


def _leaves(
    domain: Domain,
    number: int,
    before: Mapping[str, int],
    parts: Mapping[str, int],
    weights: Mapping[str, int],
    salts: Mapping[str, Salts],
) -> list[Entitlement]:
    """Return each payee's leaf, without its path, in the order of their addresses."""
    return [
        Entitlement(
            domain=domain,
            round=number,
            payee=parse_address(payee),
            cumulative=str(before.get(payee, 0) + parts[payee]),
            salt=salts[payee].leaf.hex(),
            score=str(weights[payee]),
            earned=str(parts[payee]),
            entry_salt=salts[payee].entry.hex(),
            proof=(),
        )
        for payee in sorted(weights)
    ]


def _require_follows(before: Statement | None, number: int) -> None:
    newest = before.commit.round if before else 0
    if number <= newest:
        raise WrongContext(f"round {number} cannot follow round {newest}")
