"""A round whose coordinator commits to what a test tells it to, and shows what it has committed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from msgspec.structs import replace

from participant.auditing.committed import CommitAudit
from participant.auditing.recount import Contributions
from participant.wire.commits import OwnPaths
from privacy.documents import Signed
from privacy.errors import NotYet
from privacy.limbs import encode_chunk
from privacy.merkle import chunk_leaves, leaf_digest, tree_root
from privacy.plan import ALIGNMENT_RELEASE
from privacy.records import Release, Score, Scores, digest_of
from privacy.schemes.ckks_sum import CkksCombiner
from privacy.settlement.commitment import NO_COMMIT, Commit, cohort_of
from privacy.settlement.leaves import ChunkReader
from privacy.settlement.payouts import Domain
from privacy.settlement.sum_proof import Hashes, Node
from privacy.settlement.sum_tree import Levels, Served, SumNode, add, sum_node
from privacy.settlement.sum_verdict import Context
from tests.participant import auditor_at_work as work
from tests.participant import signed_round as made

_RELEASES = ("participation", ALIGNMENT_RELEASE)
PLAN = made.plan(
    auditor="watch",
    scheme=replace(made.plan().terms.scheme, score_step_log2=0),
    privacy=replace(made.PRIVACY, releases=_RELEASES),
)
"""Scores are opened, so that a round can be paid by participation, or by alignment."""

ROUND = made.Round(PLAN, made.TRAINERS)
READER = ChunkReader(PLAN)
CHUNKS = 2
SLOTS = len(made.TRAINERS)
DOMAIN = Domain(7, "0x" + "5e" * 20, "70" * 32)
COORDINATOR = "0x" + "c0" * 20

MODEL = "dd" * 32

Lie = Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]
At = tuple[int, int, int, int]


def off_by_one(words: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same words but for one, which is one more."""
    changed = words.copy()
    changed[3] = add(changed[3:4], np.ones(1, np.uint64), made.PARAMETERS.layout.moduli[0])[0]
    return changed


@dataclass
class Trees:
    """Sum trees over the round; at places of `lies` (chunk, leaf, level, index) with other words.

    Everything above a lie follows from it, as a coordinator would have it.
    """

    lies: dict[At, Lie] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._words = {
            chunk: np.stack(
                [READER.words(chunk, ROUND.payloads(name)[chunk]).ravel() for name in made.TRAINERS]
            )
            for chunk in range(CHUNKS)
        }

    def levels(self, chunk: int, leaf: int) -> Levels:
        place = READER.place(chunk, leaf)
        rows = list(self._words[chunk][:, leaf * 256 : (leaf + 1) * 256])
        levels: list[tuple[SumNode, ...]] = []
        below: list[SumNode] = []
        while True:
            at = len(levels)
            for index in range(len(rows)):
                lie = self.lies.get((chunk, leaf, at, index))
                rows[index] = rows[index] if lie is None else lie(rows[index])
            nodes = [self._node(chunk, leaf, row) for row in rows]
            if below:
                joined = zip(below[::2], below[1::2], nodes, strict=False)
                nodes = [SumNode(sum_node(a.digest, b.digest, n.own), n.own) for a, b, n in joined]
                nodes += below[len(below) - len(below) % 2 :]
            levels.append(tuple(nodes))
            if len(nodes) == 1:
                return tuple(levels)
            odd = rows[len(rows) - len(rows) % 2 :]
            pairs = zip(rows[::2], rows[1::2], strict=False)
            rows, below = [add(a, b, place.modulus) for a, b in pairs] + odd, nodes

    def tops(self, chunk: int) -> Hashes:
        return tuple(self.levels(chunk, leaf)[-1][0].digest for leaf in range(READER.leaves(chunk)))

    def chunk_roots(self) -> Hashes:
        return tuple(tree_root(self.tops(chunk)) for chunk in range(CHUNKS))

    def root(self) -> str:
        return tree_root(self.chunk_roots()).hex()

    @staticmethod
    def _node(chunk: int, leaf: int, row: np.ndarray[Any, Any]) -> SumNode:
        place = READER.place(chunk, leaf)
        own = leaf_digest(chunk, leaf, place.modulus_index, row.astype("<u8").tobytes())
        return SumNode(own, own)


