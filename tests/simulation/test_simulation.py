"""A short run of the simulation, and proof that it would see what it looks for."""

import logging

import pytest
import structlog
from msgspec.structs import replace

from coordinator import round as machine
from coordinator.accept import Uploads
from coordinator.aggregate import Fold
from coordinator.archive import Archive
from coordinator.state import Phase
from coordinator.sums import Sums
from privacy.records import Cohort
from tests.coordinator.memory_store import MemoryObjects
from tests.simulation.run import live_through

KEPT = (12, 14, 17)
"""Seeds whose histories have broken something once."""


@pytest.fixture(autouse=True)
def silent():
    """Thousands of steps are not worth reading."""
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(wrapper_class=before)


def test_federations_live_through_whatever_their_seeds_decide():
    """At least 200 rounds; a failure names the seed that tells it again."""
    rounds, seed = 0, 1_000
    while rounds < 200:
        outcome = live_through(seed)
        assert not outcome.failure, f"seed {seed}: {outcome.failure}"
        rounds, seed = rounds + outcome.rounds, seed + 1


@pytest.mark.parametrize("seed", KEPT)
def test_no_history_that_broke_something_does_so_again(seed):
    assert live_through(seed).failure == ""


def test_the_same_seed_is_the_same_history():
    assert live_through(5) == live_through(5)


def first_failure(seeds=60):
    """Return the first failure among some seeds."""
    return next(filter(None, (live_through(seed).failure for seed in range(seeds))), "")


def test_a_sum_of_fewer_would_be_seen(monkeypatch):
    monkeypatch.setattr(Fold, "aggregate", _without_the_last)

    assert first_failure().startswith("I1")


def test_a_second_contribution_would_be_seen(monkeypatch):
    def commit(current, event):
        others = [e for e in current.committed if e.participant != event.entry.participant]
        twice = tuple(sorted([*others, event.entry, event.entry], key=lambda e: e.participant))
        return replace(current, committed=twice), ()

    _rewrite(monkeypatch, (Phase.OPEN, machine.Committed), commit)

    assert first_failure().startswith("I2")


def test_a_sum_below_quorum_would_be_seen(monkeypatch):
    def close(current, event):
        closed = replace(current, phase=Phase.AGGREGATING)
        return (
            (closed, (machine.Aggregate(current.number),)) if current.committed else (current, ())
        )

    _rewrite(monkeypatch, (Phase.OPEN, machine.Quiet), close)
    monkeypatch.setattr("coordinator.folding.close.cohort", _cohort_of_any_size)

    assert first_failure().startswith("I3")


def test_a_release_without_signatures_would_be_seen(monkeypatch):
    monkeypatch.setattr(Archive, "keep_signature", lambda *_: None)

    assert first_failure().startswith("I4")


def test_a_round_that_goes_backwards_would_be_seen(monkeypatch):
    def reopen(current, event):
        return replace(current, phase=Phase.OPEN), ()

    _rewrite(monkeypatch, (Phase.OPENING, machine.ModelSealed), reopen)

    assert first_failure().startswith("I5")


def test_a_round_that_does_not_end_would_be_seen(monkeypatch):
    _rewrite(monkeypatch, (Phase.OPEN, machine.Quiet), lambda current, _: (current, ()))

    assert first_failure().startswith("I6")


def test_a_programme_that_an_outage_halts_would_be_seen(monkeypatch):
    """As if silence, and not refusals, spent the turns of those who make keys."""

    def give_up(current, event):
        ended = replace(current, phase=Phase.ABORTED, reason="no opener made a key")
        return (ended, ()) if current.turn >= 23 else wait(current, event)

    wait = machine.TRANSITIONS[Phase.KEYING, machine.Quiet]
    _rewrite(monkeypatch, (Phase.KEYING, machine.Quiet), give_up)

    assert first_failure(10).startswith("I6: members came back")


def test_a_sealer_that_exchanges_its_model_would_be_seen(monkeypatch):
    def take_back(current, event):
        return replace(current, sealed_model="", release="", agreed=()), ()

    _rewrite(monkeypatch, (Phase.OPENING, machine.OpeningFailed), take_back)

    assert first_failure().startswith("I5")


