"""Judges proofs that a commit is false, as the contract does, before anyone pays for a challenge.

Written apart from the contract, over `merkle`, so that each is a check on the other. A proof that
does not lead to the commit is not guilty, as is one that nothing is wrong with.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import numpy as np

from privacy.arithmetic import Arithmetic, decode
from privacy.errors import MalformedMessage, RootMismatch
from privacy.merkle import WORDS_PER_LEAF, root_from, sides

from .commitment import SLOT_BYTE, Commit, Slot, receipt_digest
from .payouts import (
    PART_LIMIT,
    SCORE_DOMAIN,
    WORD,
    Address,
    Domain,
    keccak256,
    path_leads_to,
)
from .payouts import leaf as leaf_of
from .sum_proof import (
    BadLeaf,
    BadPayout,
    BadSum,
    BadTop,
    Fault,
    Layer,
    Malformed,
    Node,
    Omitted,
    Opening,
    Payout,
    Proof,
    Tree,
)
from .sum_tree import add, is_join, sum_node, width

SignerOf = Callable[[bytes, bytes], Address | None]
"""Recovers who signed a digest (32 bytes) with a signature (65 bytes); None if nobody did."""

_WORDS_SCHEME: Final = "ckks/1"
_LEAF_BYTES: Final = 8 * WORDS_PER_LEAF
_POSITION_BYTES: Final = 13
_ENTRY_BYTES: Final = 5 * WORD
_FORMS: Final = {Layer.SUMS: (2, 97), Layer.LEAVES: (1, 65), Layer.CHUNKS: (1, 65)}
_SLOT_BYTES: Final = 37
_JOIN_BYTES: Final = 65
_HIGHEST: Final = 32
_RISING: Final = 2


@dataclass(frozen=True, slots=True)
class Context:
    """A commit, and what the terms of its programme say.

    Attributes:
        coordinator: address of the key that signs receipts.
        arithmetic: SHA-256 of the arithmetic part of the plan, 32 bytes.
        payouts_before: root over the payouts of the commit before, 32 bytes; zeros for the first.
        signer_of: how to recover a signer.
    """

    domain: Domain
    coordinator: Address
    arithmetic: bytes
    leaves_per_chunk: int
    last_chunk_leaves: int
    payouts_before: bytes
    commit: Commit
    signer_of: SignerOf = field(repr=False)


def verdict(context: Context, proof: Proof) -> bool:
    """Return whether `proof` shows that the commit is wrong."""
    try:
        return _judged(context, proof)
    except (MalformedMessage, RootMismatch):
        return False


def exists(context: Context, node: Node, arithmetic: bytes) -> bool:
    """Return whether the commit has such a node that may be shown."""
    slots = context.commit.slots
    if node.tree is not Tree.SUM_TREES and node.level:
        return False
    if node.tree is Tree.PUBLISHED_SUM:
        if node.index:
            return False
    elif not _is_node(node.level, node.index, slots):
        return False
    if node.tree is Tree.COHORT:
        return (node.chunk, node.leaf) == (0, 0)
    try:
        _Shape.of(context, arithmetic).require_place(node.chunk, node.leaf)
    except (MalformedMessage, RootMismatch):
        return False
    return True


def opens(context: Context, node: Node, opening: Opening) -> bool:
    """Return whether `opening` is that node, under the commit."""
    if not exists(context, node, opening.arithmetic):
        return False
    try:
        _open(context, node, opening)
    except (MalformedMessage, RootMismatch):
        return False
    return True


def _open(context: Context, node: Node, opening: Opening) -> None:
    walk, slots = _Walk(opening.steps), context.commit.slots
    found = walk.one()
    if node.tree is not Tree.COHORT:
        shape = _Shape.of(context, opening.arithmetic)
        if node.tree is Tree.SUM_TREES:
            found = sum_node(found, walk.one(), walk.one()) if node.level else found
            found = walk.up_the_sums(found, node.level, node.index, slots)
        found = shape.over(walk, node.chunk, node.leaf, found)
    _require_root(context, node.tree, node.index, opening.slot_id, found, walk)
    walk.finish()


def _judged(context: Context, proof: Proof) -> bool:
    match proof:
        case BadSum():
            return _bad_sum(context, proof)
        case BadLeaf():
            return _bad_leaf(context, proof)
        case BadTop():
            return _bad_top(context, proof)
        case Malformed():
            return _malformed(context, proof)
        case Omitted():
            return _omitted(context, proof)
        case BadPayout():
            return _bad_payout(context, proof)


def _bad_sum(context: Context, proof: BadSum) -> bool:
    shape, slots = _Shape.of(context, proof.arithmetic), context.commit.slots
    shape.require_place(proof.chunk, proof.leaf)
    _require(_is_inner(proof.level, proof.index, slots))
    _require(len(proof.left) == _LEAF_BYTES and len(proof.right) == _LEAF_BYTES)
    walk = _Walk(proof.steps)
    words = ((proof.left, proof.left_modulus), (proof.right, proof.right_modulus))
    children = [_own(proof.chunk, proof.leaf, index, body) for body, index in words]
    for side in range(len(children)):
        # Leaves under the child, of which one alone is the child itself.
        first = (2 * proof.index + side) << (proof.level - 1)
        if min(1 << (proof.level - 1), slots - first) > 1:
            children[side] = sum_node(walk.one(), walk.one(), children[side])
    own = walk.one()
    node = walk.up_the_sums(
        sum_node(children[0], children[1], own), proof.level, proof.index, slots
    )
    node = shape.over(walk, proof.chunk, proof.leaf, node)
    _require_root(context, Tree.SUM_TREES, 0, 0, node, walk)
    walk.finish()
    return _is_false_sum(shape, proof, own)


def _is_false_sum(shape: "_Shape", proof: BadSum, own: bytes) -> bool:
    modulus = shape.modulus(proof.chunk, proof.left_modulus)
    if proof.left_modulus != proof.right_modulus or modulus is None:
        return True
    if not (_are_canonical(proof.left, modulus) and _are_canonical(proof.right, modulus)):
        return True
    left, right = (np.frombuffer(body, "<u8") for body in (proof.left, proof.right))
    total = add(left, right, modulus).astype("<u8").tobytes()
    return _own(proof.chunk, proof.leaf, proof.left_modulus, total) != own


def _bad_leaf(context: Context, proof: BadLeaf) -> bool:
    shape, walk = _Shape.of(context, proof.arithmetic), _Walk(proof.steps)
    shape.require_place(proof.chunk, proof.leaf)
    node = walk.up_the_sums(proof.in_tree, 0, proof.slot, context.commit.slots)
    node = shape.over(walk, proof.chunk, proof.leaf, node)
    _require_root(context, Tree.SUM_TREES, 0, 0, node, walk)
    contribution = shape.over(walk, proof.chunk, proof.leaf, proof.in_contribution)
    _require_root(context, Tree.CONTRIBUTION, proof.slot, proof.slot_id, contribution, walk)
    walk.finish()
    return proof.in_tree != proof.in_contribution


def _bad_top(context: Context, proof: BadTop) -> bool:
    shape, walk = _Shape.of(context, proof.arithmetic), _Walk(proof.steps)
    shape.require_place(proof.chunk, proof.leaf)
    _require(context.commit.slots > 0)
    if context.commit.slots == 1:
        node = own = walk.one()
    else:
        left, right, own = walk.one(), walk.one(), walk.one()
        node = sum_node(left, right, own)
    node = shape.over(walk, proof.chunk, proof.leaf, node)
    _require_root(context, Tree.SUM_TREES, 0, 0, node, walk)
    published = shape.over(walk, proof.chunk, proof.leaf, proof.in_sum)
    _require_root(context, Tree.PUBLISHED_SUM, 0, 0, published, walk)
    walk.finish()
    return proof.in_sum != own


def _malformed(context: Context, proof: Malformed) -> bool:
    if proof.layer is Layer.SLOTS:
        return _malformed_slot(context, proof)
    _require(proof.tree is not Tree.COHORT)
    shape, walk = _Shape.of(context, proof.arithmetic), _Walk(proof.steps)
    node = _from_malformed(context, shape, proof, walk)
    _require_root(context, proof.tree, proof.slot, proof.slot_id, node, walk)
    walk.finish()
    if proof.layer is Layer.WORDS:
        return not _are_words(shape, proof)
    return not _has_form(proof.preimage, *_FORMS[proof.layer])


def _malformed_slot(context: Context, proof: Malformed) -> bool:
    walk, slots = _Walk(proof.steps), context.commit.slots
    _require(proof.tree is Tree.COHORT and _is_node(proof.level, proof.index, slots))
    node = sha256(proof.preimage).digest()
    root = walk.up(node, proof.index, width(slots, proof.level))
    _require(root == bytes.fromhex(context.commit.cohort))
    walk.finish()
    form = (1, _JOIN_BYTES) if proof.level else (SLOT_BYTE[0], _SLOT_BYTES)
    return not _has_form(proof.preimage, *form)


def _from_malformed(context: Context, shape: "_Shape", proof: Malformed, walk: "_Walk") -> bytes:
    node, slots = sha256(proof.preimage).digest(), context.commit.slots
    if proof.layer is Layer.CHUNKS:
        _require(_is_inner(proof.level, proof.index, shape.chunks))
        return walk.up(node, proof.index, width(shape.chunks, proof.level))
    if proof.layer is Layer.LEAVES:
        leaves = shape.leaves_in(proof.chunk)
        _require(_is_inner(proof.level, proof.index, leaves))
        node = walk.up(node, proof.index, width(leaves, proof.level))
        return walk.up(node, proof.chunk, shape.chunks)
    shape.require_place(proof.chunk, proof.leaf)
    if proof.tree is Tree.SUM_TREES:
        words = proof.layer is Layer.WORDS
        _require((words or proof.level > 0) and _is_node(proof.level, proof.index, slots))
        node = sum_node(walk.one(), walk.one(), node) if words and proof.level else node
        node = walk.up_the_sums(node, proof.level, proof.index, slots)
    else:
        _require(proof.layer is Layer.WORDS and (proof.level, proof.index) == (0, 0))
    return shape.over(walk, proof.chunk, proof.leaf, node)


def _omitted(context: Context, proof: Omitted) -> bool:
    walk, slots, found = _Walk(proof.steps), context.commit.slots, proof.slots
    _require(len(found) <= _RISING and (len(found) == 0) == (slots == 0))
    for at, slot in enumerate(found, proof.slot):
        root = walk.up(slot.node(), at, slots)
        _require(root == bytes.fromhex(context.commit.cohort))
    walk.finish()
    if len(found) == _RISING and found[0].slot_id >= found[1].slot_id:
        return True
    return _is_receipt(context, proof) and _is_elsewhere(proof, slots)


def _is_elsewhere(proof: Omitted, slots: int) -> bool:
    found, wanted = proof.slots, proof.receipt
    if not found:
        return True
    if len(found) == _RISING:
        return found[0].slot_id < wanted.slot_id < found[1].slot_id
    if found[0].slot_id == wanted.slot_id:
        return found[0].contribution != wanted.contribution
    return proof.slot == (0 if wanted.slot_id < found[0].slot_id else slots - 1)


def _is_receipt(context: Context, proof: Omitted) -> bool:
    digest = receipt_digest(context.domain, context.commit.round, proof.receipt)
    return context.signer_of(digest, proof.signature) == context.coordinator


def _bad_payout(context: Context, proof: BadPayout) -> bool:
    payouts = bytes.fromhex(context.commit.payouts)
    _require_payout(context, proof.payee, proof.payout, payouts)
    if proof.fault is Fault.TWIN:
        _require_payout(context, proof.payee, proof.other, payouts)
        return _payout_leaf(context, proof.payee, proof.payout) != _payout_leaf(
            context, proof.payee, proof.other
        )
    _require(keccak256(proof.entry) == proof.payout.entry)
    earned, cumulative = _earned(context.commit, proof.entry), proof.payout.cumulative
    if proof.fault is Fault.FORMULA:
        first = context.payouts_before == bytes(WORD)
        return earned is None or cumulative < earned or (first and cumulative != earned)
    if earned is None:
        return False
    _require_payout(context, proof.payee, proof.other, context.payouts_before)
    return cumulative - earned != proof.other.cumulative


def _earned(commit: Commit, entry: bytes) -> int | None:
    """Return what an entry says was earned, if it is by the form and the formula."""
    words = [entry[at : at + WORD] for at in range(0, len(entry), WORD)]
    if len(entry) != _ENTRY_BYTES or words[0] != keccak256(SCORE_DOMAIN):
        return None
    round_number, score, earned = (int.from_bytes(word, "big") for word in words[1:4])
    scores = int(commit.scores)
    if round_number != commit.round or score > scores or earned >= PART_LIMIT:
        return None
    due = int(commit.budget) * score // scores if scores else 0
    return earned if earned == due else None


def _require_payout(context: Context, payee: str, payout: Payout, root: bytes) -> None:
    leaf = _payout_leaf(context, payee, payout)
    _require(path_leads_to(leaf, payout.steps, root))


def _payout_leaf(context: Context, payee: str, payout: Payout) -> bytes:
    return leaf_of(context.domain, payee, payout.cumulative, payout.salt, payout.entry)


@dataclass(frozen=True, slots=True)
class _Shape:
    """How many chunks and leaves there are, where words may be judged."""

    arithmetic: Arithmetic
    leaves_per_chunk: int
    last_chunk_leaves: int

    @classmethod
    def of(cls, context: Context, arithmetic: bytes) -> "_Shape":
        _require(sha256(arithmetic).digest() == context.arithmetic)
        found = decode(arithmetic)
        _require(found.scheme == _WORDS_SCHEME)
        return cls(found, context.leaves_per_chunk, context.last_chunk_leaves)

    @property
    def chunks(self) -> int:
        return self.arithmetic.chunks

    def leaves_in(self, chunk: int) -> int:
        _require(0 <= chunk < self.chunks)
        return self.last_chunk_leaves if chunk == self.chunks - 1 else self.leaves_per_chunk

    def require_place(self, chunk: int, leaf: int) -> None:
        _require(0 <= leaf < self.leaves_in(chunk))

    def modulus(self, chunk: int, index: int) -> int | None:
        for each in self.arithmetic.ranges:
            if each.first <= chunk < each.end and each.index == index:
                return each.modulus
        return None

    def over(self, walk: "_Walk", chunk: int, leaf: int, node: bytes) -> bytes:
        return walk.up(walk.up(node, leaf, self.leaves_in(chunk)), chunk, self.chunks)


class _Walk:
    """The steps of a proof, taken one after another."""

    def __init__(self, steps: tuple[bytes, ...]) -> None:
        self._steps, self._taken = steps, 0

    def one(self) -> bytes:
        _require(self._taken < len(self._steps))
        self._taken += 1
        return self._steps[self._taken - 1]

    def up(self, node: bytes, index: int, count: int) -> bytes:
        path = [self.one() for _ in sides(index, count)]
        return root_from(node, index, count, path)

    def up_the_sums(self, node: bytes, level: int, index: int, slots: int) -> bytes:
        for left in sides(index, width(slots, level)):
            sibling, own = self.one(), self.one()
            node = sum_node(node, sibling, own) if left else sum_node(sibling, node, own)
        return node

    def finish(self) -> None:
        _require(self._taken == len(self._steps))


def _require_root(
    context: Context, tree: Tree, slot: int, slot_id: int, node: bytes, walk: _Walk
) -> None:
    """Require that `node` is the root of its tree; for a contribution, the one in that slot."""
    commit = context.commit
    if tree is Tree.SUM_TREES:
        _require(node == bytes.fromhex(commit.sum_trees))
    elif tree is Tree.PUBLISHED_SUM:
        _require(node == bytes.fromhex(commit.sum))
    else:
        root = walk.up(Slot(slot_id, node).node(), slot, commit.slots)
        _require(root == bytes.fromhex(commit.cohort))


def _require(leads: bool) -> None:
    if not leads:
        raise RootMismatch("the proof does not lead to the commit")


def _is_inner(level: int, index: int, count: int) -> bool:
    return level <= _HIGHEST and is_join(level, index, count)


def _is_node(level: int, index: int, count: int) -> bool:
    return _is_inner(level, index, count) if level else 0 <= index < count


def _own(chunk: int, leaf: int, modulus_index: int, words: bytes) -> bytes:
    place = b"".join(number.to_bytes(4, "big") for number in (chunk, leaf, modulus_index))
    return sha256(b"\x00" + place + words).digest()


def _has_form(body: bytes, first: int, length: int) -> bool:
    return len(body) == length and body[0] == first


def _are_words(shape: _Shape, proof: Malformed) -> bool:
    body = proof.preimage
    if len(body) != _POSITION_BYTES + _LEAF_BYTES:
        return False
    chunk, leaf, index = (int.from_bytes(body[at : at + 4], "big") for at in (1, 5, 9))
    modulus = shape.modulus(chunk, index) if chunk == proof.chunk else None
    if body[0] or leaf != proof.leaf or modulus is None:
        return False
    return _are_canonical(body[_POSITION_BYTES:], modulus)


def _are_canonical(words: bytes, modulus: int) -> bool:
    return int(np.frombuffer(words, "<u8").max()) < modulus
