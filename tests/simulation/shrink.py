"""The fewest operations of a history that still break what it broke."""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from tests.simulation.operations import AnyOperation, History
from tests.simulation.run import Outcome, replay

MOST_TRIES = 200


def shrink(outcome: Outcome) -> History:
    """Return a short history that breaks the same invariant as `outcome` has.

    Halves are left out first, then quarters, down to single operations, as in delta debugging.
    """
    whole = History(outcome.kind, outcome.history, outcome.failure, outcome.seed)
    number = outcome.failure.split(",")[0].split(":")[0]

    def breaks(operations: Sequence[AnyOperation]) -> bool:
        failure = replay(replace(whole, operations=tuple(operations))).failure
        return failure.split(",")[0].split(":")[0] == number

    kept = fewest(whole.operations, breaks) if breaks(whole.operations) else whole.operations
    told = replace(whole, operations=tuple(kept))
    return replace(told, why=replay(told).failure)


def fewest(
    items: Sequence[AnyOperation], breaks: Callable[[Sequence[AnyOperation]], bool]
) -> list[AnyOperation]:
    """Return few of the items, in order, for which `breaks` still holds."""
    kept, size, tries = list(items), len(items) // 2, 0
    while size and tries < MOST_TRIES:
        start = 0
        while start < len(kept) and tries < MOST_TRIES:
            without = kept[:start] + kept[start + size :]
            tries += 1
            if breaks(without):
                kept = without
            else:
                start += size
        size //= 2
    return kept
