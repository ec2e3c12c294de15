"""Trees of partial sums over a cohort, built from its stored contributions, chunk by chunk."""

from dataclasses import dataclass

from coordinator import object_names as names
from coordinator.ports import ObjectStore
from privacy.merkle import tree_root
from privacy.plan import SHARES, Plan
from privacy.schemes.ckks_sum import CkksCombiner
from privacy.sum_tree import GrowingSums

NO_TREES = bytes(32)
"""The root where there are none: under `shares`, whose words nobody may show."""


@dataclass(frozen=True)
class SumTrees:
    """Builds the trees of a round whose contributions are still stored.

    Holds a chunk for each bit of the number of contributions, whatever the model.
    """

    objects: ObjectStore

    def root(self, number: int, plan: Plan, participants: tuple[str, ...]) -> bytes:
        """Return the root over the trees: 32 bytes, zeros under `shares`.

        Args:
            participants: the cohort, in the order of its slots.

        Raises:
            NotYet: a contribution is not stored any more.
            MalformedMessage: one has changed.
            StoreUnavailable: the store does not answer.
        """
        if plan.arithmetic.scheme == SHARES:
            return NO_TREES
        combiner = CkksCombiner(plan.parameters(), plan.arithmetic.dimension)
        chunks = range(plan.arithmetic.chunks)
        return tree_root([self._chunk(combiner, plan, number, at, participants) for at in chunks])

    def _chunk(
        self,
        combiner: CkksCombiner,
        plan: Plan,
        number: int,
        chunk: int,
        participants: tuple[str, ...],
    ) -> bytes:
        growing = GrowingSums(chunk, plan.parameters().layout.moduli)
        for participant in participants:
            name = names.contribution_chunk(number, participant, 0, chunk)
            words = combiner.decode(chunk, self.objects.get(name))
            growing.add(words.reshape(-1, *words.shape[2:]))
        return growing.finish().root()
