"""A coordinator that adds one contribution twice, in what it commits; else it is the product's.

Run as `python -m tests.processes.doubles.doubling_coordinator COORDINATOR.toml`. Its sum trees
have each leaf as its site signed it, and the first slot twice in every sum above; the sum that it
commits to is the top of these. What it had audited and opened before was right.
"""

import sys
from dataclasses import dataclass, field, replace

from coordinator import build
from coordinator.rounds.state import Round
from coordinator.settling.results import Results
from coordinator.settling.settle import Result
from coordinator.settling.sums import Added, SumTrees
from privacy.merkle import tree_root
from privacy.settlement.sum_proof import Hashes
from privacy.settlement.sum_tree import ChunkSums, Seen, add
from veilsum.cli import main


@dataclass
class Doubling(SumTrees):
    """Sum trees in which the first contribution counts twice, and every hash leads to the root.

    Attributes:
        sums: the root of each chunk of the sums at their tops.
    """

    sums: dict[int, bytes] = field(default_factory=dict, init=False, repr=False)

    def _build(self, added: Added, chunk: int, seen: Seen) -> Hashes:
        moduli = added.plan.parameters().layout.moduli

        def see(level: int, index: int, sums: ChunkSums) -> None:
            seen(level, index, sums)
            if (level, index) == (0, 0):  # its own leaf has been hashed
                for at, modulus in enumerate(moduli):
                    words = sums.words[:, at]
                    words[...] = add(words, words, modulus)
            # The last that is seen is the top.
            self.sums[chunk] = tree_root([node.own for node in sums.nodes])

        return super()._build(added, chunk, see)


class OfDoubled(Results):
    """Names the sum at the tops of the trees as the round's."""

    def of(self, current: Round) -> Result:
        """Return what a commit of the round names."""
        result = super().of(current)
        trees = self.trees
        assert isinstance(trees, Doubling)
        roots = [trees.sums[chunk] for chunk in sorted(trees.sums)]
        return replace(result, sum=tree_root(roots).hex())


def double() -> None:
    """Commit to trees and sums in which one contribution counts twice."""
    build.SumTrees = Doubling  # type: ignore[attr-defined]
    build.Results = OfDoubled  # type: ignore[attr-defined]


if __name__ == "__main__":
    double()
    sys.argv = ["veilsum", "coordinator", "serve", "--config", sys.argv[1]]
    main()
