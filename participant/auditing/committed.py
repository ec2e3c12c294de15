"""What an auditor holds against a commit: the lowest wrong node of its trees, with the proof.

A commit is held against contributions whose roots their sites have signed. Where the coordinator
shows hashes under it, a wrong one is proved in one file; where it does not, the node to demand on
the chain is named.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from participant.settling.dossier import Standing
from participant.wire.commits import Commits
from privacy.errors import PrivacyError, ProtocolError, RootMismatch, Unavailable
from privacy.limbs import Words
from privacy.merkle import chunk_leaves, tree_root
from privacy.plan import SHARES
from privacy.roster import Roster
from privacy.settlement.accusation import Accusation, accuse
from privacy.settlement.commitment import Cohort, Commit, cohort_of
from privacy.settlement.descent import Found, Honest, follow, leaf_node
from privacy.settlement.slot_search import seek_doubled, shown_slots
from privacy.settlement.sum_proof import Hashes, Node, Opening, Proof, Tree
from privacy.settlement.sum_tree import (
    Levels,
    Served,
    Wrong,
    find,
    locate,
    prove_leaf,
    prove_sum,
    prove_top,
    sum_tree,
)

from .recount import Contributions, Recounted

_Answer = TypeVar("_Answer")
_Ask = Callable[[Coroutine[Any, Any, _Answer]], _Answer]


class Demandable(msgspec.Struct, frozen=True):
    """The position of a node that can be demanded on the chain; as `sum_proof.Node`."""

    tree: str
    chunk: int
    leaf: int
    level: int
    index: int

    @classmethod
    def of(cls, node: Node) -> "Demandable":
        """Return a node's position in words."""
        return cls(node.tree.name.lower(), node.chunk, node.leaf, node.level, node.index)


