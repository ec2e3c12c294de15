"""What a coordinator commits to for one round on a chain, and what is signed about it.

    commit   keccak-256 of the ABI encoding of its fields; each names the commit before it
    cohort   the tree of `merkle` over the slots, by rising slot id:
             SHA-256(0x04 || slot id u32 || root of the contribution)
    typed    what coordinator, seats and judges sign, by EIP-712

A slot id is the trainer's place among the roster's trainers, so that a chain learns no name. Under
`shares` the root of a contribution is that over its three components:
SHA-256(0x05 || root 0 || root 1 || root 2).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Annotated, Final

import msgspec

from privacy.errors import MalformedMessage, WrongContext
from privacy.merkle import inclusion_path, tree_root
from privacy.records import Entry

from . import abi
from .payouts import Amount, Domain, Word, keccak256
from .typed import TypedData, address, domain_struct, number, typed, word

SLOT_BYTE: Final = b"\x04"
COMPONENTS_BYTE: Final = b"\x05"
NO_COMMIT: Final = "00" * 32
"""What the first commit of a programme names as the one before it."""

_COMPONENTS: Final = 3
_DIGEST_BYTES: Final = 32
_SLOT_ID: Final = struct.Struct(">I")

Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]


class Commit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One round of one programme, as the contract has it.

    Attributes:
        parent: digest of the commit before, zeros for the first.
        slots: contributions in the cohort, one or more.
        plan, model: digests of our records.
        cohort, sum_trees, sum, payouts: roots.
        total: what all payouts amount to, from the programme's beginning.
        budget: what this round's scores divide.
        scores: sum of all scores of this round.
    """

    programme: Word
    round: Annotated[int, msgspec.Meta(ge=1, lt=1 << 53)]
    parent: Word
    slots: Count
    plan: Word
    cohort: Word
    sum_trees: Word
    sum: Word
    model: Word
    payouts: Word
    total: Amount
    budget: Amount
    scores: Amount

    def encode(self) -> bytes:
        """Return the ABI encoding: thirteen words."""
        roots = (self.plan, self.cohort, self.sum_trees, self.sum, self.model, self.payouts)
        amounts = (self.total, self.budget, self.scores)
        return b"".join(
            (
                bytes.fromhex(self.programme),
                abi.uint(self.round),
                bytes.fromhex(self.parent),
                abi.uint(self.slots),
                *map(bytes.fromhex, roots),
                *(abi.uint(int(amount)) for amount in amounts),
            )
        )

    def digest(self) -> bytes:
        """Return the hash that the contract keeps: 32 bytes."""
        return keccak256(self.encode())


@dataclass(frozen=True, slots=True)
class Slot:
    """One contribution in the cohort: its slot id and its root (32 bytes)."""

    slot_id: int
    contribution: bytes

    def node(self) -> bytes:
        """Return its leaf in the tree over the cohort: 32 bytes."""
        return sha256(SLOT_BYTE + _SLOT_ID.pack(self.slot_id) + self.contribution).digest()


@dataclass(frozen=True, slots=True)
class Cohort:
    """The slots of one round.

    Raises:
        MalformedMessage: no slot, a root that is not 32 bytes, or slot ids that do not rise.
    """

    slots: tuple[Slot, ...]

    def __post_init__(self) -> None:
        if not self.slots or any(len(slot.contribution) != _DIGEST_BYTES for slot in self.slots):
            raise MalformedMessage(f"a cohort of {len(self.slots)} slots, each with a root")
        if any(before.slot_id >= after.slot_id for before, after in pairwise(self.slots)):
            raise MalformedMessage("the slot ids of a cohort rise")

    def root(self) -> bytes:
        """Return the root over the slots: 32 bytes."""
        return tree_root(self._nodes())

    def path(self, slot: int) -> tuple[bytes, ...]:
        """Return the siblings of the slot at index `slot`, lowest first."""
        return inclusion_path(self._nodes(), slot)

    def around(self, slot_id: int) -> tuple[int, ...]:
        """Return the index of the slot with `slot_id`; or of those it would be between.

        These one or two, with their paths, prove where the contribution is, or that it is not.
        """
        below = sum(slot.slot_id < slot_id for slot in self.slots)
        if below < len(self.slots) and self.slots[below].slot_id == slot_id:
            return (below,)
        return tuple(index for index in (below - 1, below) if 0 <= index < len(self.slots))

    def _nodes(self) -> list[bytes]:
        return [slot.node() for slot in self.slots]


def cohort_of(entries: Sequence[Entry], trainers: Sequence[str]) -> Cohort:
    """Return the slots of a cohort: each contribution under its trainer's place in the roster.

    Args:
        entries: of the signed cohort.
        trainers: all trainers of the roster that the plan names, in its order.

    Raises:
        WrongContext: a contribution of somebody else, or two of one trainer.
    """
    if not {each.participant for each in entries} <= set(trainers):
        raise WrongContext("a cohort has a contribution of somebody who is no trainer")
    places = {name: place for place, name in enumerate(trainers)}
    slots = [Slot(places[each.participant], _contribution(each)) for each in entries]
    return Cohort(tuple(sorted(slots, key=lambda slot: slot.slot_id)))


def contribution_of_components(roots: Sequence[bytes]) -> bytes:
    """Return the root of a contribution under `shares`: 32 bytes.

    Raises:
        MalformedMessage: not the roots of three components.
    """
    if len(roots) != _COMPONENTS or any(len(root) != _DIGEST_BYTES for root in roots):
        raise MalformedMessage(f"a contribution has {_COMPONENTS} components, each with a root")
    return sha256(COMPONENTS_BYTE + b"".join(roots)).digest()


def typed_receipt(domain: Domain, round_number: int, slot: Slot) -> TypedData:
    """Return what a coordinator signs to promise that `slot` is in the cohort."""
    members = (number(32, "slotId", slot.slot_id), word("contribution", slot.contribution))
    return typed(domain, "Receipt", round_number, *members)


def receipt_digest(domain: Domain, round_number: int, slot: Slot) -> bytes:
    """Return the digest of a receipt: 32 bytes."""
    return typed_receipt(domain, round_number, slot).digest()


def typed_seat_sum(domain: Domain, round_number: int, component: int, root: bytes) -> TypedData:
    """Return what a seat signs about its sum of one component."""
    members = (number(8, "component", component), word("root", root))
    return typed(domain, "SeatSum", round_number, *members)


def seat_sum_digest(domain: Domain, round_number: int, component: int, root: bytes) -> bytes:
    """Return the digest of what a seat signs about a sum: 32 bytes."""
    return typed_seat_sum(domain, round_number, component, root).digest()


def typed_verdict(domain: Domain, round_number: int, accused: str, evidence: bytes) -> TypedData:
    """Return what a judge signs about the address `accused`.

    Args:
        evidence: digest of what the judges have seen, 32 bytes.
    """
    members = (address("accused", accused), word("evidence", evidence))
    return typed(domain, "Verdict", round_number, *members)


def verdict_digest(domain: Domain, round_number: int, accused: str, evidence: bytes) -> bytes:
    """Return the digest of a judge's verdict: 32 bytes."""
    return typed_verdict(domain, round_number, accused, evidence).digest()


def domain_separator(domain: Domain) -> bytes:
    """Return the hash of chain and contract that every signature is bound to: 32 bytes."""
    return domain_struct(domain).hash()


def _contribution(entry: Entry) -> bytes:
    roots = [bytes.fromhex(root) for root in entry.roots]
    return roots[0] if len(roots) == 1 else contribution_of_components(roots)
