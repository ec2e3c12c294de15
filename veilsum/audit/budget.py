"""What officers and a site's operator do to its budget; the ledger itself refuses what it must."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from coordinator.keys import load_signing_key, make_signing_key
from participant.config import SiteConfig, dataset_of
from participant.keys import load_keys
from participant.ledger.reading import LedgerReading
from participant.ledger.site_ledger import SiteLedger
from privacy.budget import Costs, SpendLimits, costs_of
from privacy.errors import (
    ConfigError,
    IllegalEvent,
    InvalidSignature,
    MalformedMessage,
    UnsafeParameters,
)
from privacy.events import DpEvent, Events, Gaussian, PoissonSampled, SelfComposed
from privacy.identifiers import sha256_hex
from privacy.ledger import Row, RowType, SpendPolicy, policy_of, proposal_digest
from privacy.ledger import limits_of as limits_in
from privacy.signing import public_bytes
from veilsum.files import read_file

from .folder import require_ledger
from .forecast import forecast, pace
from .writing import written

Clock = Callable[[], float]

LIMITS = tuple(SpendLimits.__dataclass_fields__)
"""Names of the limits that officers set."""


Show = Callable[[str], None]
"""Shows an officer what is about to be signed."""


class Limits(msgspec.Struct, frozen=True):
    """Limits after a command, and whether another officer has to act.

    Attributes:
        row: of the proposal; `proposal` is the digest that names it.
        proposed: what it asks for; `in_force` is what counts now.
        officers: who they are if it is agreed, and their keys.
        datasets: ids that may begin a budget of their own if it is agreed.
    """

    row: int
    officer: str
    proposal: str
    proposed: dict[str, str]
    in_force: dict[str, str]
    officers: dict[str, str]
    datasets: tuple[str, ...]
    approved: bool


@dataclass(frozen=True, slots=True)
class Change:
    """What an officer wants otherwise than it is agreed; what is left out stays.

    Attributes:
        limits: by their names, in decimals.
        datasets: ids that may begin a budget of their own.
        officers: whether those of the site's file replace the ones agreed.
    """

    limits: Mapping[str, str] = field(default_factory=dict)
    datasets: tuple[str, ...] = ()
    officers: bool = False

    def __post_init__(self) -> None:
        if self.limits.keys() - set(LIMITS) or not (self.limits or self.datasets or self.officers):
            raise ConfigError(
                f"a change names a limit ({', '.join(LIMITS)}), a dataset, or the officers"
            )


class Ahead(msgspec.Struct, frozen=True):
    """How long a dataset's budget lasts, with everything counted that is set aside.

    Attributes:
        epsilon_sums, epsilon_vector: of one round alone, at `delta`.
        rounds: that still fit into both views; `stopped_by` refuses the next one.
        seconds_per_round: the pace so far; None below two rounds.
        exhausted: when the last of them is over at that pace.
    """

    dataset: str
    delta: str
    epsilon_sums: float
    epsilon_vector: float
    remaining_sums: float
    remaining_vector: float
    rounds: int
    stopped_by: str
    seconds_per_round: float | None
    exhausted: str | None


@dataclass(frozen=True, slots=True)
class Order:
    """A use of the data as a command line spells it; decimals.

    `vector_noise` is what a single site's update has; that of the sums where it is empty.
    """

    noise: str
    rate: str = "1"
    steps: int = 1
    vector_noise: str = ""

    def events(self) -> Events:
        """Return it as events in both views.

        Raises:
            ConfigError: a number that no accountant takes.
        """
        try:
            events = Events(self._event(self.noise), self._event(self.vector_noise or self.noise))
            costs_of(events)
        except (MalformedMessage, UnsafeParameters) as error:
            raise ConfigError(
                f"--noise-multiplier {self.noise!r}, --sampling-rate {self.rate!r}, --steps "
                f"{self.steps}: {error}; write decimals, as 1.5"
            ) from None
        return events

    def _event(self, noise: str) -> DpEvent:
        return SelfComposed(self.steps, PoissonSampled(self.rate, Gaussian(noise)))


def make_officer(out: Path) -> str:
    """Write a new key of an officer, mode 0600, and return its public half in hex.

    Raises:
        ConfigError: the file exists.
    """
    return public_bytes(make_signing_key(out)).hex()


def propose(
    site: SiteConfig, officer: str, key: Path, change: Change, clock: Clock, show: Show
) -> Limits:
    """Record what an officer proposes: what is agreed, but for the change.

    Args:
        show: is shown all of it before it is signed, and what differs from what is agreed.

    Raises:
        ConfigError: no officers in the site's file or the ledger, no ledger, or no such key;
            `officer` is none, or the key is not that officer's; nothing is written then.
    """
    private = load_signing_key(key)
    with opened(site, clock, officer) as ledger:
        agreed = agreed_in(ledger, site, officer, public_bytes(private).hex())
        wanted = wanted_of(agreed, site, change)
        show(difference(agreed, wanted))
        row = ledger.propose(
            limits_in(wanted),
            officer,
            private,
            officers=wanted.officers,
            datasets=change.datasets,
        )
        return limits_after(ledger.state().standing.proposal(row), officer, ledger, approved=False)


def agreed_in(ledger: SiteLedger, site: SiteConfig, officer: str, key: str = "") -> SpendPolicy:
    """Return what is agreed, with the site's file recorded, for one of the officers.

    Args:
        key: public, in hex; "" where the officer signs elsewhere.

    Raises:
        ConfigError: there are no officers, or this is none of them; nothing is written.
    """
    officers = ledger.state().standing.officers() or site.policy.officers
    if not officers:
        raise ConfigError(
            "policy.officers: the site's file names none, so it sets the limits by itself; "
            "name two, with the lines that `veilsum budget officer` prints"
        )
    if officer not in officers or (key and officers[officer] != key):
        raise ConfigError(
            f"{officer}: not one of the officers ({', '.join(sorted(officers))}), or not with that "
            "key; nothing is recorded"
        )
    ledger.set_policy(site.policy.officers)
    agreed = ledger.state().standing.agreed
    assert agreed is not None  # a policy was recorded, now or before
    return agreed


def wanted_of(agreed: SpendPolicy, site: SiteConfig, change: Change) -> SpendPolicy:
    """Return what is agreed, but for the change."""
    limits = _changed(limits_in(agreed), change.limits)
    officers = site.policy.officers if change.officers else agreed.officers
    return policy_of(limits, officers, {*agreed.datasets, *change.datasets})


def approve(
    site: SiteConfig,
    row: int,
    officer: str,
    key: Path,
    clock: Clock,
    consents: Callable[[str, str], None],
) -> Limits:
    """Record that another officer approves what is proposed in a row.

    Args:
        consents: is given what the officer is about to sign, in words, and the digest that names
            it; raises unless the officer wants that, and then nothing is signed.

    Raises:
        ConfigError: no ledger, or no such key; nothing waits in that row, or `officer` is none, or
            has proposed it.
    """
    with opened(site, clock, officer) as ledger:
        standing = ledger.state().standing
        proposal = standing.proposal(row)
        assert proposal.policy is not None  # of a POLICY_SET
        consents(difference(standing.agreed, proposal.policy), proposal_digest(proposal))
        ledger.approve(row, officer, load_signing_key(key))
        return limits_after(proposal, officer, ledger, approved=True)


def difference(agreed: SpendPolicy | None, wanted: SpendPolicy) -> str:
    """Return in words what a policy says, and where it is not what is agreed."""
    before = wanted if agreed is None else agreed
    here, there = _parts(wanted), _parts(before)
    lines = [_line(name, here.get(name), there.get(name)) for name in {**here, **there}]
    return "\n".join(lines)


def begin_dataset(site: SiteConfig, clock: Clock) -> str:
    """Begin a budget for the dataset of the site's file, and return its id.

    Raises:
        ConfigError: officers stand behind the limits, and have not agreed to that name.
    """
    with opened(site, clock, "operator") as ledger:
        ledger.register(dataset_of(site), another=True)
    return site.dataset.id


def preprocess(site: SiteConfig, dataset: str, order: Order, text: str, clock: Clock) -> None:
    """Spend a use of the data outside of rounds, before it is made.

    Raises:
        BudgetExhausted: it does not fit; do not use the data so.
    """
    with _up_to_date(site, clock) as ledger:
        ledger.preprocess(dataset, order.events(), text)


def adjust(site: SiteConfig, dataset: str, order: Order, text: str, clock: Clock) -> None:
    """Add what was spent and not recorded; never refused by a limit."""
    with _up_to_date(site, clock) as ledger:
        ledger.adjust_up(dataset, order.events(), text)


def retire(site: SiteConfig, reservation: str, evidence: Path, clock: Clock) -> str:
    """Give back what of a reservation is not committed; return the SHA-256 of the evidence.

    Raises:
        ConfigError: nothing of it is left, or the evidence cannot be read.
    """
    named = sha256_hex(read_file(evidence))
    with _up_to_date(site, clock) as ledger:
        ledger.retire(reservation, named)
    return named


def ahead_of(ledger: LedgerReading, dataset: str, order: Order | None, clock: Clock) -> Ahead:
    """Return how long a dataset's budget lasts at the cost of `order`, or of its last round.

    Raises:
        ConfigError: no such dataset, or no round to go by and no order.
    """
    with _typed_by_somebody():
        budgets = ledger.budgets(dataset)
    commits = [
        row
        for row in ledger.rows()
        if row.type is RowType.COMMIT and row.dataset.id == dataset and row.event is not None
    ]
    cost = _cost(order, [row.event for row in commits if row.event is not None], dataset)
    seconds = pace([datetime.fromisoformat(row.ts) for row in commits])
    now = datetime.fromtimestamp(clock(), UTC)
    found = forecast(budgets, cost, seconds, now)
    return Ahead(
        dataset=dataset,
        delta=ledger.limits().delta,
        epsilon_sums=cost.sums.epsilon(budgets.sums.delta),
        epsilon_vector=cost.vector.epsilon(budgets.vector.delta),
        remaining_sums=budgets.sums.remaining_epsilon(),
        remaining_vector=budgets.vector.remaining_epsilon(),
        rounds=found.rounds,
        stopped_by=found.stopped_by,
        seconds_per_round=seconds,
        exhausted=None
        if found.exhausted is None
        else found.exhausted.isoformat(timespec="seconds"),
    )


@contextmanager
def opened(site: SiteConfig, clock: Clock, actor: str) -> Iterator[SiteLedger]:
    """Give a site's ledger to write to; the site's agent may run meanwhile.

    Raises:
        ConfigError: there is none yet.
        LedgerRolledBack: it is an older copy than this site has seen; nothing is written.
        StoreUnavailable: another process holds it for long.
    """
    require_ledger(site)
    key: Ed25519PrivateKey = load_keys(site.state / "keys").signing
    with written(site, key, clock, actor) as ledger, _typed_by_somebody():
        yield ledger


@contextmanager
def _up_to_date(site: SiteConfig, clock: Clock) -> Iterator[SiteLedger]:
    """Give the ledger with the limits of the site's file recorded, as its agent does at start."""
    with opened(site, clock, "operator") as ledger:
        if ledger.state().datasets:
            ledger.set_policy(site.policy.officers)
        yield ledger


