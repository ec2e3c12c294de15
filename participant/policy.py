"""The site's last word on a plan, before any data is touched. Pure.

Every refusal names the line of `site.toml` that refused.
"""

from fractions import Fraction
from typing import Protocol

from privacy.accounting import epsilon_of
from privacy.distributed_sum import DistributedSum
from privacy.errors import CohortTooSmall, PolicyRefusal
from privacy.identifiers import Digest
from privacy.mechanism import events_of
from privacy.plan import SHARES, Plan, PrivacyPlan
from privacy.records import KeySpecification
from privacy.roster import Role, Roster

from .auditing.config import AuditorPolicy
from .config import Dataset, Policy


class HasSmallestCohort(Protocol):
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
        raise PolicyRefusal(
            f"policy.first_model: the plan starts from model {terms.model[:16]}… of another "
            f"release than this site accepts: {model[:16]}…, which it made or which openers "
            "have signed"
        )
    _check_privacy(plan, policy, dataset)


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
        check_seats(plan.terms.seats, roster)
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
        raise PolicyRefusal(f"policy.roster: the plan names another roster than {policy.roster}")


def check_scheme(plan: Plan, policy: MembersPolicy) -> None:
    """Return if the policy accepts the plan's scheme.

    Raises:
        PolicyRefusal: it does not.
    """
    if plan.arithmetic.scheme not in policy.schemes:
        raise PolicyRefusal(f"policy.schemes: {plan.arithmetic.scheme} is not among them")


def check_smallest_cohort(plan: Plan, policy: MembersPolicy) -> None:
    """Return if no cohort that the plan allows is smaller than the policy accepts.

    Raises:
        PolicyRefusal: one is.
    """
    terms = plan.terms
    if terms.cohort_minimum < policy.smallest_cohort:
        raise PolicyRefusal(
            f"policy.smallest_cohort = {policy.smallest_cohort}: the plan allows "
            f"{terms.cohort_minimum}"
        )


def check_specification(specification: KeySpecification, policy: Policy, roster: Roster) -> None:
    """Return if this opener makes, or vouches for, a key for `specification`.

    Raises:
        PolicyRefusal: another roster or scheme, or openers that are not trainers of
            different organisations.
    """
    if specification.roster != roster.digest():
        raise PolicyRefusal(f"policy.roster: the key is for another roster than {policy.roster}")
    if specification.scheme not in policy.schemes:
        raise PolicyRefusal(f"policy.schemes: {specification.scheme} is not among them")
    check_openers(specification.openers, policy, roster)


