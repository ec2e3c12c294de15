"""The privacy ledger as a value: rows, the hash chain over them, and what they add up to.

A row is canonical JSON (RFC 8785) and names the SHA-256 of the row before it. Members that do
not apply to a row are absent, so a later version can add members (noise, signature) without
changing how earlier rows hash. No type of row lowers what is committed:

    RESERVE ──▶ COMMIT ──▶ SENT
       └──────▶ RETIRE
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated

import msgspec

from . import canonical
from .accounting import ACCOUNTANT, ORDERS, NeighbouringRelation, UnitOfPrivacy
from .budget import NOTHING, Budget, Spend, spend_of
from .errors import (
    ConflictingContribution,
    IllegalEvent,
    MalformedMessage,
    RootMismatch,
    UnsafeParameters,
)
from .events import DecimalText, DpEvent, check_depth
from .identifiers import Digest, ParticipantId, sha256_hex

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}\Z")]
"""A dataset, job, reservation or actor: 1 to 128 of letters, digits and . _ : -"""

Whole = Annotated[int, msgspec.Meta(ge=1, le=1 << 50)]

START = "0" * 64
"""What the first row names as the one before it."""


class RowType(StrEnum):
    """What happened."""

    DATASET_REGISTER = "DATASET_REGISTER"
    RESERVE = "RESERVE"
    COMMIT = "COMMIT"
    SENT = "SENT"
    RETIRE = "RETIRE"


class Dataset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One version of a dataset, and whom a guarantee about it protects.

    All versions of one `id` share one budget: how much two versions overlap is not known.
    """

    id: Name
    version: Whole
    parent: Whole | None
    unit: UnitOfPrivacy
    max_records_per_unit: Whole
    neighbor: NeighbouringRelation

    def __post_init__(self) -> None:
        if self.unit is UnitOfPrivacy.RECORD and self.max_records_per_unit != 1:
            raise UnsafeParameters(
                f"dataset {self.id}: {self.max_records_per_unit} records per record; "
                "several rows of one patient need the unit 'patient'"
            )


