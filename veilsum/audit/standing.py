"""Where the budgets of a state folder stand now: spent, set aside, allowed, left, in both views."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from coordinator.config import Settings
from participant.config import SiteConfig, ledger_of, limits_of
from participant.keys import load_keys
from participant.ledger.reading import LedgerReading, ViewStatus
from participant.memory import recall_ledger
from privacy.budget import SpendLimits
from privacy.configuration import NOTHING, Over
from privacy.evidence.verify import Mirror, verify
from privacy.ledger import Checkpoint, LedgerState, Reservation, Row, RowType
from privacy.signing import public_bytes

from .export import export
from .folder import member_of, require_ledger


class ViewStanding(msgspec.Struct, frozen=True):
    """One view of a budget, in nats; limits and what is left are a ledger's alone to know."""

    committed: float
    reserved: float | None = None
    limit: float | None = None
    remaining: float | None = None


class Open(msgspec.Struct, frozen=True):
    """A reservation with rounds that are not committed."""

    reservation: str
    job: str
    rounds: int
    clip: str


class DatasetStanding(msgspec.Struct, frozen=True):
    """One dataset's budget in both views."""

    participant: str
    dataset: str
    delta: str
    rounds: int
    sums: ViewStanding
    vector: ViewStanding
    open: tuple[Open, ...] = ()


class Standing(msgspec.Struct, frozen=True):
    """What a state folder says of budgets.

    Attributes:
        mirror: whether it is the coordinator's, who knows only what was claimed to it.
        size, root: of the ledger's tree as it is; `checkpoint` is the last one recorded.
        waiting: proposals of limits that no second officer has approved, by row.
        unrecorded: limits of the site's file that the ledger does not have yet, by their names.
    """

    federation: str
    participant: str
    mirror: bool
    datasets: tuple[DatasetStanding, ...]
    size: int = 0
    root: str = ""
    checkpoint: Checkpoint | None = None
    waiting: dict[int, str] = {}
    unrecorded: dict[str, str] = {}


def standing_of(
    state: Path | None, config: Path | None, clock: Callable[[], float], over: Over = NOTHING
) -> Standing:
    """Return where budgets stand; whoever's folder it is may run meanwhile.

    Raises:
        ConfigError: no settings, no keys or no ledger there.
        LedgerRolledBack: it is an older copy than this site has seen.
        RootMismatch: the ledger is broken.
        StoreUnavailable: another process holds it for long.
    """
    member = member_of(state, config, over)
    if isinstance(member, Settings):
        return _mirrored(member, state or member.signing_key.parent, config, clock, over)
    with_ledger = open_reading(member)
    try:
        return _of_ledger(member, with_ledger)
    finally:
        with_ledger.close()


def open_reading(site: SiteConfig) -> LedgerReading:
    """Return a site's ledger, to be read: nothing is begun, and nothing written.

    Raises:
        ConfigError: it has none yet, or none any more.
        LedgerRolledBack: it is an older copy than this site has seen.
    """
    require_ledger(site)
    # Before the ledger is read, which may have grown since, and never shrinks.
    _, seen = recall_ledger(site.state)
    key = public_bytes(load_keys(site.state / "keys").signing).hex()
    ledger = LedgerReading(
        ledger_of(site),
        site=site.participant,
        limits=limits_of(site.policy),
        keys=(key, *site.dataset.ledger_keys),
    )
    try:
        if seen is not None:
            ledger.require_extends(seen)
    except BaseException:
        ledger.close()
        raise
    return ledger


