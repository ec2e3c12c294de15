"""What a chain of rows adds up to; no row lowers what is committed.

RESERVE (rounds) ──▶ COMMIT (one of them) ──▶ SENT ──▶ ROUND_RESULT, RELEASE
      └────────────▶ RETIRE (what is left)
PREPROC, ADJUST_UP ──▶ committed
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import MappingProxyType

import rfc8785

from privacy import canonical
from privacy.accounting import ORDERS
from privacy.budget import NO_COSTS, Budget, Budgets, Costs, Held, Spend, SpendLimits, costs_of
from privacy.errors import ConflictingContribution, IllegalEvent, RootMismatch
from privacy.events import Events, to_json
from privacy.identifiers import sha256_hex
from privacy.log_tree import Log

from .amounts import Cumulative, costs_from, cumulative, divergences_of
from .lineage import check_lineage
from .officers import Standing
from .rows import (
    NOTHING_SENT,
    START,
    Checkpoint,
    Dataset,
    Released,
    Result,
    Row,
    RowType,
    Witness,
    check_members,
)

_LEDGER_WIDE = frozenset(
    {RowType.POLICY_SET, RowType.APPROVAL, RowType.WITNESS, RowType.CHECKPOINT}
)
# a last digit may differ between two machines' mathematics libraries
_SLACK = Spend((Decimal("1E-9"),) * len(ORDERS))
_EPSILON_SLACK = Decimal("0.000002")


@dataclass(frozen=True, slots=True)
class Reservation:
    """A number of rounds set aside for one job, and how many of them are spent.

    Attributes:
        costs: of one round.
        used: rounds committed under it.
        retired: whether what was left has been given back.
    """

    id: str
    dataset: str
    job: str
    rounds: int
    events: Events
    clip: str
    costs: Costs
    used: int = 0
    retired: bool = False

    @property
    def left(self) -> int:
        """How many rounds may still be committed under it."""
        return 0 if self.retired else self.rounds - self.used


@dataclass(frozen=True, slots=True)
class Output:
    """The one output of a round, ever: what was committed, and what became of it."""

    dataset: str
    job: str
    round: int
    reservation: str
    out: str
    sent: bool = False
    result: Result | None = None
    release: Released | None = None

    @property
    def key(self) -> tuple[str, str, int]:
        """Dataset, job and round: of these, one output is released, ever."""
        return (self.dataset, self.job, self.round)


@dataclass(frozen=True, slots=True)
class LedgerState:
    """What a chain of rows adds up to."""

    seq: int = 0
    head: str = START
    log: Log = field(default_factory=Log)
    newest: str = ""
    datasets: Mapping[str, tuple[Dataset, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    reservations: Mapping[str, Reservation] = field(default_factory=lambda: MappingProxyType({}))
    outputs: Mapping[tuple[str, str, int], Output] = field(
        default_factory=lambda: MappingProxyType({})
    )
    committed: Mapping[str, Costs] = field(default_factory=lambda: MappingProxyType({}))
    standing: Standing = field(default_factory=Standing)
    witnessed: frozenset[Witness] = frozenset()

    def checkpoint(self) -> Checkpoint | None:
        """Return the head of the tree over all rows; None before the first."""
        return Checkpoint(self.seq, self.log.root().hex()) if self.seq else None

    def dataset(self, name: str) -> Dataset:
        """Return the latest version of a dataset.

        Raises:
            IllegalEvent: it was never registered.
        """
        if name not in self.datasets:
            raise IllegalEvent(f"dataset {name or '?'}: not registered; register it first")
        return self.datasets[name][-1]

    def reservation(self, name: str) -> Reservation:
        """Return a reservation by its id.

        Raises:
            IllegalEvent: it was never made.
        """
        if name not in self.reservations:
            raise IllegalEvent(f"reservation {name}: never made")
        return self.reservations[name]

    def output(self, dataset: str, job: str, round: int) -> Output | None:  # noqa: A002
        """Return a round's one output, if one was committed."""
        return self.outputs.get((dataset, job, round))

    def unspent(self, dataset: str, job: str | None = None) -> tuple[Reservation, ...]:
        """Return the reservations with rounds left, oldest first; of one job, if it is named."""
        return tuple(
            held
            for held in self.reservations.values()
            if held.left and held.dataset == dataset and job in (None, held.job)
        )

    def budgets(self, dataset: str, limits: SpendLimits) -> Budgets:
        """Return the dataset's budgets under `limits`, charged with all that counts."""
        spent, held = self.committed.get(dataset, NO_COSTS), self.unspent(dataset)
        empty = limits.for_life()
        sums = {each.id: Held(each.costs.sums, each.left) for each in held}
        vector = {each.id: Held(each.costs.vector, each.left) for each in held}
        return Budgets(
            _charged(empty.sums, spent.sums, sums), _charged(empty.vector, spent.vector, vector)
        )