class Divergence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A cost as stored: Renyi orders, and nats at each, rounded up."""

    orders: tuple[str, ...]
    eps: tuple[DecimalText, ...]


class Cumulative(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Epsilon of the dataset after the row, rounded up: committed, and with what is reserved."""

    delta: DecimalText
    eps_committed: DecimalText
    eps_charged: DecimalText


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One row of a ledger. `ledger` is the site; `actor` is who, or what, caused the row."""

    v: Annotated[int, msgspec.Meta(ge=1, le=1)]
    type: RowType
    seq: Whole
    prev: Digest
    ts: str
    ledger: ParticipantId
    dataset: Dataset
    accountant: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,64}/[0-9.]{1,16}\Z")]
    actor: Name
    job: Name | None = None
    round: Whole | None = None
    reservation: Name | None = None
    idempotency: Digest | None = None
    event: DpEvent | None = None
    clip: DecimalText | None = None
    rdp: Divergence | None = None
    cum: Cumulative | None = None
    out: Digest | None = None
    evidence: Digest | None = None


_MEMBERS: Mapping[RowType, frozenset[str]] = {
    RowType.DATASET_REGISTER: frozenset(),
    RowType.RESERVE: frozenset(
        {"job", "round", "reservation", "idempotency", "event", "clip", "rdp", "cum"}
    ),
    RowType.COMMIT: frozenset(
        {"job", "round", "reservation", "idempotency", "event", "clip", "rdp", "cum", "out"}
    ),
    RowType.SENT: frozenset({"job", "round", "reservation", "out"}),
    RowType.RETIRE: frozenset({"job", "round", "reservation", "evidence", "cum"}),
}
"""Which of the members that may be absent each type has: these, and no others."""

_OPTIONAL = frozenset().union(*_MEMBERS.values())


@dataclass(frozen=True, slots=True)
class Reservation:
    """One release of one round: what it costs, how far it has come."""

    id: str
    dataset: str
    job: str
    round: int
    event: DpEvent
    clip: str
    spend: Spend
    status: RowType
    out: str | None = None

    @property
    def key(self) -> tuple[str, str, int]:
        """Dataset, job and round: of these, one output is released, ever."""
        return (self.dataset, self.job, self.round)


@dataclass(frozen=True, slots=True)
class LedgerState:
    """What a chain of rows adds up to."""

    seq: int = 0
    head: str = START
    datasets: Mapping[str, tuple[Dataset, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    reservations: Mapping[str, Reservation] = field(default_factory=lambda: MappingProxyType({}))
    committed: Mapping[str, Spend] = field(default_factory=lambda: MappingProxyType({}))

    def dataset(self, name: str) -> Dataset:
        """Return the latest version of a dataset.

        Raises:
            IllegalEvent: it was never registered.
        """
        if name not in self.datasets:
            raise IllegalEvent(f"dataset {name}: not registered; register it first")
        return self.datasets[name][-1]

    def reservation(self, name: str) -> Reservation:
        """Return a reservation by its id.

        Raises:
            IllegalEvent: it was never made.
        """
        if name not in self.reservations:
            raise IllegalEvent(f"reservation {name}: never made")
        return self.reservations[name]

    def active(self, dataset: str, job: str, round: int) -> Reservation | None:  # noqa: A002
        """Return the one reservation of a round that is not retired, if there is one."""
        key = (dataset, job, round)
        for held in self.reservations.values():
            if held.key == key and held.status is not RowType.RETIRE:
                return held
        return None

    def budget(self, dataset: str, empty: Budget) -> Budget:
        """Return `empty` charged with all that the dataset has committed and reserved."""
        return replace(
            empty, committed=self.committed.get(dataset, NOTHING), reserved=self._open(dataset)
        )

    def _open(self, dataset: str) -> Mapping[str, Spend]:
        return {
            held.id: held.spend
            for held in self.reservations.values()
            if held.dataset == dataset and held.status is RowType.RESERVE
        }


def follow(state: LedgerState, body: bytes) -> LedgerState:
    """Return the state after one more row.

    Raises:
        MalformedMessage: not a row in canonical form, or members that its type does not have.
        RootMismatch: not the row that comes next in this chain.
        IllegalEvent: a step that the state machine does not have.
        ConflictingContribution: a second release of one round.
        UnsafeParameters: a dataset whose new version changes whom it protects.
    """
    row = canonical.decode(body, Row)
    _check_members(row)
    if (row.seq, row.prev) != (state.seq + 1, state.head):
        raise RootMismatch(f"row {row.seq} after {row.prev[:16]}…: row {state.seq + 1} is expected")
    return replace(_apply(state, row), seq=row.seq, head=sha256_hex(body))


def check_cost(row: Row) -> None:
    """Return if the cost that a row states is at least what its event costs.

    Raises:
        RootMismatch: it is less.
    """
    if row.event is None or row.rdp is None or row.type is not RowType.RESERVE:
        return
    stated = spend_from(row.rdp)
    # a last digit may differ between two machines' mathematics libraries
    slack = Spend((Decimal("1E-9"),) * len(ORDERS))
    if not (stated + slack).covers(spend_of(row.event)):
        raise RootMismatch("the cost stated is less than what the event costs")


def divergence_of(spend: Spend) -> Divergence:
    """Return a spend in the form that rows have."""
    amounts = tuple(decimal_text(amount) for amount in spend.at_orders)
    return Divergence(tuple(f"{order:g}" for order in ORDERS), amounts)


def spend_from(divergence: Divergence) -> Spend:
    """Return the spend that a row states.

    Raises:
        UnsafeParameters: it is stated at other orders, and so cannot be added up here.
    """
    if divergence.orders != tuple(f"{order:g}" for order in ORDERS):
        raise UnsafeParameters(f"costs at other orders than those of {ACCOUNTANT}")
    return Spend(tuple(Decimal(amount) for amount in divergence.eps))


def cumulative(budget: Budget, delta: str) -> Cumulative:
    """Return a budget's two epsilons at `delta`, rounded up."""
    return Cumulative(
        delta,
        eps_committed=epsilon_text(budget.committed.epsilon(budget.delta)),
        eps_charged=epsilon_text(budget.charged().epsilon(budget.delta)),
    )


