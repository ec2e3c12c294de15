"""Whether a contribution's own leaves, and its slot, are where a commit says; and the proof if not.

A site needs no words but its own for this, and is shown none: hashes lead from its leaf to
`sum_trees`, and from its slot to `cohort`.
"""

from dataclasses import dataclass

from privacy.errors import RootMismatch
from privacy.merkle import root_from, sides

from .commitment import Cohort, Commit, Slot
from .sum_proof import BadLeaf, Hashes, Omitted
from .sum_tree import Located, sum_node


@dataclass(frozen=True, slots=True)
class OwnLeaf:
    """One leaf of a site's own, as the coordinator shows it under a commit.

    Attributes:
        leaves, chunks: how many leaves its chunk has, and how many chunks there are.
        digest: what stands at its place in the sum tree, 32 bytes.
        steps: from there to `sum_trees`, as in `BadLeaf`.
    """

    chunk: int
    leaf: int
    leaves: int
    chunks: int
    digest: bytes
    steps: Hashes

    def check_shown(self, slot: int, commit: Commit) -> None:
        """Check that what is shown leads to the committed root, whatever it is.

        Raises:
            RootMismatch: it does not; it can be demanded.
            MalformedMessage: there is no such slot.
        """
        found, used = _top(self.digest, slot, commit.slots, self.steps)
        inside = len(sides(self.leaf, self.leaves))
        rest = self.steps[used:]
        root = root_from(found, self.leaf, self.leaves, rest[:inside])
        if root_from(root, self.chunk, self.chunks, rest[inside:]).hex() != commit.sum_trees:
            raise RootMismatch(
                f"chunk {self.chunk}, leaf {self.leaf}: what is shown does not lead to the "
                "committed root"
            )

    def accuse(
        self, slot: int, slot_id: int, own: Located, cohort: Hashes, arithmetic: bytes
    ) -> BadLeaf:
        """Return the proof that it is not the contribution's own; it is made of hashes only.

        Args:
            own: the leaf under the root of the contribution.
            cohort: siblings of the slot in the cohort.
        """
        return BadLeaf(
            chunk=self.chunk,
            leaf=self.leaf,
            slot=slot,
            slot_id=slot_id,
            in_tree=self.digest,
            in_contribution=own.digest,
            steps=(*self.steps, *own.path, *cohort),
            arithmetic=arithmetic,
        )


def _top(digest: bytes, slot: int, slots: int, steps: Hashes) -> tuple[bytes, int]:
    """Return the top of a sum tree that a leaf leads to, and how many steps that takes."""
    used = 0
    while slots > 1:
        if slot ^ 1 < slots:
            if used + 2 > len(steps):
                raise RootMismatch("the way to the top of the sum tree ends too early")
            beside, own = steps[used : used + 2]
            pair = (beside, digest) if slot % 2 else (digest, beside)
            digest, used = sum_node(*pair, own), used + 2
        slot, slots = slot >> 1, -(-slots >> 1)
    return digest, used


def check_slot(cohort: Cohort, promised: Slot) -> int | None:
    """Return the index of a contribution's slot in a cohort; None if it is not what it must be."""
    at = cohort.around(promised.slot_id)
    return at[0] if len(at) == 1 and cohort.slots[at[0]] == promised else None


def omission(cohort: Cohort, promised: Slot, signature: bytes) -> Omitted:
    """Return the proof that a contribution with a receipt is not in a cohort as it was promised.

    Args:
        cohort: the one that was committed.
        signature: the coordinator's, under the receipt.
    """
    at = cohort.around(promised.slot_id)
    steps = [step for index in at for step in cohort.path(index)]
    slots = tuple(cohort.slots[index] for index in at)
    return Omitted(promised, signature, at[0], slots, tuple(steps))
