"""The site's last word on a plan, before any data is touched. Pure.

Every refusal names the line of `site.toml` that refused.
"""

from fractions import Fraction
from typing import Protocol

from participant.auditing.config import AuditorPolicy
from participant.config import Dataset, Policy, SettlementAccess
from privacy.accounting import epsilon_of
from privacy.contribution.scores import missing_for
from privacy.distributed_sum import DistributedSum
from privacy.errors import BudgetExhausted, OutsideHours, PolicyRefusal, RosterRefused
from privacy.identifiers import Digest
from privacy.mechanism import events_of
from privacy.plan import SHARES, Plan, PrivacyPlan
from privacy.policy_line import PolicyLine, written
from privacy.records import KeySpecification
from privacy.roster import Role, Roster, check_operators, organisations_of

from .approvals import Asked
from .hours import Hours
from .refusing import HasFile, line, refusal, too_small


class HasSmallestCohort(HasFile, Protocol):
    """The policy of a site or of an auditor, as far as both have one."""

    @property
    def smallest_cohort(self) -> int:
        """Fewest organisations in a sum."""
        ...


class MembersPolicy(HasSmallestCohort, Protocol):
    """The policy of a site, an auditor or a seat, as far as all three have one."""

    @property
    def roster(self) -> Digest:
        """Version 0 of the roster, as members compared it."""
        ...

    @property
    def schemes(self) -> tuple[str, ...]:
        """Schemes that it accepts."""
        ...


def check_plan(
    plan: Plan,
    policy: Policy,
    dataset: Dataset,
    roster: Roster,
    model: Digest,
    release: Digest | None,
) -> None:
    """Return if the site takes part in a round under `plan`.

    Args:
        roster: the newest roster that members have admitted.
        model: digest of the model this site holds to be the newest, from the
            public text of its policy or from a release that openers have signed.
        release: digest of that release; None for the public text's model.

    Raises:
        PolicyRefusal: a line of the policy refuses; the message names it.
    """
    check_round(plan, policy, roster)
    terms = plan.terms
    if (terms.model, terms.release) != (model, release):
        raise refusal(
            line(policy, "first_model"),
            f"the plan starts from model {terms.model[:16]}… of another release than this site "
            f"accepts: {model[:16]}…, which it made or which openers have signed",
        )
    _check_model(terms.model, policy)
    _check_privacy(plan, policy, dataset)


def check_payable(plan: Plan, settlement: SettlementAccess | None) -> None:
    """Return if a round under `plan` can be paid by the method that this site's owner agreed to.

    Raises:
        PolicyRefusal: the plan does not open what that method needs.
    """
    if settlement is None or settlement.method is None:
        return
    missing = missing_for(settlement.method, opened=plan.terms.scheme.releases())
    if missing:
        raise refusal(
            line(settlement, "method"),
            f"it needs {' and '.join(missing)}, which round {plan.terms.round} does not open, so "
            "this site could not be paid by it",
        )


def check_round(plan: Plan, policy: Policy, roster: Roster) -> None:
    """Return if this site works under `plan`, whatever its part is, an opener's too.

    Raises:
        PolicyRefusal: another roster or scheme, too small a cohort, or an auditor, openers
            or seats that are not what they must be.
        WrongIdentity: an auditor, an opener or a seat that is not in the roster.
    """
    check_roster(plan, policy, roster)
    check_scheme(plan, policy)
    check_smallest_cohort(plan, policy)
    if plan.arithmetic.scheme == SHARES:
        check_seats(plan.terms.seats, roster, policy)
    _check_auditor(plan, policy, roster)


def check_roster(plan: Plan, policy: Policy, roster: Roster) -> None:
    """Return if the plan is of this federation, and its openers may open and release.

    Raises:
        PolicyRefusal, WrongIdentity: as for `check_round`.
    """
    check_federation(plan, policy, roster)
    check_openers(plan.terms.openers, policy, roster)


def check_federation(plan: Plan, policy: MembersPolicy, roster: Roster) -> None:
    """Return if the plan is of this federation, under this roster.

    Raises:
        PolicyRefusal: it is not.
    """
    terms = plan.terms
    if terms.federation != roster.federation or terms.roster != roster.digest():
        raise refusal(line(policy, "roster"), "the plan names another roster")


def check_scheme(plan: Plan, policy: MembersPolicy) -> None:
    """Return if the policy accepts the plan's scheme.

    Raises:
        PolicyRefusal: it does not.
    """
    if plan.arithmetic.scheme not in policy.schemes:
        raise _not_among(policy, "schemes", plan.arithmetic.scheme)


def check_smallest_cohort(plan: Plan, policy: MembersPolicy) -> None:
    """Return if no cohort that the plan allows is smaller than the policy accepts.

    Raises:
        PolicyRefusal: one is.
    """
    terms = plan.terms
    if terms.cohort_minimum < policy.smallest_cohort:
        by = line(policy, "smallest_cohort")
        raise refusal(by, f"the plan allows {terms.cohort_minimum}")


