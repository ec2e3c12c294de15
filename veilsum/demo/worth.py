"""What each hospital's part was worth, from the scores that a run has signed."""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from coordinator.settling.settle import budget_of
from privacy.contribution.scores import Method, earned, weights
from privacy.records import Scores


class Worth(msgspec.Struct, frozen=True):
    """What one hospital's contributions were worth. Parts are of 1, over all hospitals.

    Attributes:
        measured: its part of each round's scores; None where it was in no sum, or nobody scored.
        owed: token units that its scores come to.
        unnoised: its part by the same measure without noise, with all hospitals in every round;
            None where nothing is measured.
        exact: its part of the exact Shapley values, by retraining.
    """

    measured: tuple[float | None, ...]
    owed: int
    unnoised: float | None
    exact: float


@dataclass(frozen=True)
class Scored:
    """A round that has released: who is in its sum, and what was signed about them, if it was."""

    number: int
    cohort: tuple[str, ...]
    scores: Scores | None


def parts(method: Method, rounds: Iterable[Scored]) -> list[dict[str, float]]:
    """Return each round's parts by site; none of a round in which nobody earns."""
    found = []
    for each in rounds:
        of = weights(method, each.cohort, each.scores)
        total = sum(of.values())
        found.append({name: weight / total for name, weight in of.items()} if total else {})
    return found


def owed(method: Method, rounds: Iterable[Scored], *, escrow: int, wanted: int) -> dict[str, int]:
    """Return what each site has earned in all, in token units.

    Args:
        wanted: rounds that the programme is for.
    """
    found: dict[str, int] = {}
    for position, each in enumerate(rounds):
        of = weights(method, each.cohort, each.scores)
        for name, amount in earned(budget_of(escrow, wanted, position), of).items():
            found[name] = found.get(name, 0) + amount
    return found