def test_a_receipt_that_is_not_kept_would_be_seen(monkeypatch):
    _rewrite(monkeypatch, (Phase.OPEN, machine.Committed), lambda current, _: (current, ()))

    assert first_failure().startswith("I7")


def test_a_sum_that_is_opened_without_the_auditors_word_would_be_seen(monkeypatch):
    """As if an auditor that is gone were a reason to do without."""

    def go_on(current, event):
        return replace(current, phase=Phase.OPENING), ()

    _rewrite(monkeypatch, (Phase.AUDITING, machine.Quiet), go_on)

    assert first_failure().startswith("I9")


def test_a_sum_that_is_given_out_before_the_countersignature_would_be_seen(monkeypatch):
    monkeypatch.setattr("coordinator.sums._check_answered", lambda *_: None)

    assert first_failure().startswith("I9")


def test_a_countersignature_that_nobody_checks_would_be_seen(monkeypatch):
    """Anybody could then speak for the auditor."""
    monkeypatch.setattr("coordinator.sums.check_signer", lambda *_: None)

    assert first_failure(200).startswith("I9")


def test_contributions_in_other_hands_than_the_auditors_would_be_seen(monkeypatch):
    monkeypatch.setattr(Sums, "_audited", lambda sums, _, number: sums.rounds.get(number))

    assert first_failure().startswith("I9")


def test_a_round_that_waits_for_its_auditor_for_ever_would_be_seen(monkeypatch):
    _rewrite(monkeypatch, (Phase.AUDITING, machine.Quiet), lambda current, _: (current, ()))

    assert first_failure(200).startswith("I6")


def test_seals_that_nobody_checks_would_be_seen(monkeypatch):
    monkeypatch.setattr("coordinator.contributions.verify.seals", lambda *_: None)

    assert first_failure().startswith("I10")


def test_a_contribution_that_counts_without_its_seals_would_be_seen(monkeypatch):
    """Its site died, or the coordinator, between the upload's row and them."""
    monkeypatch.setattr(Uploads, "_require_seals", lambda *_: None)

    assert first_failure(400).startswith("I10")


def test_seals_in_other_hands_than_their_openers_would_be_seen(monkeypatch):
    def to_anybody(sums, _, number, masks=Sums.masks):
        return masks(sums, sums.rounds.get(number).rules.openers[0], number)

    monkeypatch.setattr(Sums, "masks", to_anybody)

    assert first_failure().startswith("I10")


def test_seals_of_others_than_the_cohort_would_be_seen(monkeypatch):
    def without_the_last(sums, caller, number, masks=Sums.masks):
        return masks(sums, caller, number)[:-1]

    monkeypatch.setattr(Sums, "masks", without_the_last)

    assert first_failure().startswith("I10")


def test_contributions_that_outlive_their_round_would_be_seen(monkeypatch):
    monkeypatch.setattr(MemoryObjects, "delete_prefix", lambda *_: None)

    assert first_failure().startswith("I11")


def test_rounds_are_audited_refused_and_given_up_on():
    """The simulation comes to each of the ends that an audit can have."""
    outcomes = [live_through(seed) for seed in range(1, 150, 3)]

    assert [each for each in outcomes if each.failure] == []
    assert sum(each.released for each in outcomes) > len(outcomes)
    reasons = set().union(*(each.reasons for each in outcomes))
    assert "the auditor auditor refuses the sum: sum_off_grid" in reasons
    assert "the auditor auditor neither signed nor refused" in reasons


def test_a_coordinator_that_breaks_would_be_seen(monkeypatch):
    def broken(current, event):
        raise ZeroDivisionError("a bug")

    _rewrite(monkeypatch, (Phase.OPENING, machine.ReleaseSigned), broken)

    assert first_failure().startswith("I8")


def _rewrite(monkeypatch, place, transition):
    monkeypatch.setitem(machine.TRANSITIONS, place, transition)


def _without_the_last(fold, plan, cohort, whole=Fold.aggregate):
    return whole(fold, plan, replace(cohort, entries=cohort.entries[:-1]))


def _cohort_of_any_size(current, plan, roster):
    return Cohort(plan.terms.federation, current.number, plan.digest(), current.committed)
