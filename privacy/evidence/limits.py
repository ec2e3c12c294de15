"""What a compliance officer allows, held against what a ledger and its plans say."""

from collections.abc import Iterator

import msgspec

from privacy.accounting import NeighbouringRelation, UnitOfPrivacy
from privacy.budget import NO_COSTS, Costs, SpendLimits, costs_of
from privacy.errors import BudgetExhausted
from privacy.events import Events, PositiveDecimal, exact
from privacy.ledger import Dataset, RowType, epsilon_text
from privacy.plan import PrivacyPlan

from .bundle import Bundle, Config
from .finding import Finding, Outcome
from .papers import Papers
from .replay import Replayed
from .trust import Keys


class AuditPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an officer allows: `policy.toml`. What is left out is not asked about.

    Attributes:
        delta: the largest; all epsilons below are at it.
        vector_epsilon_for_life: towards the coalition that can open one update; that of the
            sums where it is left out. The same for one round.
        smallest_cohort: fewest organisations in a sum.
        two_officers: whether two persons must stand behind every limit.
        datasets: ids that have a budget each; where it is left out, one. What several ids have
            spent is one person's loss if the same person is in all of them.
    """

    delta: PositiveDecimal
    epsilon_for_life: PositiveDecimal
    unit: UnitOfPrivacy
    neighbouring: NeighbouringRelation
    epsilon_per_round: PositiveDecimal | None = None
    vector_epsilon_for_life: PositiveDecimal | None = None
    vector_epsilon_per_round: PositiveDecimal | None = None
    mechanisms: tuple[str, ...] | None = None
    smallest_cohort: int | None = None
    two_officers: bool = False
    datasets: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        self.limits()

    def limits(self) -> SpendLimits:
        """Return the limits of epsilon, in both views."""
        per_round = self.epsilon_per_round or self.epsilon_for_life
        return SpendLimits(
            self.delta,
            self.epsilon_for_life,
            per_round,
            self.vector_epsilon_for_life or "",
            self.vector_epsilon_per_round or self.vector_epsilon_for_life or "",
        )


def check_spent(policy: AuditPolicy, replayed: Replayed) -> Iterator[Finding]:
    """Yield where a ledger has spent, or set aside, more than the policy allows."""
    limits = policy.limits()
    yield from _check_names(policy, replayed)
    for name in sorted(replayed.state.datasets):
        yield from _over(name, replayed, limits, "allowed is")
    for at, row in replayed.rows:
        if row.type is RowType.COMMIT and row.event is not None:
            yield from check_round(policy, at, row.event)
        if row.type is RowType.DATASET_REGISTER:
            yield from _check_dataset(policy, at, row.dataset)
        if row.policy is not None and exact(row.policy.delta) > exact(policy.delta):
            yield _breach(f"limits at delta {row.policy.delta}, {policy.delta} is allowed", at)


def check_standing(bundle: Bundle, replayed: Replayed) -> Iterator[Finding]:
    """Yield where a ledger is charged with more than the limits that stand in it allow.

    A correction, ADJUST_UP, is never refused, and may end there; so may a limit that was lowered
    afterwards. A ledger that records no limits has those of its site's configuration.
    """
    standing = replayed.state.standing.limits() or _configured(bundle)
    if standing is None:
        return
    for name in sorted(replayed.state.datasets):
        yield from _over(name, replayed, standing, "the site's own limit is")


def check_mirror(policy: AuditPolicy, papers: Papers) -> Iterator[Finding]:
    """Yield where what sites have claimed in a run is more than the policy allows."""
    claimed: dict[str, Costs] = {}
    for _, at, header in papers.headers():
        yield from check_round(policy, at, header.claim)
        before = claimed.get(header.participant, NO_COSTS)
        claimed[header.participant] = before + costs_of(header.claim)
    for name, costs in sorted(claimed.items()):
        try:
            policy.limits().for_life().check(costs)
        except BudgetExhausted as error:
            yield _breach(f"{name}, by the coordinator's mirror, for life: {error}")


def check_round(policy: AuditPolicy, at: int, events: Events) -> Iterator[Finding]:
    """Yield where one round has cost more than the policy allows."""
    try:
        policy.limits().per_round().check(costs_of(events))
    except BudgetExhausted as error:
        yield _breach(f"one round: {error}", at)


def check_plans(policy: AuditPolicy, papers: Papers) -> Iterator[Finding]:
    """Yield where a plan that was worked under is not as the policy asks."""
    for at, plan in papers.plans.values():
        terms = plan.terms
        for what in _against(policy, terms.privacy):
            yield _breach(f"plan of round {terms.round}: {what}", at)
        if policy.smallest_cohort is not None and terms.cohort_minimum < policy.smallest_cohort:
            yield _breach(
                f"plan of round {terms.round}: a cohort of {terms.cohort_minimum}, "
                f"{policy.smallest_cohort} are asked for",
                at,
            )


def check_officers(
    policy: AuditPolicy | None, keys: Keys | None, bundle: Bundle, replayed: Replayed
) -> Iterator[Finding]:
    """Yield where others than the officers known to the verifier stand behind the limits.

    That every approval is by another officer than who proposed, the ledger's own rules say.
    """
    there = dict(replayed.state.standing.officers())
    known = {} if keys is None else keys.officers.get(bundle.head.participant, {})
    if known and there != known:
        yield _breach(
            f"the ledger names the officers {_names(there)}, with those keys, where "
            f"{_names(known)} are known"
        )
    if policy is not None and policy.two_officers and not there:
        yield _breach("no officers stand behind the limits of this ledger, two are asked for")
    if policy is not None and policy.two_officers and there and not known:
        what = "the keys of the ledger's officers are self-asserted; name them in keys.toml"
        yield Finding(Outcome.INCOMPLETE, 0, what)


def check_config(policy: AuditPolicy, bundle: Bundle) -> Iterator[Finding]:
    """Yield where the site's own policy, as it stands, would allow more than the officer's."""
    asked = policy.limits()
    for at, config in bundle.only(Config):
        for name in ("delta", "epsilon_for_life", "vector_epsilon_for_life"):
            if exact(getattr(config, name)) > exact(getattr(asked, name)):
                yield _breach(
                    f"the site's policy.{name} = {getattr(config, name)}, "
                    f"{getattr(asked, name)} is allowed",
                    at,
                )


def _over(name: str, replayed: Replayed, limits: SpendLimits, whose: str) -> Iterator[Finding]:
    budgets = replayed.state.budgets(name, limits)
    for view in (budgets.sums, budgets.vector):
        charged = view.charged().epsilon(view.delta)
        if not charged <= view.limit_epsilon:
            yield _breach(
                f"dataset {name}: epsilon {charged:.6f} for life in the view of the {view.view}, "
                f"spent and set aside; {whose} {view.limit_epsilon} at delta {limits.delta}"
            )


def _configured(bundle: Bundle) -> SpendLimits | None:
    stated = [config for _, config in bundle.only(Config)]
    if not stated:
        return None
    config = stated[-1]
    return SpendLimits(
        config.delta,
        config.epsilon_for_life,
        config.epsilon_per_round,
        config.vector_epsilon_for_life,
        config.vector_epsilon_per_round,
    )


def _check_names(policy: AuditPolicy, replayed: Replayed) -> Iterator[Finding]:
    """Yield where there are datasets that the policy does not name: a new name is a new budget."""
    names = sorted(replayed.state.datasets)
    if policy.datasets is None and len(names) > 1:
        whole = sum(replayed.state.committed.values(), start=NO_COSTS)
        delta = float(policy.delta)
        yield _breach(
            f"{len(names)} datasets with a budget each: {', '.join(names)}; whoever is in all of "
            f"them has lost epsilon {epsilon_text(whole.sums.epsilon(delta))} in the view of the "
            f"sums and {epsilon_text(whole.vector.epsilon(delta))} in that of the vector; name "
            "them in datasets if they are of different people"
        )
    allowed = names if policy.datasets is None else policy.datasets
    for at, row in replayed.rows:
        if row.type is RowType.DATASET_REGISTER and row.dataset.id not in allowed:
            yield _breach(
                f"dataset {row.dataset.id}: not among {', '.join(allowed) or 'none'}, which are "
                "allowed a budget",
                at,
            )


def _check_dataset(policy: AuditPolicy, at: int, dataset: Dataset) -> Iterator[Finding]:
    for what in _other_people(policy, dataset.unit, dataset.neighbor):
        yield _breach(f"dataset {dataset.id}: {what}", at)


def _other_people(policy: AuditPolicy, unit: str, neighbouring: str) -> Iterator[str]:
    if unit != policy.unit:
        yield f"unit {unit}, not {policy.unit}"
    if neighbouring != policy.neighbouring:
        yield f"neighbouring relation {neighbouring}, not {policy.neighbouring}"


def _against(policy: AuditPolicy, privacy: PrivacyPlan) -> Iterator[str]:
    yield from _other_people(policy, privacy.unit, privacy.neighbouring)
    if exact(privacy.delta) > exact(policy.delta):
        yield f"delta {privacy.delta}, {policy.delta} is allowed"
    if policy.mechanisms is not None and privacy.mechanism not in policy.mechanisms:
        yield f"mechanism {privacy.mechanism} is not among {', '.join(policy.mechanisms)}"


def _names(officers: dict[str, str]) -> str:
    return ", ".join(sorted(officers)) or "none"


def _breach(message: str, entry: int = 0) -> Finding:
    return Finding(Outcome.POLICY, entry, message)