@dataclass
class Shown:
    """What the coordinator shows of its trees; of `withheld` nothing."""

    trees: Trees
    withheld: tuple[str, ...] = ()
    slot: int = 0

    async def chunk_roots(self, number: int, chunks: int) -> Hashes:
        return self._give("chunk_roots", self.trees.chunk_roots)

    async def tops(self, number: int, chunk: int, leaves: int) -> Hashes:
        return self._give("tops", lambda: self.trees.tops(chunk))

    async def levels(self, number: int, chunk: int, leaf: int, slots: int) -> Levels:
        return self._give("levels", lambda: self.trees.levels(chunk, leaf))

    async def own_paths(self, number: int, chunk: int, leaves: int) -> OwnPaths:
        return self._give("own_paths", lambda: self._paths(chunk))

    def _paths(self, chunk: int) -> OwnPaths:
        roots, tops = self.trees.chunk_roots(), self.trees.tops(chunk)
        served = [
            Served(chunk, leaf, roots, tops, self.trees.levels(chunk, leaf))
            for leaf in range(len(tops))
        ]
        leaves = tuple(
            (each.levels[0][self.slot].digest, each.upwards(0, self.slot)) for each in served
        )
        return OwnPaths(self.slot, self.slot, (), leaves)

    def _give(self, what: str, make: Callable[[], Any]) -> Any:
        if what in self.withheld:
            raise NotYet(f"{what}: not now")
        return make()


def commit(trees: Trees | None = None, **other: Any) -> Commit:
    """The commit of the round, to these trees, or with other fields."""
    trainers = [each.participant for each in made.roster().trainers()]
    said: dict[str, Any] = {
        "programme": DOMAIN.programme,
        "round": 1,
        "parent": NO_COMMIT,
        "slots": SLOTS,
        "plan": PLAN.digest(),
        "cohort": cohort_of(ROUND.cohort.entries, trainers).root().hex(),
        "sum_trees": HONEST if trees is None else trees.root(),
        "sum": ROUND.sum.root,
        "model": MODEL,
        "payouts": "ee" * 32,
        "total": "100",
        "budget": "100",
        "scores": "4",
    }
    return Commit(**(said | other))


def released(model: str = MODEL, *signers: str) -> Signed:
    """The release of the round, with another model or other signers if a test says so."""
    names = (PLAN.digest(), digest_of(ROUND.cohort), digest_of(ROUND.sum), PLAN.terms.model)
    record = Release(made.FEDERATION, 1, *names, model, "ab" * 32)
    return made.signed_by(record, *(signers or ("birch", "cedar")))


def scored(*signers: str, void: str = "", **alignments: int) -> Signed:
    """The scores of the round as openers have signed them: 10 of each site, or these."""
    names = [] if void else [each.participant for each in ROUND.cohort.entries]
    scores = tuple(Score(name, "", str(alignments.get(name, 10))) for name in names)
    record = Scores(made.FEDERATION, 1, PLAN.digest(), digest_of(ROUND.cohort), 0, scores, void)
    return made.signed_by(record, *(signers or PLAN.terms.openers))


def audit(
    of: Commit,
    shown: Shown,
    coordinator: work.Audited | None = None,
    answers: dict[Node, Hashes] | None = None,
) -> CommitAudit:
    """An audit of a commit before a coordinator that shows the round, and trees as it is told."""
    if coordinator is None:
        coordinator = work.Audited()
        coordinator.audits(ROUND)
    contributions = Contributions(
        coordinator,  # type: ignore[arg-type]
        PLAN,
        ROUND.cohort.entries,
        work.NoPatience(),
    )
    place = (of, contributions, shown, made.roster(), ROUND.sum.root)
    return CommitAudit(*place, lambda: answers or {})  # type: ignore[arg-type]


def context(of: Commit) -> Context:
    """What the contract judges a commit by, in a programme of such plans."""
    return Context(
        domain=DOMAIN,
        coordinator=COORDINATOR,
        arithmetic=PLAN.arithmetic.digest(),
        leaves_per_chunk=READER.leaves(0),
        last_chunk_leaves=READER.leaves(1),
        payouts_before=bytes(32),
        commit=of,
        signer_of=lambda digest, signature: None,
    )


def sum_with(lie: Lie, chunk: int, leaf: int) -> tuple[bytes, ...]:
    """The chunks of the sum with other words at one leaf."""
    words = CkksCombiner(made.PARAMETERS, made.DIMENSION).decode(chunk, ROUND.chunks[chunk])
    flat = words.reshape(-1)
    flat[leaf * 256 : (leaf + 1) * 256] = lie(flat[leaf * 256 : (leaf + 1) * 256])
    chunks = list(ROUND.chunks)
    chunks[chunk] = encode_chunk(made.PARAMETERS.layout, chunk, words)
    return tuple(chunks)


def root_of(chunks: tuple[bytes, ...]) -> str:
    """The root of a sum whose chunks are these."""
    roots = [tree_root(chunk_leaves(at, READER.words(at, each))) for at, each in enumerate(chunks)]
    return tree_root(roots).hex()


HONEST = Trees().root()