def check_specification(specification: KeySpecification, policy: Policy, roster: Roster) -> None:
    """Return if this opener makes, or vouches for, a key for `specification`.

    Raises:
        PolicyRefusal: another roster or scheme, or openers that are not trainers of
            different organisations.
    """
    if specification.roster != roster.digest():
        raise refusal(line(policy, "roster"), "the key is for another roster")
    if specification.scheme not in policy.schemes:
        raise _not_among(policy, "schemes", specification.scheme)
    check_openers(specification.openers, policy, roster)


def check_cohort(
    participants: tuple[str, ...], policy: HasSmallestCohort, minimum: int, roster: Roster
) -> None:
    """Return if a sum over `participants` hides each of them well enough.

    Raises:
        CohortTooSmall: fewer organisations than the plan or the policy asks for.
    """
    needed = max(minimum, policy.smallest_cohort)
    organisations = organisations_of(map(roster.member, participants))
    if len(organisations) < needed:
        raise too_small(
            line(policy, "smallest_cohort"),
            f"the cohort has {len(organisations)} organisations; the plan asks for {minimum}",
        )


def check_openers(openers: tuple[str, ...], policy: Policy, roster: Roster) -> None:
    """Return if the openers are trainers whom this site trusts to open sums.

    An opener that works with the coordinator can open one site's update, so it is not
    for the coordinator to say who opens: the site's policy lists whom it accepts, and
    more than half of that list takes part, so that no two rounds are opened apart.

    Raises:
        PolicyRefusal: they are not of the list, too few of it, or of one organisation.
        WrongIdentity: one is not in the roster.
    """
    _check_opener_members(openers, roster, line(policy, "openers"))
    strangers = sorted(set(openers) - set(policy.openers))
    if strangers:
        raise _not_among(policy, "openers", ", ".join(strangers))
    if 2 * len(openers) <= len(policy.openers):
        raise refusal(
            line(policy, "openers"),
            f"{len(openers)} of {len(policy.openers)} are not more than half",
        )


def check_audit(plan: Plan, participant: str, policy: AuditorPolicy, roster: Roster) -> None:
    """Return if `participant` is the one to audit a round under `plan`, and accepts it.

    Raises:
        PolicyRefusal: another roster or scheme, another auditor, or members who are not
            what their part in the plan needs.
        WrongIdentity: one is not in the roster.
    """
    terms = plan.terms
    check_federation(plan, policy, roster)
    check_scheme(plan, policy)
    if terms.auditor != participant:
        by = PolicyLine(policy.FILE, "participant", written(participant))
        raise refusal(by, f"the plan names {terms.auditor} as its auditor")
    by = line(policy, "roster")
    check_auditor(participant, roster, by)
    _check_opener_members(terms.openers, roster, by)


def check_auditor(participant: str, roster: Roster, by: PolicyLine) -> None:
    """Return if a member may be handed single contributions, to add them again.

    Who holds a cohort key could open them; who runs the coordinator would audit itself. Whose
    the coordinator is, the roster says by its operators, where it has any.

    Args:
        by: the line of the one who asks, which refuses.

    Raises:
        PolicyRefusal: no auditor alone, or of an organisation that also trains, adds or operates.
        WrongIdentity: not in the roster.
    """
    auditor = roster.member(participant)
    if auditor.roles != (Role.AUDITOR,):
        raise refusal(by, f"{participant} is no auditor of the roster, or something else too")
    for other in roster.members:
        takes_part = {Role.TRAINER, Role.AGGREGATOR, Role.OPERATOR} & {*other.roles}
        if takes_part and other.is_of(auditor):
            raise refusal(
                by,
                f"{participant} is no auditor: its organisation, {auditor.organisation}, is also "
                f"that of {other.participant}, which is {' and '.join(other.roles)}",
            )


def check_seats(seats: tuple[str, ...], roster: Roster, policy: MembersPolicy) -> None:
    """Return if no two of a plan's seats are in one hand.

    Two of them open every update, so each is a member that adds and does nothing else, of an
    organisation of its own; that its keys are its own, the roster guarantees. One may be the
    coordinator's operator's.

    Raises:
        PolicyRefusal: they are not.
        WrongIdentity: one is not in the roster.
    """
    members, by = [roster.member(seat) for seat in seats], line(policy, "schemes")
    for member in members:
        if member.roles != (Role.AGGREGATOR,):
            raise refusal(
                by, f"{member.participant} is no aggregator of the roster, or something else too"
            )
    if len(organisations_of(members)) != len(members):
        raise refusal(by, "seats must be of different organisations")


def _check_auditor(plan: Plan, policy: Policy, roster: Roster) -> None:
    by = line(policy, "without_auditor")
    if plan.terms.auditor is None:
        # Under shares, what sums are taken of is certified, and each component stated twice.
        if plan.arithmetic.scheme != SHARES and not policy.without_auditor:
            raise refusal(by, "the plan names no auditor")
        return
    check_auditor(plan.terms.auditor, roster, by)