def follow(state: LedgerState, body: bytes) -> LedgerState:
    """Return the state after one more row; its signature is `check_signature`'s to check.

    Raises:
        MalformedMessage: not a row in canonical form, or members that its type does not have.
        RootMismatch: not the row that comes next in this chain.
        IllegalEvent: a step that the state machine does not have.
        ConflictingContribution: a second release of one round.
        InvalidSignature: an officer's signature that is not.
        UnsafeParameters: a dataset whose new version changes whom it protects.
    """
    return follow_row(state, read_row(body), body)


def read_row(body: bytes) -> Row:
    """Return the row that `body` encodes.

    Raises:
        MalformedMessage: not a row in canonical form, or members that its type does not have.
    """
    row = canonical.decode(body, Row)
    check_members(row)
    return row


def follow_row(state: LedgerState, row: Row, body: bytes) -> LedgerState:
    """Return the state after a row that `read_row` has read from `body`; raises as `follow`."""
    if (row.seq, row.prev) != (state.seq + 1, state.head):
        raise RootMismatch(f"row {row.seq} after {row.prev[:16]}…: row {state.seq + 1} is expected")
    after = _apply(state, row)
    return replace(after, seq=row.seq, head=sha256_hex(body), log=state.log.add(body))


def check_cost(row: Row) -> None:
    """Return if the cost that a row states is at least what its event costs.

    Raises:
        RootMismatch: it is less.
    """
    if row.event is None or row.rdp is None:
        return
    if not (costs_from(row.rdp) + Costs(_SLACK, _SLACK)).covers(costs_of(row.event)):
        raise RootMismatch("the cost stated is less than what the event costs")


def check_sums(state: LedgerState, row: Row) -> None:
    """Return if the epsilons that a row states are those of `state`, which it led to.

    Raises:
        RootMismatch: they are others.
    """
    if row.cum is None:
        return
    limits = SpendLimits(row.cum.delta, "1", "1")
    if _far(row.cum, cumulative(state.budgets(row.dataset.id, limits), row.cum.delta)):
        raise RootMismatch("the epsilon stated is not what the rows add up to")


def check_limits(state: LedgerState, row: Row, limits: SpendLimits | None = None) -> None:
    """Return if what a row sets aside, or spends, is within the limits.

    A limit that was lowered after a reservation binds its commits, too: they add nothing to what
    is charged, and so it is what is charged that must be within the limits. That a site trained
    and sent nothing is no use of the budget that could be refused any more.

    Args:
        state: before the row.
        limits: None for those that the ledger records, if it does.

    Raises:
        BudgetExhausted: it does not fit, in one of the views.
    """
    if row.rdp is None:
        return
    allowed = limits or state.standing.limits()
    if allowed is None:
        return
    costs, budgets = costs_from(row.rdp), state.budgets(row.dataset.id, allowed)
    if row.type is RowType.RESERVE:
        allowed.per_round().check(costs)
        budgets.check(costs.times(row.rounds or 0))
    elif row.type is RowType.COMMIT and row.out != NOTHING_SENT:
        allowed.per_round().check(costs)
        budgets.check(NO_COSTS)
    elif row.type is RowType.PREPROC:
        budgets.check(costs)


def idempotency_of(row: Row) -> str:
    """Return what tells one reservation, or one output of a round, from every other."""
    assert row.event is not None  # check_members has seen to it
    events = {"sums": to_json(row.event.sums), "vector": to_json(row.event.vector)}
    number = row.rounds if row.type is RowType.RESERVE else row.round
    key = [str(row.type), row.dataset.id, row.job, row.reservation, number, events, row.clip]
    return sha256_hex(rfc8785.dumps(key))


def _apply(state: LedgerState, row: Row) -> LedgerState:
    if row.type is RowType.DATASET_REGISTER:
        return _register(state, row.dataset)
    if row.dataset != state.dataset(row.dataset.id):
        raise IllegalEvent(f"dataset {row.dataset.id}: not its latest version")
    if row.type in _LEDGER_WIDE and row.dataset.id != state.newest:
        raise IllegalEvent(f"dataset {row.dataset.id}: {state.newest} is the newest registered")
    return _STEPS[row.type](state, row)


def _register(state: LedgerState, dataset: Dataset) -> LedgerState:
    versions = state.datasets.get(dataset.id, ())
    check_lineage(versions, dataset)
    if not versions and state.datasets:
        state.standing.check_dataset(dataset.id)
    known = {**state.datasets, dataset.id: (*versions, dataset)}
    return replace(state, datasets=MappingProxyType(known), newest=dataset.id)


def _set_policy(state: LedgerState, row: Row) -> LedgerState:
    return replace(state, standing=state.standing.set(row))


def _approve(state: LedgerState, row: Row) -> LedgerState:
    assert row.approval is not None  # check_members has seen to it
    return replace(state, standing=state.standing.approve(row.approval))


def _mark(state: LedgerState, row: Row) -> LedgerState:
    if row.checkpoint != state.checkpoint():
        raise RootMismatch(f"row {row.seq}: not the checkpoint of the rows before it")
    return state


def _witness(state: LedgerState, row: Row) -> LedgerState:
    assert row.witness is not None  # check_members has seen to it
    return replace(state, witnessed=state.witnessed | {row.witness})


def _note(state: LedgerState, row: Row) -> LedgerState:  # noqa: ARG001 - a step like the others
    return state


