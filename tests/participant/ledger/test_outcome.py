"""A ledger says what became of a round that was paid for, and on whose noise it rests."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from participant.ledger.outcome import honest_of, record, result_of
from participant.sending.contribute import noise_of
from privacy.errors import IllegalEvent, WrongContext
from privacy.ledger import Noise, Released, Result
from privacy.mechanism import events_of
from privacy.records import Cohort, Entry, digest_of
from tests.participant import signed_round as made
from tests.participant.kept_ledger import HEARTS, OUT, PLAN, opened
from tests.participant.paying_site import ended
from tests.privacy.example_round import DISTRIBUTED_PLAN

HERE = made.plan()


def paid(folder: Path) -> Any:
    """A ledger in which the round was committed."""
    ledger = opened(folder / "ledger.sqlite")
    ledger.register(HEARTS)
    events = events_of(made.TRAINING)
    held = ledger.reserve("hearts", made.FEDERATION, events, "1", 1, PLAN)
    ledger.commit(held, 1, OUT)
    return ledger


def test_a_round_that_was_paid_for_is_told_to_its_end(tmp_path):
    """The cohort and the release; again changes nothing."""
    ledger, (release, cohort) = paid(tmp_path), ended(HERE)
    for _ in range(2):
        record(ledger, "hearts", HERE, release, cohort)

    output = ledger.committed("hearts", made.FEDERATION, 1)

    assert output.result == Result(HERE.digest(), release.cohort, 1, 1)
    assert output.release == Released(digest_of(release), release.model)
    assert len(ledger.rows()) == 5


def test_a_round_without_an_output_is_not_told(tmp_path):
    """Nothing was spent in it."""
    ledger = opened(tmp_path / "ledger.sqlite")
    ledger.register(HEARTS)

    with pytest.raises(IllegalEvent):
        record(ledger, "hearts", HERE, *ended(HERE))


def test_another_cohort_or_plan_is_refused():
    """The release names both; whatever else is shown is not what was opened."""
    release, _ = ended(HERE)
    other = Cohort(made.FEDERATION, 1, HERE.digest(), (Entry("birch", "1" * 64, ("2" * 64,)),))

    with pytest.raises(WrongContext):
        result_of(HERE, release, other)
    with pytest.raises(WrongContext):
        result_of(made.plan(clip="19"), release, other)


def test_under_local_a_guarantee_rests_on_one_sites_noise():
    """Its own; how many others there are does not matter, and no row says what noise it was."""
    assert honest_of(HERE) == 1
    assert noise_of(HERE) is None


def test_under_distributed_it_rests_on_what_the_plan_counts_on():
    """However many contribute: an organisation may bring eight sites, and collude with all."""
    training = DISTRIBUTED_PLAN.terms.privacy.training
    release, _ = ended(DISTRIBUTED_PLAN)
    entries = tuple(Entry(f"site-{n}", "1" * 64, ("2" * 64,)) for n in range(10))
    cohort = Cohort(release.federation, release.round, release.plan, entries)

    result = result_of(DISTRIBUTED_PLAN, replace(release, cohort=digest_of(cohort)), cohort)

    assert (result.contributions, result.honest) == (10, training.honest)


def test_under_distributed_the_row_says_the_part_of_this_site():
    """Exactly, so that whoever has all of them can add the variances."""
    training = DISTRIBUTED_PLAN.terms.privacy.training
    variance = training.site_variance(DISTRIBUTED_PLAN.arithmetic.fraction_bits)
    assert noise_of(DISTRIBUTED_PLAN) == Noise(
        "discrete_gaussian", str(variance), training.honest, training.colluders
    )