@contextmanager
def _typed_by_somebody() -> Iterator[None]:
    # What the ledger calls a fault of the peer is here one of whoever types.
    try:
        yield
    except (IllegalEvent, InvalidSignature) as error:
        raise ConfigError(str(error)) from None


def text_of(limits: Limits) -> str:
    """Return in words what an officer's act has led to, and who acts next."""
    lines = [f"row {limits.row}: proposal {limits.proposal}"]
    if limits.approved:
        lines.append("agreed")
    else:
        lines.append(
            "a lower limit counts at once; for all else another officer must act: veilsum budget "
            f"approve --row {limits.row} --proposal {limits.proposal}"
        )
    higher = [name for name, value in limits.proposed.items() if limits.in_force[name] != value]
    if limits.approved and higher:
        lines.append(f"the site's file is lower, and counts, for {', '.join(higher)}")
    return "\n".join(lines)


def words_of(ahead: Ahead) -> str:
    """Return a forecast in lines for people."""
    stop = f"; the view of the {ahead.stopped_by} refuses the next" if ahead.stopped_by else ""
    day = "no pace to go by" if ahead.exhausted is None else f"until {ahead.exhausted}"
    if not ahead.rounds:
        day = "no round is left"
    return "\n".join(
        (
            f"dataset {ahead.dataset}, delta {ahead.delta}",
            f"  one round: epsilon {ahead.epsilon_sums:.4f} (sums only), "
            f"{ahead.epsilon_vector:.4f} (one opened update)",
            f"  left: {ahead.remaining_sums:.4f} (sums only), {ahead.remaining_vector:.4f} "
            "(one opened update)",
            f"  rounds that fit: {ahead.rounds}{stop}",
            f"  at the pace so far: {day}",
        )
    )