def _check_opener_members(openers: tuple[str, ...], roster: Roster, by: PolicyLine) -> None:
    members = [roster.member(name) for name in openers]
    apart = len(organisations_of(members)) == len(members)
    if not apart or any(Role.TRAINER not in each.roles for each in members):
        raise refusal(by, "openers must be trainers of different organisations")
    try:
        check_operators(roster.members, openers)
    except RosterRefused as error:
        raise refusal(by, str(error)) from None


def _check_model(model: Digest, policy: Policy) -> None:
    # With an approval step, a model that nobody has listed waits for it.
    if policy.models is not None and not policy.approve_plans and model not in policy.models:
        raise refusal(line(policy, "models"), f"model {model} is not among them")


def wants_approval(plan: Plan, policy: Policy) -> bool:
    """Return whether somebody at this site must approve a plan that its policy accepts."""
    return policy.approve_plans and plan.terms.model not in (policy.models or ())


def asked_about(plan: Plan, policy: Policy) -> Asked:
    """Return what is told, of a plan, to whoever is to approve it."""
    terms, privacy = plan.terms, plan.terms.privacy
    cost = epsilon_of(events_of(privacy.training).sums, float(policy.delta))
    return Asked(
        plan=plan.digest(),
        round=terms.round,
        model=terms.model,
        scheme=plan.arithmetic.scheme,
        mechanism=str(privacy.mechanism),
        cohort_minimum=terms.cohort_minimum,
        rounds_left=terms.rounds_left,
        epsilon=f"{cost:.4f}",
        auditor=terms.auditor or "",
    )


def check_hours(hours: Hours, policy: Policy, now: float) -> None:
    """Return if this site contributes at `now`, in seconds since 1970.

    Raises:
        OutsideHours: it does not; what is under way goes on where it stopped.
    """
    if not hours.holds(now):
        raise OutsideHours(
            f"{line(policy, 'hours')}: closed until {hours.opens(now):%Y-%m-%d %H:%M %Z}; then it "
            "goes on where it stopped. The round's progress deadline does not run meanwhile, its "
            "abandon deadline does"
        )


def exhausted(error: BudgetExhausted, policy: Policy) -> BudgetExhausted:
    """Return a ledger's refusal with the line of `site.toml` that it goes by.

    The limit in the message is the one in force: officers may have agreed on a lower one.
    """
    key = error.key.removeprefix("policy.")
    if getattr(policy, key) is None:
        key = key.removeprefix("vector_")
    by = line(policy, key)
    error.line = by
    error.args = (f"{by}: {error}",)
    return error


def _check_privacy(plan: Plan, policy: Policy, dataset: Dataset) -> None:
    privacy = plan.terms.privacy
    if privacy.unit != policy.unit:
        raise refusal(line(policy, "unit"), f"the plan protects a {privacy.unit}")
    if privacy.neighbouring != policy.neighbouring:
        raise refusal(line(policy, "neighbouring"), f"the plan has {privacy.neighbouring}")
    if Fraction(privacy.delta) > Fraction(policy.delta):
        raise refusal(line(policy, "delta"), f"the plan has {privacy.delta}")
    if Fraction(privacy.delta) * dataset.records >= 1:
        by = line(dataset, "records")
        raise refusal(by, f"delta {privacy.delta} is not below 1/records")
    if not set(privacy.releases) <= set(policy.releases):
        extra = ", ".join(sorted(set(privacy.releases) - set(policy.releases)))
        raise refusal(line(policy, "releases"), f"the plan also lets out {extra}")
    _check_mechanism(privacy, policy, dataset)
    _check_cost(privacy, policy)
    if plan.terms.rounds_left > policy.most_rounds:
        by = line(policy, "most_rounds")
        raise refusal(by, f"the plan would set aside {plan.terms.rounds_left}")


def _check_mechanism(privacy: PrivacyPlan, policy: Policy, dataset: Dataset) -> None:
    training = privacy.training
    if privacy.mechanism not in policy.mechanisms:
        raise _not_among(policy, "mechanisms", privacy.mechanism)
    if isinstance(training, DistributedSum) and dataset.records > training.units_cap:
        # Whom the cap leaves out would have to be chosen, which no accountant knows of.
        by = line(dataset, "records")
        raise refusal(by, f"the plan has room for {training.units_cap} units of a site")


def _check_cost(privacy: PrivacyPlan, policy: Policy) -> None:
    events, delta = events_of(privacy.training), float(policy.delta)
    cost = epsilon_of(events.sums, delta)
    if not cost <= float(policy.epsilon_per_round):
        raise refusal(line(policy, "epsilon_per_round"), f"the round costs {cost:.4f}")
    key = "epsilon_per_round"
    if policy.vector_epsilon_per_round is not None:
        key = "vector_epsilon_per_round"
    cost = epsilon_of(events.vector, delta)
    if not cost <= float(getattr(policy, key)):
        raise refusal(
            line(policy, key),
            f"the round costs {cost:.4f} towards who can open this site's update",
        )


def _not_among(policy: HasFile, key: str, name: str) -> PolicyRefusal:
    return refusal(line(policy, key), f"{name} is not among them")
