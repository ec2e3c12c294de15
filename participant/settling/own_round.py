"""What a site looks at of one round's commit: its slot, its leaves, and what it has earned."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from participant.sending.outbox import Outbox
from participant.wire.commits import Commits
from privacy.errors import ProtocolError
from privacy.merkle import chunk_leaves, tree_root
from privacy.plan import SHARES, Plan
from privacy.settlement.accusation import Accusation, accuse
from privacy.settlement.commitment import Cohort, Commit, Slot
from privacy.settlement.leaves import ChunkReader
from privacy.settlement.own_leaf import OwnLeaf, check_slot, omission
from privacy.settlement.slot_search import seek_doubled, seek_promised, shown_slots
from privacy.settlement.sum_proof import Hashes, Node, Omitted, Opening, Tree
from privacy.settlement.sum_tree import Located, locate

from .dossier import Dossier, Receipt, Standing


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found of a commit: what to challenge with, or which node to demand, if anything."""

    standing: Standing
    reason: str = ""
    accusation: Accusation | None = None
    demand: Node | None = None


SOUND = Judged(Standing.SOUND)


@dataclass(frozen=True)
class OwnRound:
    """One round of a site's own, held against its commit.

    Promises the site that a commit it calls sound has its contribution, each leaf of it, in the
    trees that the sum was made by.

    Attributes:
        cohort: as the coordinator has signed it, and shown it to all.
        answers: gives what was answered on the chain to demands of the round; asked only where
            another cohort was committed.
    """

    dossier: Dossier
    plan: Plan
    outbox: Outbox
    cohort: Cohort
    shown: Commits
    answers: Callable[[], Mapping[Node, Opening]] = dict

    async def judge(self, commit: Commit) -> Judged:
        """Return what there is to say of the round's commit.

        Raises:
            MalformedMessage, RootMismatch, WrongContext: what is shown is no answer.
            NotYet, Unavailable: nothing is shown now.
            StoreUnavailable, ConfigError: this site's own upload cannot be read.
        """
        if commit.plan != self.dossier.plan:
            return Judged(Standing.UNPROVED, "the commit names another plan than this site's")
        if (commit.slots, commit.cohort) != (len(self.cohort.slots), self.cohort.root().hex()):
            return await self._of_another_cohort(commit)
        slot = check_slot(self.cohort, self.dossier.slot())
        if slot is None:
            return self._omitted(commit)
        if self.plan.arithmetic.scheme == SHARES:
            return SOUND
        return await self._in_trees(commit, slot)

    async def _of_another_cohort(self, commit: Commit) -> Judged:
        """Return what can be proved or demanded, where other slots were committed than signed."""
        own, receipt = self.dossier.slot_id, self.dossier.receipt
        rest = tuple(slot for slot in self.cohort.slots if slot.slot_id != own)
        if receipt is not None and _is_of(commit, rest):
            return self._false(commit, Cohort(rest), receipt)
        said = (
            f"another cohort was committed ({commit.cohort[:16]}…) than was signed "
            f"({self.cohort.root().hex()[:16]}…)"
        )
        found = self._sought(commit, await asyncio.to_thread(self.answers))
        if isinstance(found, int):
            return Judged(Standing.WITHHELD, said, demand=Node(Tree.COHORT, index=found))
        if found is None:
            return Judged(
                Standing.UNPROVED,
                f"{said}, and of what is wrong in it this site can prove nothing: "
                + ("its own slot is there" if receipt else "it was given no receipt"),
            )
        return Judged(Standing.FALSE, said, accuse(commit, found))

    def _sought(self, commit: Commit, answers: Mapping[Node, Opening]) -> Omitted | int | None:
        """Return the proof, the slot to demand next, or None if neither is left."""
        shown, receipt = shown_slots(answers), self.dossier.receipt
        found: Omitted | int | None = None
        if receipt is not None:
            signature = bytes.fromhex(receipt.signature)
            found = seek_promised(shown, commit.slots, receipt.slot(), signature)
        if found is None and commit.slots > len(self.cohort.slots):
            signed = [each.slot_id for each in self.cohort.slots]
            found = seek_doubled(shown, commit.slots, signed)
        if found is None and not shown and commit.slots:
            # Who has committed to what it cannot open is found by its silence.
            index = self.cohort.around(self.dossier.slot_id)[0]
            return min(index, commit.slots - 1)
        return found

    def _omitted(self, commit: Commit) -> Judged:
        receipt, at = self.dossier.receipt, self.cohort.around(self.dossier.slot_id)
        if receipt is None:
            if self.cohort.slots[at[0]].slot_id != self.dossier.slot_id:
                return Judged(Standing.LEFT_OUT, "nobody has promised this site a slot")
            return Judged(
                Standing.UNPROVED,
                "this site's slot has another contribution, and it was given no receipt by which "
                "that could be proved",
            )
        return self._false(commit, self.cohort, receipt)

    def _false(self, commit: Commit, committed: Cohort, receipt: Receipt) -> Judged:
        """Return the proof that the committed cohort does not keep what the receipt promises."""
        proof = omission(committed, receipt.slot(), bytes.fromhex(receipt.signature))
        said = "this site's contribution is not in the cohort as its receipt promises"
        return Judged(Standing.FALSE, said, accuse(commit, proof))

    async def _in_trees(self, commit: Commit, slot: int) -> Judged:
        reader, chunks = ChunkReader(self.plan), self.plan.arithmetic.chunks
        for chunk in range(chunks):
            own = await asyncio.to_thread(self._leaves, reader, chunk)
            paths = await self.shown.own_paths(commit.round, chunk, len(own))
            for leaf, (digest, steps) in enumerate(paths.leaves):
                at = OwnLeaf(chunk, leaf, len(own), chunks, digest, steps)
                try:
                    at.check_shown(slot, commit)
                except ProtocolError as error:
                    node = Node(Tree.SUM_TREES, chunk, leaf, 0, slot)
                    return Judged(Standing.WITHHELD, str(error), demand=node)
                if digest != own[leaf]:
                    return await asyncio.to_thread(self._bad_leaf, commit, reader, slot, at)
        return SOUND

    def _bad_leaf(self, commit: Commit, reader: ChunkReader, slot: int, at: OwnLeaf) -> Judged:
        own = self._located(reader, at.chunk, at.leaf)
        arithmetic = self.plan.arithmetic.encode()
        path = self.cohort.path(slot)
        proof = at.accuse(slot, self.dossier.slot_id, own, path, arithmetic)
        said = f"chunk {at.chunk}, leaf {at.leaf}: what was added for this site is not what it sent"
        return Judged(Standing.FALSE, said, accuse(commit, proof))

    def _located(self, reader: ChunkReader, chunk: int, leaf: int) -> Located:
        every: list[Sequence[bytes]] = [
            self._leaves(reader, each) for each in range(self.plan.arithmetic.chunks)
        ]
        return locate([tree_root(leaves) for leaves in every], every[chunk], chunk, leaf)

    def _leaves(self, reader: ChunkReader, chunk: int) -> Hashes:
        ((_, payload),) = self.outbox.chunks(chunk, chunk + 1)
        return tuple(chunk_leaves(chunk, reader.words(chunk, payload)))


def _is_of(commit: Commit, slots: tuple[Slot, ...]) -> bool:
    """Return whether a commit is of exactly these slots."""
    if not slots or commit.slots != len(slots):
        return False
    return commit.cohort == Cohort(slots).root().hex()