def _parts(policy: SpendPolicy) -> dict[str, str]:
    """Return what a policy says, each part behind its name."""
    officers = {f"officer {name}": key for name, key in sorted(policy.officers.items())}
    datasets = {f"dataset {name}": "may begin a budget" for name in policy.datasets}
    return {**_texts(limits_in(policy)), **officers, **datasets}


def _line(name: str, wanted: str | None, before: str | None) -> str:
    if wanted == before:
        return f"  {name} {wanted}"
    return f"* {name} {wanted or 'none'} (agreed: {before or 'none'})"


def _changed(limits: SpendLimits, changes: Mapping[str, str]) -> SpendLimits:
    return SpendLimits(*(changes.get(name) or getattr(limits, name) for name in LIMITS))


def limits_after(proposal: Row, officer: str, ledger: LedgerReading, *, approved: bool) -> Limits:
    """Return what counts after an officer's act on a proposal."""
    policy = proposal.policy
    assert policy is not None  # of a POLICY_SET
    return Limits(
        row=proposal.seq,
        officer=officer,
        proposal=proposal_digest(proposal),
        proposed=_texts(limits_in(policy)),
        in_force=_texts(ledger.limits()),
        officers=policy.officers,
        datasets=policy.datasets,
        approved=approved,
    )


def _texts(limits: SpendLimits) -> dict[str, str]:
    return {name: getattr(limits, name) for name in LIMITS}


def _cost(order: Order | None, spent: list[Events], dataset: str) -> Costs:
    if order is not None:
        return costs_of(order.events())
    if not spent:
        raise ConfigError(
            f"dataset {dataset}: no round is committed; say what one costs with --noise-multiplier"
        )
    return costs_of(spent[-1])