class CommitFinding(msgspec.Struct, frozen=True):
    """What there is to say of one round's commit.

    Attributes:
        commit: the hash that the chain keeps, hexadecimal.
        standing: `not_committed`, `sound`, `false_commit` (there is a proof), `withheld` (demand
            the node), or `unproved` (it is wrong, and no contract can be convinced).
        proof: kind of the proof: `bad_sum`, `bad_leaf`, `bad_top` or `omitted`; empty if there is
            none.
        file: where the proof was written.
    """

    round: int
    commit: str
    standing: Standing
    reason: str = ""
    proof: str = ""
    file: str = ""
    demand: Demandable | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A finding, and the accusation that it stands for."""

    finding: CommitFinding
    accusation: Accusation | None = None


@dataclass(frozen=True)
class CommitAudit:
    """Holds what a coordinator has committed of one round against the round's contributions.

    Promises whoever challenges by its accusation that it was made of what sites have signed.

    Attributes:
        commit: as the chain has it.
        roster: that of the round's plan.
        summed: under `shares` the root that the coordinator has signed as that of the sum,
            hexadecimal; empty if it shows none.
        answers: gives what was answered on the chain to demands of this round; asked only where
            the coordinator does not show enough.
    """

    commit: Commit
    contributions: Contributions
    shown: Commits
    roster: Roster
    summed: str
    answers: Callable[[], Mapping[Node, Opening]] = dict

    async def run(self) -> Held:
        """Return what there is to say of the commit.

        Raises:
            RootMismatch, MalformedMessage: contributions are not those that sites have signed.
            NotYet, IllegalEvent: they are shown no more.
        """
        plan, cohort = self.contributions.plan, self._cohort()
        wrong = await self._wrong_records(cohort)
        if wrong is not None:
            return wrong
        if plan.arithmetic.scheme == SHARES:
            return self._under_shares()
        ours = await self.contributions.recount()
        if ours.sum_trees().hex() != self.commit.sum_trees:
            return await self._in_trees(ours, cohort)
        if ours.sum().hex() != self.commit.sum:
            return await self._in_sum(ours)
        return self._held(Standing.SOUND)

    def _cohort(self) -> Cohort:
        trainers = [each.participant for each in self.roster.trainers()]
        return cohort_of(self.contributions.entries, trainers)

    async def _wrong_records(self, cohort: Cohort) -> Held | None:
        if (self.commit.slots, self.commit.cohort) != (len(cohort.slots), cohort.root().hex()):
            return await self._of_another_cohort(cohort)
        if self.commit.plan != self.contributions.plan.digest():
            return self._held(Standing.UNPROVED, "the commit names another plan than the round's")
        return None

    async def _of_another_cohort(self, cohort: Cohort) -> Held:
        slots, signed = self.commit.slots, [each.slot_id for each in cohort.slots]
        said = (
            f"the commit is of {slots} slots under cohort {self.commit.cohort[:16]}…, where "
            f"{len(signed)} contributions under {cohort.root().hex()[:16]}… were signed"
        )
        shown = shown_slots(await asyncio.to_thread(self.answers))
        if slots <= len(signed):
            by = "a site that is left out, or whose slot has another contribution, proves it by "
            said = f"{said}; {by}its receipt"
            if shown or not slots:
                return self._held(Standing.UNPROVED, said)
            return self._held(Standing.WITHHELD, said, Node(Tree.COHORT))
        found = seek_doubled(shown, slots, signed)
        if isinstance(found, int):
            return self._held(Standing.WITHHELD, said, Node(Tree.COHORT, index=found))
        if found is None:
            unknown = "a slot among them is nobody's, which no contract can know"
            return self._held(Standing.UNPROVED, f"{said}; {unknown}")
        return self._accused(found, f"{said}; slots {found.slot} and {found.slot + 1} do not rise")

    def _under_shares(self) -> Held:
        same = not self.summed or self.commit.sum == self.summed
        if same and self.commit.sum_trees == bytes(32).hex():
            return self._held(Standing.SOUND, "under shares seats vouch for the sum")
        return self._held(Standing.UNPROVED, "the commit names another sum than the round's")

    # -- the sum trees ----------------------------------------------------------------

    async def _in_trees(self, ours: Recounted, cohort: Cohort) -> Held:
        loop = asyncio.get_running_loop()

        def ask(work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401
            return asyncio.run_coroutine_threadsafe(work, loop).result()

        theirs = _Theirs(self, ask)
        root, honest = bytes.fromhex(self.commit.sum_trees), _Ours(self.contributions, ours, ask)
        try:
            wrong = await asyncio.to_thread(find, root, theirs, honest)
        except _Gone as gone:
            raise gone.error from None
        except (ProtocolError, PrivacyError, Unavailable) as error:
            said = (
                f"what the coordinator shows of the sum trees is not what it committed to: {error}"
            )
            return await self._by_answers(ours, cohort, (theirs.chunk, theirs.leaf), said)
        assert wrong is not None  # the roots differ, and so does a node under them
        return await self._proved(wrong, honest, cohort)

    async def _proved(self, wrong: Wrong, honest: "_Ours", cohort: Cohort) -> Held:
        served, reader = wrong.served, self.contributions.reader
        arithmetic = self.contributions.plan.arithmetic.encode()
        place = reader.place(served.chunk, served.leaf)
        where = f"chunk {served.chunk}, leaf {served.leaf}"
        if wrong.level:
            assert honest.column is not None  # the levels that differ were made of it
            proof: Proof = prove_sum(wrong, place, honest.column, arithmetic)
        else:
            slot = cohort.slots[wrong.index]
            own = await self.contributions.located(wrong.index, served.chunk, served.leaf)
            path = cohort.path(wrong.index)
            proof = prove_leaf(wrong, slot.slot_id, own, path, arithmetic)
        return self._accused(proof, self._said(where, wrong.level, wrong.index))

    async def _by_answers(
        self, ours: Recounted, cohort: Cohort, first: tuple[int, int], said: str
    ) -> Held:
        """Go on by what was answered on the chain; name the leaf to demand where that ends."""
        at, answers = leaf_node(*first, 0), await asyncio.to_thread(self.answers)
        while (opening := answers.get(at)) is not None:
            honest, column = await self._honest(ours, at.chunk, at.leaf)
            found = follow(honest, at.index, opening.steps)
            if isinstance(found, Found):
                return await self._proved_by(found, honest, column, cohort)
            at = found
        return self._held(Standing.WITHHELD, said, at)

    async def _honest(self, ours: Recounted, chunk: int, leaf: int) -> tuple[Honest, Words]:
        sums = await self.contributions.chunk(chunk, ours.chunk_roots[chunk])
        tops = tuple(node.digest for node in sums.nodes)
        column = await self.contributions.column(chunk, leaf, tops[leaf])
        levels = sum_tree(self.contributions.reader.place(chunk, leaf), column)
        return Honest(chunk, leaf, ours.chunk_roots, tops, levels), column

    async def _proved_by(self, found: Found, honest: Honest, column: Words, cohort: Cohort) -> Held:
        arithmetic = self.contributions.plan.arithmetic.encode()
        place = self.contributions.reader.place(honest.chunk, honest.leaf)
        if found.level:
            proof: Proof = found.prove_sum(honest, place, column, arithmetic)
        else:
            own = await self.contributions.located(found.index, honest.chunk, honest.leaf)
            slot_id, path = cohort.slots[found.index].slot_id, cohort.path(found.index)
            proof = found.prove_leaf(honest, slot_id, own, path, arithmetic)
        where = f"chunk {honest.chunk}, leaf {honest.leaf}"
        return self._accused(proof, self._said(where, found.level, found.index))

    def _said(self, where: str, level: int, index: int) -> str:
        if level:
            return f"{where}: node {index} of level {level} is not the sum of its children"
        name = self.contributions.entries[index].participant
        return f"{where}: slot {index} is not the contribution of {name}"

    # -- the published sum ------------------------------------------------------------

    async def _in_sum(self, ours: Recounted) -> Held:
        """Return what is wrong with the sum that is named, under trees that are right."""
        number, leaves = self.commit.round, dict[int, Hashes]()
        roots: list[bytes] = []
        try:
            async with self.contributions.coordinator.sum(number) as (_, chunks):
                async for payload in chunks:
                    at = len(roots)
                    found = chunk_leaves(at, self.contributions.reader.words(at, payload))
                    roots.append(tree_root(found))
                    if not leaves and roots[at] != ours.sum_roots[at]:
                        leaves[at] = tuple(found)
                    if len(roots) == len(ours.sum_roots):
                        break
            _require_under(roots, bytes.fromhex(self.commit.sum))
        except (ProtocolError, PrivacyError, Unavailable) as error:
            return self._held(
                Standing.WITHHELD,
                f"the sum that the coordinator shows is not the one it committed to: {error}",
                Node(Tree.PUBLISHED_SUM),
            )
        ((chunk, shown),) = leaves.items()
        return await self._wrong_top(ours, chunk, shown, tuple(roots))

    async def _wrong_top(self, ours: Recounted, chunk: int, shown: Hashes, roots: Hashes) -> Held:
        sums = await self.contributions.chunk(chunk, ours.chunk_roots[chunk])
        owns = [node.own for node in sums.nodes]
        pairs = enumerate(zip(shown, owns, strict=True))
        leaf = next(at for at, (theirs, right) in pairs if theirs != right)
        column = await self.contributions.column(chunk, leaf, sums.nodes[leaf].digest)
        levels = sum_tree(self.contributions.reader.place(chunk, leaf), column)
        tops = tuple(node.digest for node in sums.nodes)
        served = Served(chunk, leaf, ours.chunk_roots, tops, levels)
        arithmetic = self.contributions.plan.arithmetic.encode()
        proof = prove_top(served, locate(roots, shown, chunk, leaf), arithmetic)
        return self._accused(proof, f"chunk {chunk}, leaf {leaf}: the sum is not the tree's top")

    def _accused(self, proof: Proof, said: str) -> Held:
        accusation = accuse(self.commit, proof)
        return Held(self._held(Standing.FALSE, said, proof=accusation.kind).finding, accusation)

    def _held(
        self, standing: Standing, reason: str = "", node: Node | None = None, proof: str = ""
    ) -> Held:
        commit = self.commit
        demand = None if node is None else Demandable.of(node)
        return Held(
            CommitFinding(
                commit.round, commit.digest().hex(), standing, reason, proof, demand=demand
            )
        )


class _Gone(Exception):
    """Contributions that came once are there no more, or are others; nobody's trees are wrong."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass
