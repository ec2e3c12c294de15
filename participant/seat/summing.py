"""A seat adds its components of a cohort, chunk by chunk, and seals the sums as they are made.

Each part is read from the disk again, and its roots are compared again with those that its
site has signed: a disk that has changed a byte since is found before a word of the sum counts.
Holds the sums of one chunk, one contribution's chunk, and a few digests for each site.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from participant.pace import Pace
from privacy.errors import FoldInterrupted
from privacy.failpoints import Step, pass_by
from privacy.merkle import GrowingTree
from privacy.plan import Plan
from privacy.records import SealedWords
from privacy.schemes.shares.layout import held_by
from privacy.schemes.shares.seat_sum import SeatCombiner
from privacy.schemes.shares.seat_total import SeatTotal
from privacy.sealing import CiphertextDigest, StreamSealer

from .holding import Held
from .outbox import POSITIONS, SumOutbox


@dataclass
class SealedSum:
    """The sum of one component on its way into a file, sealed."""

    component: int
    sealer: StreamSealer = field(repr=False)

    def __post_init__(self) -> None:
        self._tree, self._digest, self._length = GrowingTree(), CiphertextDigest(), 0

    def seal(self, total: SeatTotal, *, last: bool) -> bytes:
        """Return the next chunk as it travels."""
        sealed = self.sealer.seal(total.only(self.component).encode(), last=last)
        self._tree.add(total.root_of(self.component))
        self._digest.update(sealed)
        self._length += len(sealed)
        return sealed

    def stated(self) -> SealedWords:
        """Return what the seat states of it."""
        return SealedWords(
            component=self.component,
            root=self._tree.root().hex(),
            ciphertext=self._digest.hexdigest(),
            length=self._length,
        )


def fold(
    plan: Plan,
    held: Sequence[Held],
    sealers: Callable[[int], StreamSealer],
    into: SumOutbox,
    pace: Pace,
    is_stopped: Callable[[], bool],
    step: Step = pass_by,
) -> tuple[SealedWords, SealedWords]:
    """Add what a seat holds of a cohort; write the sealed sums, and return what to state.

    Args:
        sealers: returns what seals the stream of one component; each is asked for once.
        is_stopped: whether nobody waits for the sums any more.

    Raises:
        StoreUnavailable: the disk refuses, or has damaged a part; nothing is written then.
        CohortTooSmall: there is nothing to add.
        FoldInterrupted: it was stopped.
    """
    seat = held[0].seat if held else 0
    sums = [SealedSum(component, sealers(component)) for component in held_by(seat)]
    with ExitStack() as undone:
        drafts = []
        for position in POSITIONS:
            drafts.append(into.draft(position))
            undone.callback(drafts[-1].discard)
        for total, last in _totals(plan, held, seat, pace):
            if is_stopped():
                raise FoldInterrupted(f"round {plan.terms.round}: stopped while adding")
            for each, draft in zip(sums, drafts, strict=True):
                draft.add(each.seal(total, last=last))
        for position, draft in zip(POSITIONS, drafts, strict=True):
            step("seat.before_publish")
            draft.publish(into.path(position))
    first, second = (each.stated() for each in sums)
    return first, second


def _totals(
    plan: Plan, held: Sequence[Held], seat: int, pace: Pace
) -> Iterator[tuple[SeatTotal, bool]]:
    """Yield the sums of each chunk, and whether it is the last.

    The last one is not yielded before every contribution has led to its signed roots.
    """
    combiner = SeatCombiner(plan.shares(), plan.arithmetic.dimension, seat)
    trees = [(GrowingTree(), GrowingTree()) for _ in held]
    for chunk in range(plan.arithmetic.chunks):
        addition = combiner.begin(chunk)
        for each, grown in zip(held, trees, strict=True):
            for tree, root in zip(grown, each.check_and_add(chunk, addition), strict=True):
                tree.add(root)
        total = addition.total()
        last = chunk == plan.arithmetic.chunks - 1
        if last:
            _check_roots(held, trees)
        pace.step(sum(block.nbytes for block in total.blocks.values()))
        yield total, last


def _check_roots(held: Sequence[Held], trees: Sequence[tuple[GrowingTree, GrowingTree]]) -> None:
    for each, grown in zip(held, trees, strict=True):
        signed = [each.header.roots[component] for component in held_by(each.seat)]
        if [tree.root().hex() for tree in grown] != signed:
            # They were those roots when the part was taken.
            raise each.lose()