def epsilon_text(epsilon: float) -> str:
    """Return an epsilon to six decimals, rounded up."""
    return decimal_text(Decimal(epsilon).quantize(Decimal("1E-6"), rounding=ROUND_CEILING))


def decimal_text(amount: Decimal) -> str:
    """Return an amount in the one spelling that rows accept."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _check_members(row: Row) -> None:
    present = {name for name in _OPTIONAL if getattr(row, name) is not None}
    if present != _MEMBERS[row.type]:
        odd = sorted(present ^ _MEMBERS[row.type])
        raise MalformedMessage(
            f"row {row.seq}, {row.type}: {', '.join(odd)} missing or not its own"
        )
    if row.event is not None:
        check_depth(row.event)


def _apply(state: LedgerState, row: Row) -> LedgerState:
    if row.type is RowType.DATASET_REGISTER:
        return _register(state, row.dataset)
    if row.dataset != state.dataset(row.dataset.id):
        raise IllegalEvent(f"dataset {row.dataset.id}: not its latest version")
    if row.type is RowType.RESERVE:
        return _reserve(state, row)
    held = state.reservation(row.reservation or "")
    if held.key != (row.dataset.id, row.job, row.round):
        raise IllegalEvent(f"reservation {held.id}: made for another dataset, job or round")
    moved = _move(held, row)
    if row.type is RowType.COMMIT:
        spent = state.committed.get(held.dataset, NOTHING) + held.spend
        state = replace(state, committed=MappingProxyType({**state.committed, held.dataset: spent}))
    return _with(state, moved)


def _register(state: LedgerState, dataset: Dataset) -> LedgerState:
    versions = state.datasets.get(dataset.id, ())
    _check_lineage(versions, dataset)
    known = {**state.datasets, dataset.id: (*versions, dataset)}
    return replace(state, datasets=MappingProxyType(known))


def _check_lineage(versions: tuple[Dataset, ...], dataset: Dataset) -> None:
    if not versions:
        if dataset.parent is not None:
            raise IllegalEvent(f"dataset {dataset.id}: parent {dataset.parent} is not registered")
        return
    latest = versions[-1]
    if dataset.version <= latest.version or dataset.parent not in {v.version for v in versions}:
        raise IllegalEvent(
            f"dataset {dataset.id}: version {dataset.version} of parent {dataset.parent} "
            f"after version {latest.version}; a new version names a registered parent"
        )
    if (dataset.unit, dataset.neighbor) != (latest.unit, latest.neighbor):
        raise UnsafeParameters(
            f"dataset {dataset.id}: unit and neighbouring relation cannot change"
        )


def _reserve(state: LedgerState, row: Row) -> LedgerState:
    assert row.event is not None  # _check_members has seen to these
    assert row.rdp is not None
    made = Reservation(
        id=row.reservation or "",
        dataset=row.dataset.id,
        job=row.job or "",
        round=row.round or 0,
        event=row.event,
        clip=row.clip or "",
        spend=spend_from(row.rdp),
        status=RowType.RESERVE,
    )
    if made.id in state.reservations:
        raise IllegalEvent(f"reservation {made.id}: already made")
    if state.active(*made.key) is not None:
        raise ConflictingContribution(f"job {made.job}, round {made.round}: already reserved")
    return _with(state, made)


def _move(held: Reservation, row: Row) -> Reservation:
    match held.status, row.type:
        case RowType.RESERVE, RowType.COMMIT:
            if (row.event, row.clip) != (held.event, held.clip) or row.rdp != divergence_of(
                held.spend
            ):
                raise IllegalEvent(f"reservation {held.id}: committed is not what was reserved")
            return replace(held, status=RowType.COMMIT, out=row.out)
        case RowType.COMMIT, RowType.SENT:
            if row.out != held.out:
                raise ConflictingContribution(
                    f"reservation {held.id}: sent is not what was committed"
                )
            return replace(held, status=RowType.SENT)
        case RowType.RESERVE, RowType.RETIRE:
            return replace(held, status=RowType.RETIRE)
        case _:
            raise IllegalEvent(f"reservation {held.id}: no {row.type} after {held.status}")


def _with(state: LedgerState, reservation: Reservation) -> LedgerState:
    held = {**state.reservations, reservation.id: reservation}
    return replace(state, reservations=MappingProxyType(held))
