"""What a ledger has spent, accounted again from its events, by two accountants and in two views."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

import msgspec

from privacy.budget import NO_COSTS, Costs, SpendLimits, costs_of
from privacy.errors import MissingDependency, VeilsumError
from privacy.events import DpEvent, Events
from privacy.ledger import LedgerState, Row, RowType, epsilon_text

from .finding import Finding, Outcome
from .replay import Replayed

SecondOpinion: TypeAlias = Callable[[Sequence[DpEvent], float], object]
"""Asks another accountant about events together at a delta; raises where it does not agree."""

_SPENDS = frozenset({RowType.COMMIT, RowType.PREPROC, RowType.ADJUST_UP})


class View(msgspec.Struct, frozen=True):
    """Epsilon of a dataset in one view, rounded up: spent, and with what is set aside."""

    committed: str
    charged: str


class Spending(msgspec.Struct, frozen=True):
    """What one dataset has given away, at `delta`.

    Attributes:
        rounds: outputs committed; released: of these, in how many a release was adopted.
    """

    dataset: str
    version: int
    unit: str
    neighbouring: str
    delta: str
    sums: View
    vector: View
    rounds: int
    released: int


def spending_of(replayed: Replayed, delta: str) -> tuple[Spending, ...]:
    """Return what each dataset of a ledger has spent at `delta`."""
    state = replayed.state
    return tuple(_spending(state, name, delta) for name in sorted(state.datasets))


def events_spent(rows: Iterable[Row], dataset: str) -> list[Events]:
    """Return the events that a dataset was put to, oldest first."""
    spends = (row for row in rows if row.type in _SPENDS and row.dataset.id == dataset)
    return [row.event for row in spends if row.event is not None]


def epsilons_of(events: Iterable[Events], delta: str) -> tuple[str, str]:
    """Return the epsilons of `events` together in both views: sums, vector; rounded up."""
    total: Costs = NO_COSTS
    for each in events:
        total = total + costs_of(each)
    at = float(delta)
    return epsilon_text(total.sums.epsilon(at)), epsilon_text(total.vector.epsilon(at))


def check_opinions(replayed: Replayed, delta: str, second: SecondOpinion) -> Iterator[Finding]:
    """Yield where another accountant does not agree with ours about all that was spent."""
    rows = [row for _, row in replayed.rows]
    for name in sorted(replayed.state.datasets):
        yield from ask(second, events_spent(rows, name), delta, f"dataset {name}")


def ask(
    second: SecondOpinion, events: Sequence[Events], delta: str, about: str
) -> Iterator[Finding]:
    """Yield where another accountant does not agree about `events` together, in either view."""
    views = {"sums": [each.sums for each in events], "vector": [each.vector for each in events]}
    if views["sums"] == views["vector"]:
        del views["vector"]
    for view, asked in views.items():
        try:
            second(asked, float(delta))
        except MissingDependency as error:
            yield Finding(Outcome.INCOMPLETE, 0, f"no second accountant was asked: {error}")
            return
        except VeilsumError as error:
            yield Finding(Outcome.ACCOUNTING, 0, f"{about}, view of the {view}: {error}")


def _spending(state: LedgerState, name: str, delta: str) -> Spending:
    dataset, budgets = state.dataset(name), state.budgets(name, SpendLimits(delta, "1", "1"))
    outputs = [each for each in state.outputs.values() if each.dataset == name]
    views = [
        View(
            epsilon_text(each.committed.epsilon(each.delta)),
            epsilon_text(each.charged().epsilon(each.delta)),
        )
        for each in (budgets.sums, budgets.vector)
    ]
    return Spending(
        dataset=name,
        version=dataset.version,
        unit=dataset.unit,
        neighbouring=dataset.neighbor,
        delta=delta,
        sums=views[0],
        vector=views[1],
        rounds=len(outputs),
        released=sum(each.release is not None for each in outputs),
    )