def words_of(standing: Standing) -> str:
    """Return the standing in lines for people."""
    lines = []
    if standing.mirror:
        lines.append("mirror: what sites have claimed to the coordinator; their ledgers decide")
    for one in standing.datasets:
        rounds = "1 round" if one.rounds == 1 else f"{one.rounds} rounds"
        lines.append(f"{one.participant}, dataset {one.dataset}: {rounds}, delta {one.delta}")
        lines += [_view("sums only", one.sums), _view("one opened update", one.vector)]
        lines += [
            f"  {each.reservation}: {each.rounds} rounds set aside for {each.job}, clip {each.clip}"
            for each in one.open
        ]
    if standing.size:
        lines.append(f"tree head: {standing.size} rows, root {standing.root}")
        lines.append(f"last checkpoint: {_checkpoint(standing.checkpoint)}")
    lines += [
        f"row {row}: limits proposed by {name}; another officer must act: veilsum budget approve"
        for row, name in standing.waiting.items()
    ]
    lines += [
        f"site.toml says {name} = {value}; it counts once the agent has started, or after the next "
        "veilsum budget command that writes"
        for name, value in standing.unrecorded.items()
    ]
    return "\n".join(lines or ["nothing is spent"])


def _of_ledger(site: SiteConfig, ledger: LedgerReading) -> Standing:
    state = ledger.state()
    head = state.checkpoint()
    return Standing(
        federation=site.federation,
        participant=site.participant,
        mirror=False,
        datasets=tuple(
            _dataset(site.participant, name, ledger, state) for name in sorted(state.datasets)
        ),
        size=0 if head is None else head.size,
        root="" if head is None else head.root,
        checkpoint=_last_checkpoint(ledger.rows()),
        waiting=dict(_waiting(state)),
        unrecorded=dict(_unrecorded(site, state)),
    )


def _dataset(
    participant: str, name: str, ledger: LedgerReading, state: LedgerState
) -> DatasetStanding:
    status = ledger.status(name)
    return DatasetStanding(
        participant=participant,
        dataset=name,
        delta=status.delta,
        rounds=len(status.outputs),
        sums=_standing(status.sums),
        vector=_standing(status.vector),
        open=tuple(_open(one) for one in state.unspent(name)),
    )


def _standing(view: ViewStatus) -> ViewStanding:
    return ViewStanding(
        committed=view.committed,
        reserved=view.charged - view.committed,
        limit=view.limit,
        remaining=view.remaining,
    )


def _open(held: Reservation) -> Open:
    return Open(held.id, held.job, held.left, held.clip)


def _last_checkpoint(rows: tuple[Row, ...]) -> Checkpoint | None:
    marks = [row.checkpoint for row in rows if row.type is RowType.CHECKPOINT]
    return marks[-1] if marks else None


def _waiting(state: LedgerState) -> Iterator[tuple[int, str]]:
    for seq, row in state.standing.proposed.items():
        yield seq, "" if row.policy is None else row.policy.proposer or ""


def _unrecorded(site: SiteConfig, state: LedgerState) -> Iterator[tuple[str, str]]:
    written = state.standing.written
    limits = limits_of(site.policy)
    for name in SpendLimits.__dataclass_fields__:
        if written is not None and getattr(written, name) != getattr(limits, name):
            yield name, getattr(limits, name)


def _mirrored(
    settings: Settings,
    state: Path,
    config: Path | None,
    clock: Callable[[], float],
    over: Over,
) -> Standing:
    verdict = verify(export(state, clock, config, over=over))
    return Standing(
        federation=settings.federation,
        participant=verdict.participant,
        mirror=True,
        datasets=tuple(_claimed(one) for one in verdict.mirror),
    )


def _claimed(one: Mirror) -> DatasetStanding:
    return DatasetStanding(
        participant=one.participant,
        dataset="as claimed",
        delta=one.delta,
        rounds=one.contributions,
        sums=ViewStanding(float(one.epsilon_sums)),
        vector=ViewStanding(float(one.epsilon_vector)),
    )


def _view(name: str, view: ViewStanding) -> str:
    text = f"  {name}: epsilon {view.committed:.4f} spent"
    if view.limit is None:
        return text
    return f"{text}, {view.reserved:.4f} set aside, {view.remaining:.4f} left of {view.limit:g}"


def _checkpoint(checkpoint: Checkpoint | None) -> str:
    if checkpoint is None:
        return "none is recorded; veilsum audit export records one"
    return f"{checkpoint.size} rows, root {checkpoint.root}"
