"""Proofs that a commit is false, as the contract `SumVerifier` takes them.

Each is one struct of `ISumVerifier`, which says what its fields and the order of its `steps` are;
`encode` returns the bytes that a challenge carries. `sum_verdict` judges them as the contract does.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar, Final

from . import abi
from .abi import Tail, array, blob, uint
from .commitment import Slot
from .payouts import WORD, address_word

Hashes = tuple[bytes, ...]
_NO_WORD: Final = bytes(WORD)


class Kind(IntEnum):
    """What a proof accuses of."""

    BAD_SUM = 0
    BAD_LEAF = 1
    BAD_TOP = 2
    MALFORMED = 3
    OMITTED = 4
    BAD_PAYOUT = 5


class Tree(IntEnum):
    """The trees of a commit."""

    SUM_TREES = 0
    PUBLISHED_SUM = 1
    COHORT = 2
    CONTRIBUTION = 3


class Layer(IntEnum):
    """What in its tree malformed bytes belong to."""

    WORDS = 0
    SUMS = 1
    LEAVES = 2
    CHUNKS = 3
    SLOTS = 4


class Fault(IntEnum):
    """What is wrong with a payout."""

    FORMULA = 0
    REGRESSION = 1
    TWIN = 2


@dataclass(frozen=True, slots=True)
class BadSum:
    """A node of a sum tree whose words are not the sum of its children's.

    Attributes:
        level, index: of the node; its level is 1 or more.
        left_modulus, right_modulus: the modulus indexes that the children's words are hashed with.
        left, right: words of the children, little-endian.
    """

    kind: ClassVar[Kind] = Kind.BAD_SUM
    chunk: int
    leaf: int
    level: int
    index: int
    left_modulus: int
    right_modulus: int
    left: bytes = field(repr=False)
    right: bytes = field(repr=False)
    steps: Hashes = field(repr=False)
    arithmetic: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Return the ABI encoding."""
        place = (self.chunk, self.leaf, self.level, self.index)
        numbers = (*place, self.left_modulus, self.right_modulus)
        words = (blob(self.left), blob(self.right))
        rest = (array(self.steps), blob(self.arithmetic))
        return abi.encode(abi.struct(*map(uint, numbers), *words, *rest))


@dataclass(frozen=True, slots=True)
class BadLeaf:
    """A leaf of a sum tree that is not the contribution's own."""

    kind: ClassVar[Kind] = Kind.BAD_LEAF
    chunk: int
    leaf: int
    slot: int
    slot_id: int
    in_tree: bytes
    in_contribution: bytes
    steps: Hashes = field(repr=False)
    arithmetic: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Return the ABI encoding."""
        numbers = (self.chunk, self.leaf, self.slot, self.slot_id)
        rest = (array(self.steps), blob(self.arithmetic))
        fixed = (*map(uint, numbers), self.in_tree, self.in_contribution)
        return abi.encode(abi.struct(*fixed, *rest))


@dataclass(frozen=True, slots=True)
class BadTop:
    """A leaf of the published sum that is not the top of its sum tree."""

    kind: ClassVar[Kind] = Kind.BAD_TOP
    chunk: int
    leaf: int
    in_sum: bytes
    steps: Hashes = field(repr=False)
    arithmetic: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Return the ABI encoding."""
        rest = (array(self.steps), blob(self.arithmetic))
        return abi.encode(abi.struct(uint(self.chunk), uint(self.leaf), self.in_sum, *rest))


@dataclass(frozen=True, slots=True)
class Malformed:
    """Bytes under a committed hash that do not have the form of their place."""

    kind: ClassVar[Kind] = Kind.MALFORMED
    tree: Tree
    layer: Layer
    preimage: bytes = field(repr=False)
    steps: Hashes = field(repr=False)
    arithmetic: bytes = field(default=b"", repr=False)
    slot: int = 0
    slot_id: int = 0
    chunk: int = 0
    leaf: int = 0
    level: int = 0
    index: int = 0

    def encode(self) -> bytes:
        """Return the ABI encoding."""
        where = (self.tree, self.layer, self.slot, self.slot_id)
        numbers = (*where, self.chunk, self.leaf, self.level, self.index)
        rest = (blob(self.preimage), array(self.steps), blob(self.arithmetic))
        return abi.encode(abi.struct(*map(uint, numbers), *rest))


@dataclass(frozen=True, slots=True)
class Omitted:
    """A contribution that is not where its receipt says, or slots that do not rise.

    Attributes:
        receipt: what the receipt says.
        signature: the coordinator's under it, 65 bytes.
        slot: index in the cohort of the first of `slots`.
        slots: the contribution's own, the first or the last; or two neighbours.
    """

    kind: ClassVar[Kind] = Kind.OMITTED
    receipt: Slot
    signature: bytes
    slot: int
    slots: tuple[Slot, ...]
    steps: Hashes = field(repr=False)

    def encode(self) -> bytes:
        """Return the ABI encoding."""
        receipt = (uint(self.receipt.slot_id), self.receipt.contribution, blob(self.signature))
        words = [uint(slot.slot_id) + slot.contribution for slot in self.slots]
        return abi.encode(abi.struct(*receipt, uint(self.slot), array(words), array(self.steps)))


@dataclass(frozen=True, slots=True)
class Payout:
    """A leaf of a payout tree, but for its payee, and its siblings up to the root."""

    cumulative: int
    salt: bytes = field(repr=False)
    entry: bytes
    steps: Hashes = field(repr=False)

    def encode(self) -> Tail:
        """Return the ABI encoding, as a part of another."""
        return abi.struct(uint(self.cumulative), self.salt, self.entry, array(self.steps))


NO_PAYOUT: Final = Payout(0, _NO_WORD, _NO_WORD, ())
"""Where a proof has no second payout."""


@dataclass(frozen=True, slots=True)
class BadPayout:
    """A wrong payout.

    Attributes:
        entry: what the payout's entry is the hash of.
        other: the payee's leaf of the round before, or the twin.
    """

    kind: ClassVar[Kind] = Kind.BAD_PAYOUT
    fault: Fault
    payee: str
    payout: Payout
    entry: bytes = field(default=b"", repr=False)
    other: Payout = NO_PAYOUT

    def encode(self) -> bytes:
        """Return the ABI encoding."""
        fixed = (uint(self.fault), address_word(self.payee))
        tails = (self.payout.encode(), blob(self.entry), self.other.encode())
        return abi.encode(abi.struct(*fixed, *tails))


Proof = BadSum | BadLeaf | BadTop | Malformed | Omitted | BadPayout


@dataclass(frozen=True, slots=True)
class Node:
    """A position that can be demanded; fields that its tree does not need are zero."""

    tree: Tree
    chunk: int = 0
    leaf: int = 0
    level: int = 0
    index: int = 0


@dataclass(frozen=True, slots=True)
class Opening:
    """What answers a demand: hashes, never words."""

    steps: Hashes = field(repr=False)
    arithmetic: bytes = field(default=b"", repr=False)
    slot_id: int = 0

    def encode(self) -> bytes:
        """Return the ABI encoding."""
        tails = (array(self.steps), blob(self.arithmetic))
        return abi.encode(abi.struct(uint(self.slot_id), *tails))