def _spend(state: LedgerState, row: Row) -> LedgerState:
    assert row.rdp is not None  # check_members has seen to it
    return _spent(state, row.dataset.id, costs_from(row.rdp))


def _reserve(state: LedgerState, row: Row) -> LedgerState:
    assert row.event is not None  # check_members has seen to these
    assert row.rdp is not None
    made = Reservation(
        id=row.reservation or "",
        dataset=row.dataset.id,
        job=row.job or "",
        rounds=row.rounds or 0,
        events=row.event,
        clip=row.clip or "",
        costs=costs_from(row.rdp),
    )
    if made.id in state.reservations:
        raise IllegalEvent(f"reservation {made.id}: already made")
    _check_idempotency(row)
    return _with(state, made)


def _commit(state: LedgerState, row: Row) -> LedgerState:
    held = _held(state, row)
    made = Output(held.dataset, held.job, row.round or 0, held.id, row.out or "")
    if made.key in state.outputs:
        raise ConflictingContribution(
            f"job {made.job}, round {made.round}: an output is committed; another one would be a "
            "second release"
        )
    if (row.event, row.clip) != (held.events, held.clip) or row.rdp != divergences_of(held.costs):
        raise IllegalEvent(f"reservation {held.id}: committed is not what was reserved")
    _check_idempotency(row)
    moved = _with(_put(state, made), replace(held, used=held.used + 1))
    return _spent(moved, held.dataset, held.costs)


def _retire(state: LedgerState, row: Row) -> LedgerState:
    return _with(state, replace(_held(state, row), retired=True))


def _held(state: LedgerState, row: Row) -> Reservation:
    held = state.reservation(row.reservation or "")
    if (held.dataset, held.job) != (row.dataset.id, row.job):
        raise IllegalEvent(f"reservation {held.id}: made for another dataset or job")
    if not held.left:
        how = "retired" if held.retired else f"all {held.rounds} rounds of it are committed"
        raise IllegalEvent(f"reservation {held.id}: no {row.type}, {how}")
    return held


def _become(state: LedgerState, row: Row) -> LedgerState:
    made = state.output(row.dataset.id, row.job or "", row.round or 0)
    if made is None:
        raise IllegalEvent(f"job {row.job}, round {row.round}: no {row.type}, nothing is committed")
    match row.type:
        case RowType.SENT:
            return _put(state, _sent(made, row))
        case RowType.ROUND_RESULT if made.result is None:
            return _put(state, replace(made, result=row.result))
        case RowType.RELEASE if made.release is None:
            return _put(state, replace(made, release=row.release))
    raise IllegalEvent(f"job {row.job}, round {row.round}: a second {row.type}")


def _sent(made: Output, row: Row) -> Output:
    if (row.out, row.reservation) != (made.out, made.reservation):
        raise ConflictingContribution(
            f"job {made.job}, round {made.round}: sent is not what was committed"
        )
    if made.sent:
        raise IllegalEvent(f"job {made.job}, round {made.round}: a second {row.type}")
    return replace(made, sent=True)


def _check_idempotency(row: Row) -> None:
    if row.idempotency != idempotency_of(row):
        raise RootMismatch(f"row {row.seq}: the idempotency key is not that of its members")


def _spent(state: LedgerState, dataset: str, costs: Costs) -> LedgerState:
    spent = state.committed.get(dataset, NO_COSTS) + costs
    return replace(state, committed=MappingProxyType({**state.committed, dataset: spent}))


def _with(state: LedgerState, reservation: Reservation) -> LedgerState:
    held = {**state.reservations, reservation.id: reservation}
    return replace(state, reservations=MappingProxyType(held))


def _put(state: LedgerState, made: Output) -> LedgerState:
    return replace(state, outputs=MappingProxyType({**state.outputs, made.key: made}))


def _charged(empty: Budget, committed: Spend, held: Mapping[str, Held]) -> Budget:
    return replace(empty, committed=committed, reserved=MappingProxyType(dict(held)))


def _far(stated: Cumulative, found: Cumulative) -> bool:
    pairs = (
        (stated.sums.committed, found.sums.committed),
        (stated.sums.charged, found.sums.charged),
        (stated.vector.committed, found.vector.committed),
        (stated.vector.charged, found.vector.charged),
    )
    return any(abs(Decimal(mine) - Decimal(theirs)) > _EPSILON_SLACK for mine, theirs in pairs)


_STEPS: Mapping[RowType, Callable[[LedgerState, Row], LedgerState]] = {
    RowType.POLICY_SET: _set_policy,
    RowType.APPROVAL: _approve,
    RowType.RESERVE: _reserve,
    RowType.COMMIT: _commit,
    RowType.SENT: _become,
    RowType.RETIRE: _retire,
    RowType.ROUND_RESULT: _become,
    RowType.RELEASE: _become,
    RowType.PREPROC: _spend,
    RowType.ADJUST_UP: _spend,
    RowType.AUDIT_RESULT: _note,
    RowType.WITNESS: _witness,
    RowType.CHECKPOINT: _mark,
}