def check_cohort(
    participants: tuple[str, ...], policy: HasSmallestCohort, minimum: int, roster: Roster
) -> None:
    """Return if a sum over `participants` hides each of them well enough.

    Raises:
        CohortTooSmall: fewer organisations than the plan or the policy asks for.
    """
    needed = max(minimum, policy.smallest_cohort)
    organisations = {roster.member(name).organisation for name in participants}
    if len(organisations) < needed:
        raise CohortTooSmall(
            f"policy.smallest_cohort = {policy.smallest_cohort}, plan {minimum}: the cohort has "
            f"{len(organisations)} organisations"
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
    _check_opener_members(openers, roster)
    strangers = sorted(set(openers) - set(policy.openers))
    if strangers:
        raise PolicyRefusal(f"policy.openers: {', '.join(strangers)} is not among them")
    if 2 * len(openers) <= len(policy.openers):
        raise PolicyRefusal(
            f"policy.openers: {len(openers)} of {len(policy.openers)} are not more than half"
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
        raise PolicyRefusal(f"the plan names {terms.auditor} as its auditor, not {participant}")
    check_auditor(participant, roster)
    _check_opener_members(terms.openers, roster)


def check_auditor(participant: str, roster: Roster) -> None:
    """Return if a member may be handed single contributions, to add them again.

    Who holds a cohort key could open them; who runs the coordinator would audit itself. Of
    the coordinator the roster says its key only, which is no member's, and not whose organisation
    it is.

    Raises:
        PolicyRefusal: no auditor alone, or of an organisation that also trains or adds.
        WrongIdentity: not in the roster.
    """
    auditor = roster.member(participant)
    if auditor.roles != (Role.AUDITOR,):
        raise PolicyRefusal(f"{participant} is no auditor of the roster, or something else too")
    for other in roster.members:
        adds = Role.TRAINER in other.roles or Role.AGGREGATOR in other.roles
        if adds and other.organisation == auditor.organisation:
            raise PolicyRefusal(
                f"{participant} is no auditor: its organisation, {auditor.organisation}, is also "
                f"that of {other.participant}, which is {' and '.join(other.roles)}"
            )


def check_seats(seats: tuple[str, ...], roster: Roster) -> None:
    """Return if no two of a plan's seats are in one hand.

    Two of them open every update, so each is a member that adds and does nothing else, of an
    organisation of its own; that its keys are its own, the roster guarantees. One may be the
    coordinator's operator's.

    Raises:
        PolicyRefusal: they are not.
        WrongIdentity: one is not in the roster.
    """
    members = [roster.member(seat) for seat in seats]
    for member in members:
        if member.roles != (Role.AGGREGATOR,):
            raise PolicyRefusal(
                f"policy.schemes: {member.participant} is no aggregator of the roster, or "
                "something else too"
            )
    if len({member.organisation for member in members}) != len(members):
        raise PolicyRefusal("policy.schemes: seats must be of different organisations")


def _check_auditor(plan: Plan, policy: Policy, roster: Roster) -> None:
    if plan.terms.auditor is None:
        # Under shares, what sums are taken of is certified, and each component stated twice.
        if plan.arithmetic.scheme != SHARES and not policy.without_auditor:
            raise PolicyRefusal("policy.without_auditor = false: the plan names no auditor")
        return
    try:
        check_auditor(plan.terms.auditor, roster)
    except PolicyRefusal as refusal:
        raise PolicyRefusal(f"policy.without_auditor: {refusal}") from None


def _check_opener_members(openers: tuple[str, ...], roster: Roster) -> None:
    members = [roster.member(name) for name in openers]
    organisations = {member.organisation for member in members}
    if len(organisations) != len(members) or any(Role.TRAINER not in m.roles for m in members):
        raise PolicyRefusal("openers must be trainers of different organisations")


def _check_privacy(plan: Plan, policy: Policy, dataset: Dataset) -> None:
    privacy = plan.terms.privacy
    if privacy.unit != policy.unit:
        raise PolicyRefusal(f"policy.unit = {policy.unit}: the plan protects a {privacy.unit}")
    if privacy.neighbouring != policy.neighbouring:
        raise PolicyRefusal(
            f"policy.neighbouring = {policy.neighbouring}: the plan has {privacy.neighbouring}"
        )
    if Fraction(privacy.delta) > Fraction(policy.delta):
        raise PolicyRefusal(f"policy.delta = {policy.delta}: the plan has {privacy.delta}")
    if Fraction(privacy.delta) * dataset.records >= 1:
        raise PolicyRefusal(
            f"dataset.records = {dataset.records}: delta {privacy.delta} is not below 1/records"
        )
    if not set(privacy.releases) <= set(policy.releases):
        extra = ", ".join(sorted(set(privacy.releases) - set(policy.releases)))
        raise PolicyRefusal(f"policy.releases: the plan also lets out {extra}")
    _check_mechanism(privacy, policy, dataset)
    _check_cost(privacy, policy)
    if plan.terms.rounds_left > policy.most_rounds:
        raise PolicyRefusal(
            f"policy.most_rounds = {policy.most_rounds}: the plan would set aside "
            f"{plan.terms.rounds_left}"
        )


def _check_mechanism(privacy: PrivacyPlan, policy: Policy, dataset: Dataset) -> None:
    training = privacy.training
    if privacy.mechanism not in policy.mechanisms:
        raise PolicyRefusal(f"policy.mechanisms: {privacy.mechanism} is not among them")
    if isinstance(training, DistributedSum) and dataset.records > training.units_cap:
        # Whom the cap leaves out would have to be chosen, which no accountant knows of.
        raise PolicyRefusal(
            f"dataset.records = {dataset.records}: the plan has room for {training.units_cap} "
            f"units of a site"
        )


def _check_cost(privacy: PrivacyPlan, policy: Policy) -> None:
    events, delta = events_of(privacy.training), float(policy.delta)
    cost = epsilon_of(events.sums, delta)
    if not cost <= float(policy.epsilon_per_round):
        raise PolicyRefusal(
            f"policy.epsilon_per_round = {policy.epsilon_per_round}: the round costs {cost:.4f}"
        )
    line, limit = _vector_limit(policy)
    cost = epsilon_of(events.vector, delta)
    if not cost <= float(limit):
        raise PolicyRefusal(
            f"policy.{line} = {limit}: the round costs {cost:.4f} towards who can open this "
            "site's update"
        )


def _vector_limit(policy: Policy) -> tuple[str, str]:
    """Return the line that limits a round's cost in the `vector` view, and its epsilon."""
    if policy.vector_epsilon_per_round is None:
        return "epsilon_per_round", policy.epsilon_per_round
    return "vector_epsilon_per_round", policy.vector_epsilon_per_round
