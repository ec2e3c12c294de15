"""What a site's ledger records of the end of a round: its cohort, and the release it adopted."""

from privacy import canonical
from privacy.distributed_sum import DistributedSum
from privacy.documents import Signed
from privacy.errors import WrongContext
from privacy.ledger import Released, Result
from privacy.plan import Plan
from privacy.records import Cohort, Release, digest_of

from .site_ledger import SiteLedger


def record(ledger: SiteLedger, dataset: str, plan: Plan, release: Release, cohort: Signed) -> None:
    """Write down what became of the round of `plan`; again changes nothing.

    Args:
        cohort: the one that the release names, as the coordinator keeps it.

    Raises:
        WrongContext: it is another cohort.
        IllegalEvent: this site committed nothing in the round.
    """
    of_round = (dataset, plan.terms.federation, plan.terms.round)
    ledger.result(*of_round, result_of(plan, release, canonical.decode(cohort.body, Cohort)))
    # last: a release in the ledger says that no more is to come
    ledger.released(*of_round, Released(digest_of(release), release.model))


def result_of(plan: Plan, release: Release, cohort: Cohort) -> Result:
    """Return what became of a round, as its release and its cohort say.

    Raises:
        WrongContext: the release is not of this plan and cohort.
    """
    named = digest_of(cohort)
    if (release.plan, release.cohort) != (plan.digest(), named):
        raise WrongContext(f"round {plan.terms.round}: the release names another plan or cohort")
    return Result(release.plan, named, len(cohort.entries), honest_of(plan))


def honest_of(plan: Plan) -> int:
    """Return how many sites' noise the guarantee of a plan's sums rests on.

    Under mechanism `local` each site's own is enough. Under `distributed` it is the plan's number,
    however many contribute: one organisation may bring several sites, and collude with all.
    """
    training = plan.terms.privacy.training
    return training.honest if isinstance(training, DistributedSum) else 1
