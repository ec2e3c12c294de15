"""A coordinator that cheats: it alters one word of one sum in what it commits to the chain.

Run as `python -m veilsum.demo.cheating_coordinator ROUND coordinator serve --config FILE`. All but
that word is the product's coordinator, which has no option and no failpoint for this.
"""

import runpy
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from coordinator import build
from coordinator.settling.sums import Added, SumTrees
from privacy.settlement.sum_proof import Hashes
from privacy.settlement.sum_tree import ChunkSums, Seen, add

CHUNK = 0
"""Whose first word is altered, in the sum of the first two slots and all that follows from it."""


@dataclass
class CheatingTrees(SumTrees):
    """Sum trees of which one is false: whoever is shown it finds every hash as it was committed."""

    ROUND: ClassVar[int] = 0

    def _build(self, added: Added, chunk: int, seen: Seen) -> Hashes:
        cheats = (added.number, chunk) == (self.ROUND, CHUNK)
        modulus = added.plan.parameters().layout.moduli[0]
        return super()._build(added, chunk, altering(seen, modulus) if cheats else seen)


def altering(seen: Seen, modulus: int) -> Seen:
    """Return what alters a word of the first contribution, once its own leaf has been hashed.

    So the leaf is the one that its site has signed, and the first sum over it is off by one.
    """

    def see(level: int, index: int, sums: ChunkSums) -> None:
        seen(level, index, sums)
        if (level, index) == (0, 0):
            word = sums.words[:1, :1, :1]
            word[...] = add(word, np.ones_like(word), modulus)

    return see


def main(arguments: Sequence[str]) -> None:
    """Become a coordinator that cheats in the round that is named first."""
    number, *command = arguments
    CheatingTrees.ROUND = int(number)
    build.SumTrees = CheatingTrees  # type: ignore[attr-defined]
    sys.argv = ["veilsum", *command]
    runpy.run_module("veilsum", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
