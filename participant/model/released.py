"""A released model, checked: under the roster of its day, and against the newest one.

A model outlives the roster it was sealed under. Its plan, openers and envelope are those of
that version; whether it is adopted, or its key passed on, is for members of today.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from participant.config import Policy
from participant.opening import agree
from participant.policy import plans as policy
from participant.wire.coordinator import Coordinator
from participant.wire.planned import check_planned
from privacy import plan as plans
from privacy.documents import Signed, check_agreement
from privacy.errors import MalformedMessage, SchemaMismatch, UnsafeParameters, WrongContext
from privacy.plan import Plan
from privacy.records import Release, SealedModel, release_of
from privacy.roster import Roster
from privacy.signing import Purpose


@dataclass(frozen=True)
class Released:
    """A release that enough openers of its plan have signed, all of them such as might.

    Attributes:
        roster: the version that the plan names.
    """

    plan: Plan
    roster: Roster
    release: Release
    signed: Signed

    def check_still_agreed(self, newest: Roster) -> None:
        """Return if enough of those who signed are trainers of the newest roster, too.

        Who was removed places no model afterwards, not even in the name of an old round.

        Raises:
            InvalidSignature: fewer than the plan asks for.
        """
        terms = self.plan.terms
        trainers = {trainer.participant for trainer in newest.trainers()}
        present = tuple(opener for opener in terms.openers if opener in trainers)
        check_agreement(self.signed, Purpose.RELEASE, present, terms.agreement, newest)

    def envelope(self, signed: Signed) -> SealedModel:
        """Return the envelope of the sealed model that was released.

        Raises:
            WrongContext: it is another; InvalidSignature: no opener has signed it.
        """
        release = self.release
        envelope = agree.check_envelope(signed, self.plan, release.sum, self.roster)
        if release_of(envelope, release.cohort, release.previous) != release:
            raise WrongContext(f"round {release.round}: not the sealed model that was released")
        return envelope


async def released(
    coordinator: Coordinator, limits: Policy, versions: Sequence[Roster], number: int
) -> Released:
    """Return the release of a round, signed by openers who might be by the roster of its day.

    Args:
        versions: every version of the roster that members have admitted, the newest last.

    Raises:
        PolicyRefusal: the plan names a roster that members have not admitted, or openers
            whom this site does not accept.
        InvalidSignature: the coordinator has not signed the plan, or too few openers the release.
        WrongContext: it is of another round. NotYet: there is none.
        SchemaMismatch: its plan is of another version of Veilsum.
    """
    sent = await coordinator.plan(number)
    roster = _roster_of(sent, versions)
    try:
        plan = check_planned(sent, roster, number)
    except (MalformedMessage, UnsafeParameters) as error:
        raise SchemaMismatch(
            f"round {number}: its plan is signed, and was made by another version of Veilsum; run "
            f"that version here until its model is adopted, and upgrade then: {error}"
        ) from error
    policy.check_roster(plan, limits, roster)
    signed = await coordinator.release(number)
    return Released(plan, roster, agree.check_release(signed, plan, roster), signed)


def _roster_of(sent: tuple[bytes, bytes, bytes], versions: Sequence[Roster]) -> Roster:
    """Return the roster that a plan names; the newest for one that names none of them."""
    try:
        named = plans.decode(*sent[:2]).terms.roster
    except (MalformedMessage, UnsafeParameters):
        return versions[-1]  # what is wrong with it is said once its signature is checked
    return next((each for each in versions if each.digest() == named), versions[-1])
