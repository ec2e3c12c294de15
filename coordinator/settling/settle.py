"""Settle, purely: what the contract is told of a programme; `settlement.py` sends it."""

from collections.abc import Mapping
from dataclasses import dataclass

from privacy.errors import UnsafeParameters
from privacy.payouts import (
    WORD,
    Domain,
    Entitlement,
    address_word,
    amounts_by_participation,
    keccak256,
    leaf,
    parse_address,
    tree,
)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a programme is; the contract names it by the hash of these.

    Attributes:
        token: address of the escrow's ERC-20 token.
        coordinator: address of the only key that may commit.
        funder: address that gets back, after the end, what was never committed.
        end: Unix time; commits and funding stop there.
        label: 32 bytes that tell programmes of otherwise equal terms apart.
    """

    token: str
    coordinator: str
    funder: str
    end: int
    label: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """The newest commit of a programme: round and root (32 bytes), zero if none; total."""

    round: int
    root: bytes
    total: int


@dataclass(frozen=True, slots=True)
class Statement:
    """One commit, and what each payee is handed so that it can claim."""

    domain: Domain
    parent: bytes
    head: Head
    entitlements: tuple[Entitlement, ...]


def programme_of(terms: Terms) -> str:
    """Return the identifier of the programme with `terms`: 64 hexadecimal digits."""
    addresses = (terms.token, terms.coordinator, terms.funder)
    words = [address_word(address) for address in addresses]
    return keccak256(b"".join([*words, terms.end.to_bytes(WORD, "big"), terms.label])).hex()


def earned(
    before: Mapping[str, int], budget: int, rounds: Mapping[str, int], payees: Mapping[str, str]
) -> dict[str, int]:
    """Return what each payee earned from the programme's beginning, by address.

    Args:
        before: the same, as of the last commit.
        budget: token units for the rounds since then, divided by participation.
        rounds: how many of these rounds each participant took part in.
        payees: the address of each participant; two may share one.
    """
    amounts = {parse_address(payee): amount for payee, amount in before.items()}
    for participant, amount in amounts_by_participation(budget, rounds).items():
        payee = parse_address(payees[participant])
        amounts[payee] = amounts.get(payee, 0) + amount
    return {payee: amount for payee, amount in sorted(amounts.items()) if amount > 0}


def statement(
    domain: Domain,
    parent: Head,
    round_number: int,
    amounts: Mapping[str, int],
    salts: Mapping[str, bytes],
) -> Statement:
    """Return the commit of `amounts`, as of `round_number`, after `parent`.

    Args:
        amounts: what each payee earned from the programme's beginning, by address.
        salts: 32 random bytes for each payee, never used before.

    Raises:
        UnsafeParameters: the round does not follow, the total falls, or salts repeat.
    """
    total = sum(amounts.values())
    if round_number <= parent.round or total < parent.total:
        raise UnsafeParameters(
            f"round {round_number} with a total of {total} cannot follow round {parent.round} "
            f"with {parent.total}"
        )
    if len({salts[payee] for payee in amounts}) != len(amounts):
        raise UnsafeParameters("two payouts share a salt; each needs its own 32 random bytes")
    leaves = {payee: leaf(domain, payee, amounts[payee], salts[payee]) for payee in amounts}
    payouts = tree(tuple(leaves.values()))
    entitlements = tuple(
        Entitlement(
            domain=domain,
            round=round_number,
            payee=parse_address(payee),
            cumulative=str(amount),
            salt=salts[payee].hex(),
            proof=tuple(sibling.hex() for sibling in payouts.proof(leaves[payee])),
        )
        for payee, amount in amounts.items()
    )
    return Statement(domain, parent.root, Head(round_number, payouts.root, total), entitlements)