class _Ours:
    """The sum trees that contributions make; they are asked for again, from another thread."""

    contributions: Contributions
    recounted: Recounted
    ask: _Ask[Any]
    column: Any = None
    _tops: dict[int, Hashes] = field(default_factory=dict)

    def chunk_roots(self) -> Hashes:
        return self.recounted.chunk_roots

    def tops(self, chunk: int) -> Hashes:
        sums = self._asked(self.contributions.chunk(chunk, self.recounted.chunk_roots[chunk]))
        self._tops[chunk] = tuple(node.digest for node in sums.nodes)
        return self._tops[chunk]

    def levels(self, chunk: int, leaf: int) -> Levels:
        top = self._tops[chunk][leaf]
        self.column = self._asked(self.contributions.column(chunk, leaf, top))
        return sum_tree(self.contributions.reader.place(chunk, leaf), self.column)

    def _asked(self, work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401
        try:
            return self.ask(work)
        except (ProtocolError, PrivacyError, Unavailable) as error:
            raise _Gone(error) from None


@dataclass
class _Theirs:
    """The sum trees as the coordinator shows them; remembers how far it has shown them."""

    audit: CommitAudit
    ask: _Ask[Any]
    chunk: int = 0
    leaf: int = 0

    def chunk_roots(self) -> Hashes:
        chunks = self.audit.contributions.plan.arithmetic.chunks
        found: Hashes = self.ask(self.audit.shown.chunk_roots(self._round(), chunks))
        return found

    def tops(self, chunk: int) -> Hashes:
        self.chunk = chunk
        leaves = self.audit.contributions.reader.leaves(chunk)
        found: Hashes = self.ask(self.audit.shown.tops(self._round(), chunk, leaves))
        return found

    def levels(self, chunk: int, leaf: int) -> Levels:
        self.leaf = leaf
        slots = self.audit.commit.slots
        found: Levels = self.ask(self.audit.shown.levels(self._round(), chunk, leaf, slots))
        return found

    def _round(self) -> int:
        return self.audit.commit.round


def _require_under(roots: list[bytes], root: bytes) -> None:
    if not roots or tree_root(roots) != root:
        raise RootMismatch("its chunks do not lead to the committed root")
