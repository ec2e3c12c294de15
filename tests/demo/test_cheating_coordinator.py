"""The demo's cheat alters one word of one sum; no hash hides it, and no other word shows it."""

import numpy as np
import pytest

from coordinator.settling.sums import Added, SumTrees
from privacy.merkle import WORDS_PER_LEAF, tree_root
from privacy.settlement.sum_proof import Hashes, Kind
from privacy.settlement.sum_tree import (
    ChunkTrees,
    GrowingSums,
    Levels,
    Place,
    Seen,
    find,
    sum_tree,
    unseen,
)
from tests.fakes import make_plan
from veilsum.demo.cheating_coordinator import CHUNK, CheatingTrees, altering

MODULI = (97, 193)
SLOTS = 5
LEAVES = 2 * len(MODULI)
CONTRIBUTIONS = [
    np.full((2, len(MODULI), WORDS_PER_LEAF), 30 * slot % 97, np.uint64) for slot in range(SLOTS)
]


class Trees:
    """The sum trees of one chunk over five contributions."""

    def __init__(self, *, alter: bool) -> None:
        self.kept = ChunkTrees(SLOTS, range(LEAVES))
        see: Seen = altering(self.kept.see, MODULI[0]) if alter else self.kept.see
        growing = GrowingSums(CHUNK, MODULI, see)
        for words in CONTRIBUTIONS:
            growing.add(words.copy())
        self.sums = growing.finish()

    def chunk_roots(self) -> Hashes:
        return (self.sums.root(),)

    def tops(self, _chunk: int) -> Hashes:
        return tuple(node.digest for node in self.sums.nodes)

    def levels(self, _chunk: int, leaf: int) -> Levels:
        return self.kept.levels(leaf)


def test_one_word_of_one_sum_is_altered() -> None:
    """By one; and leaves stay those that sites have signed."""
    honest, altered = Trees(alter=False), Trees(alter=True)

    differ = np.argwhere(honest.sums.words != altered.sums.words)

    assert differ.tolist() == [[0, 0, 0]]
    assert altered.sums.words[0, 0, 0] == (honest.sums.words[0, 0, 0] + 1) % MODULI[0]
    assert altered.kept.levels(0)[0] == honest.kept.levels(0)[0]


def test_an_audit_finds_the_first_sum_over_that_word() -> None:
    """All hashes lead to the commit; one node is not the sum of its children."""
    honest, altered = Trees(alter=False), Trees(alter=True)

    wrong = find(tree_root(altered.chunk_roots()), altered, honest)

    assert wrong is not None
    assert (wrong.kind, wrong.level, wrong.index) == (Kind.BAD_SUM, 1, 0)
    assert (wrong.served.chunk, wrong.served.leaf) == (CHUNK, 0)


def test_unaltered_trees_are_those_that_an_audit_makes() -> None:
    """The positive control: what it is found by is not itself false."""
    leaves = np.stack([words[0, 0] for words in CONTRIBUTIONS])

    honest = Trees(alter=False)

    assert honest.kept.levels(0) == sum_tree(Place(CHUNK, 0, 0, MODULI[0]), leaves)
    assert find(tree_root(honest.chunk_roots()), honest, Trees(alter=False)) is None


def test_only_the_named_round_is_false(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds before it stand, and are paid."""
    built: list[tuple[int, int, bool]] = []

    def build(_: SumTrees, added: Added, chunk: int, seen: Seen) -> Hashes:
        built.append((added.number, chunk, seen is unseen))
        return ()

    monkeypatch.setattr(SumTrees, "_build", build)
    monkeypatch.setattr(CheatingTrees, "ROUND", 3)
    trees = CheatingTrees(None, None)  # type: ignore[arg-type]  # it reads nothing here

    for number, chunk in ((1, 0), (2, 0), (3, 0), (3, 1)):
        trees._build(Added(number, make_plan(number=number), ("a",)), chunk, unseen)

    assert built == [(1, 0, True), (2, 0, True), (3, 0, False), (3, 1, True)]
