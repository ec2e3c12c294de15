"""Random commits, honest and false, and random proofs against them, whole and damaged."""

from collections.abc import Iterator
from dataclasses import fields, replace
from enum import IntEnum

import numpy as np

from privacy.settlement.commitment import Slot
from privacy.settlement.sum_proof import BadPayout, Fault, Layer, Payout, Proof, Tree
from privacy.settlement.sum_tree import Wrong, is_join, prove_leaf, prove_sum, prove_top, width
from privacy.settlement.sum_verdict import Context
from tests.privacy.example_sums import (
    HONEST,
    LEAF_BYTES,
    OTHER_KEY,
    PAYEE,
    PRIME,
    TWO_64,
    Example,
    Lies,
    Paid,
    entry,
)

MODULI = (PRIME, PRIME, PRIME, TWO_64, TWO_64, 2, 1 << 63, (1 << 63) + 29, TWO_64 - 59)
PROOFS_OF_ONE_COMMIT = 8


class Cases:
    """A stream of cases that a seed determines."""

    def __init__(self, seed: int) -> None:
        self._source = np.random.default_rng(seed)

    def take(self, count: int) -> Iterator[tuple[Context, Proof]]:
        """Yield commits' contexts, and proofs against them."""
        for number in range(count):
            if number % PROOFS_OF_ONE_COMMIT == 0:
                example = self.example()
            proof = self.proof(example)
            if self._below(3) == 0:
                proof = self.damaged(proof)
            yield self._context(example, proof), proof

    def example(self) -> Example:
        """Return a commit: half of them honest, half with one lie."""
        paid = self._paid()
        leaves = 1 + self._below(5)
        made = Example(
            slots=1 + self._below(9),
            chunks=1 + self._below(4),
            leaves=leaves,
            last_leaves=1 + self._below(leaves),
            modulus=self._one_of(MODULI),
            seed=self._below(1 << 30),
            scheme=self._one_of(("ckks/1",) * 9 + ("shares/1",)),
            payouts=paid.root,
            payouts_before=self._one_of((bytes(32), self._before(paid).root)),
            budget=100,
            scores=9,
        )
        self._money = paid
        return replace(made, lies=self._lie(made)) if self._below(2) else made

    def proof(self, example: Example) -> Proof:
        """Return a proof that leads to the commit, or nearly."""
        makers = (
            self._sum, self._leaf, self._top, self._words, self._node, self._end, self._join,
            self._slot, self._omitted, self._payout,
        )  # fmt: skip
        if example.lies != HONEST and self._below(2):
            return self._against(example)
        return self._one_of(makers)(example)

    def damaged(self, proof: Proof) -> Proof:
        """Return the proof with one field changed."""
        name = self._one_of([each.name for each in fields(proof)])
        return replace(proof, **{name: self._changed(getattr(proof, name))})

    def _changed(self, value: object) -> object:
        match value:
            case IntEnum():
                return self._one_of(list(type(value)))
            case int():
                return self._one_of((value ^ 1, value + 1, max(value - 1, 0), 0, 31, (1 << 32) - 1))
            case bytes():
                return self._changed_bytes(value)
            case str():
                return "0x" + "ab" * 20
            case Slot() | Payout():
                return self.damaged(value)
            case tuple():
                return self._changed_tuple(value)
        raise AssertionError(value)

    def _changed_bytes(self, value: bytes) -> bytes:
        where = self._below(len(value) or 1)
        flipped = value[:where] + bytes([value[where] ^ 1]) + value[where + 1 :] if value else b""
        if len(value) == 32:
            return flipped
        return self._one_of((flipped, flipped, value[:-1], value + b"\0", b""))

    def _changed_tuple(self, value: tuple) -> tuple:
        if not value:
            return value if self._below(2) else (bytes(32),)[: len(value) + 1]
        at = self._below(len(value))
        other = self._changed(value[at])
        return self._one_of(
            (
                (*value[:at], other, *value[at + 1 :]),
                (*value[:at], *value[at + 1 :]),
                (*value[:at], value[at], *value[at:]),
                value[::-1],
            )
        )

    # lies

    def _lie(self, example: Example) -> Lies:
        (chunk, leaf), node = self._place(example), self._inner(example)
        slot = self._below(example.slots)
        body = example.body_of(chunk, leaf, 0, slot)
        found: list[Lies] = [
            Lies(words={(chunk, leaf, 0, slot): self._wrong_words(body, example)}),
            Lies(published={(chunk, leaf): self._wrong_words(body, example)}),
            Lies(contributed={(slot, chunk, leaf): self._wrong_words(body, example)}),
            Lies(slots={(0, slot): b"\x04" + bytes(35)}),
        ]
        if node:
            body = example.body_of(chunk, leaf, *node)
            found += [Lies(words={(chunk, leaf, *node): self._wrong_words(body, example)})] * 4
            found += [Lies(nodes={(chunk, leaf, *node): b"\x02" + bytes(95)})]
            found += [Lies(slots={node: b"\x01" + bytes(63)})]
        if example.leaves_in(chunk) > 1:
            found += [Lies(leaves={(self._tree(), chunk, 1, 0): b"\x01" + bytes(63)})]
        if example.chunks > 1:
            found += [Lies(chunks={(self._tree(), 1, 0): b"\x00" + bytes(64)})]
        return self._one_of(found)

    def _wrong_words(self, body: bytes, example: Example) -> bytes:
        where = 13 + self._below(LEAF_BYTES)
        beyond = 13 + 8 * self._below(LEAF_BYTES // 8)
        # A word that is the modulus itself, or all ones, where that is not canonical.
        word = min(example.modulus, TWO_64 - 1).to_bytes(8, "little")
        return self._one_of(
            (
                body[:where] + bytes([body[where] ^ (1 << self._below(8))]) + body[where + 1 :],
                body[:beyond] + word + body[beyond + 8 :],
                body[:beyond] + b"\xff" * 8 + body[beyond + 8 :],
                body[:-1],
                body + b"\0",
                bytes([1]) + body[1:],
                body[:12] + b"\x01" + body[13:],
                body[:4] + b"\x09" + body[5:],
                body[:8] + b"\x09" + body[9:],
            )
        )

    # proofs

    def _against(self, example: Example) -> Proof:
        """Return a proof of the lie itself, whatever it is worth."""
        lies = example.lies
        for where in lies.words:
            return self._one_of((self._sum if where[2] else self._leaf, self._words))(example)
        for where in lies.nodes:
            return example.malformed_node(*where)
        for tree, chunk, level, index in lies.leaves:
            return example.malformed_join(tree, Layer.LEAVES, level, index, chunk)
        for tree, level, index in lies.chunks:
            return example.malformed_join(tree, Layer.CHUNKS, level, index)
        for where in lies.published:
            tree = Tree.PUBLISHED_SUM
            return self._one_of((self._top(example), example.malformed_leaf(tree, *where)))
        for slot, chunk, leaf in lies.contributed:
            return example.malformed_leaf(Tree.CONTRIBUTION, chunk, leaf, slot)
        return self._slot(example)

    def _sum(self, example: Example) -> Proof:
        (chunk, leaf), node = self._place(example), self._inner(example)
        if not node:
            return self._top(example)
        lies = [where for where in example.lies.words if where[2]]
        if lies and self._below(3):
            chunk, leaf, *node = lies[0]
        wrong = Wrong(example.served(chunk, leaf), *node)
        rows = example.words_at(chunk, leaf)
        return prove_sum(wrong, example.place(chunk, leaf), rows, example.arithmetic)

    def _leaf(self, example: Example) -> Proof:
        chunk, leaf = self._place(example)
        slot = self._below(example.slots)
        lies = [where for where in example.lies.words if not where[2]]
        if lies and self._below(3):
            chunk, leaf, _, slot = lies[0]
        own, path = example.own_leaf(slot, chunk, leaf), example.cohort_tree.path(slot)
        wrong = Wrong(example.served(chunk, leaf), 0, slot)
        return prove_leaf(wrong, example.cohort[slot].slot_id, own, path, example.arithmetic)

    def _top(self, example: Example) -> Proof:
        chunk, leaf = self._place(example)
        if example.lies.published and self._below(3):
            chunk, leaf = next(iter(example.lies.published))
        located = example.published.located(chunk, leaf)
        return prove_top(example.served(chunk, leaf), located, example.arithmetic)

    def _words(self, example: Example) -> Proof:
        if example.lies.words and self._below(3):
            return example.malformed_words(*next(iter(example.lies.words)))
        node = self._inner(example) if self._below(2) else None
        where = node or (0, self._below(example.slots))
        return example.malformed_words(*self._place(example), *where)

    def _node(self, example: Example) -> Proof:
        if example.lies.nodes:
            return example.malformed_node(*next(iter(example.lies.nodes)))
        node = self._inner(example)
        return example.malformed_node(*self._place(example), *node) if node else self._top(example)

    def _end(self, example: Example) -> Proof:
        tree = self._one_of((Tree.PUBLISHED_SUM, Tree.CONTRIBUTION))
        if example.lies.contributed and tree is Tree.CONTRIBUTION:
            slot, chunk, leaf = next(iter(example.lies.contributed))
            return example.malformed_leaf(tree, chunk, leaf, slot)
        slot = self._below(example.slots) if tree is Tree.CONTRIBUTION else 0
        return example.malformed_leaf(tree, *self._place(example), slot)

    def _join(self, example: Example) -> Proof:
        tree, chunk = self._tree(), self._below(example.chunks)
        slot = self._below(example.slots) if tree is Tree.CONTRIBUTION else 0
        layer = self._one_of((Layer.LEAVES, Layer.CHUNKS))
        count = example.chunks if layer is Layer.CHUNKS else example.leaves_in(chunk)
        node = self._join_of(count)
        if not node:
            return self._slot(example)
        return example.malformed_join(tree, layer, *node, chunk, slot)

    def _slot(self, example: Example) -> Proof:
        if example.lies.slots and self._below(3):
            return example.malformed_slot(*next(iter(example.lies.slots)))
        node = self._inner(example) if self._below(2) else None
        return example.malformed_slot(*(node or (0, self._below(example.slots))))

    def _omitted(self, example: Example) -> Proof:
        at = self._one_of(([0], [example.slots - 1], [self._below(example.slots)], [0, 1]))
        at = [index for index in at if index < example.slots]
        keys = {"key": OTHER_KEY} if self._below(8) == 0 else {}
        slot_id = self._below(3 * example.slots + 3)
        mine = [slot for slot in example.cohort if slot.slot_id == slot_id]
        held = {"contribution": mine[0].contribution} if mine and self._below(2) else {}
        return example.omitted(at, slot_id, **held, **keys)

    def _payout(self, _: Example) -> Proof:
        paid, fault = self._money, self._one_of(list(Fault))
        if fault is Fault.REGRESSION:
            other = self._before(paid).payout()
        else:
            other = paid.payout(3 if paid.twin is not None else 0)
        return BadPayout(fault, PAYEE, paid.payout(), paid.entry, other)

    def _paid(self) -> Paid:
        score = self._below(9)
        earned = 100 * score // 9 + (self._below(4) == 0)
        body = entry(score, earned, 7 + (self._below(9) == 0))
        twin = self._one_of((None, None, 70))
        return Paid(40 + earned, body if self._below(9) else body[:-1], twin=twin)

    def _before(self, paid: Paid) -> Paid:
        # What remains without this round's part: 40, or not.
        return Paid(40 + (paid.cumulative % 5 == 0), b"before", b"\x02" * 32)

    # places

    def _place(self, example: Example) -> tuple[int, int]:
        return self._one_of(list(example.places()))

    def _inner(self, example: Example) -> tuple[int, int] | None:
        return self._join_of(example.slots)

    def _join_of(self, count: int) -> tuple[int, int] | None:
        found = [
            (level, index)
            for level in range(1, 5)
            for index in range(width(count, level))
            if is_join(level, index, count)
        ]
        return self._one_of(found) if found else None

    def _tree(self) -> Tree:
        return self._one_of((Tree.SUM_TREES, Tree.PUBLISHED_SUM, Tree.CONTRIBUTION))

    def _context(self, example: Example, proof: Proof) -> Context:
        if self._below(12):
            return example.context
        # The same proof against another commit, or other terms.
        other = {"leaves_per_chunk": example.leaves + 1, "last_chunk_leaves": 1}
        name = self._one_of(list(other))
        return replace(example.context, **{name: other[name]})

    def _below(self, bound: int) -> int:
        return int(self._source.integers(bound))

    def _one_of(self, among):
        return among[self._below(len(among))]
