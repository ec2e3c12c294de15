"""A short run of the simulation, and proof that it would see what it looks for."""

import logging

import pytest
import structlog
from msgspec.structs import replace

from coordinator import round as machine
from coordinator.aggregate import aggregate
from coordinator.round import Phase
from coordinator.service import Service
from privacy.records import Cohort
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
    monkeypatch.setattr("coordinator.service.aggregate", _without_the_last)

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
    monkeypatch.setattr("coordinator.service.close.cohort", _cohort_of_any_size)

    assert first_failure().startswith("I3")


def test_a_release_without_signatures_would_be_seen(monkeypatch):
    monkeypatch.setattr(Service, "_keep_signature", lambda *_: None)

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


def test_a_coordinator_that_breaks_would_be_seen(monkeypatch):
    def broken(current, event):
        raise ZeroDivisionError("a bug")

    _rewrite(monkeypatch, (Phase.OPENING, machine.ReleaseSigned), broken)

    assert first_failure().startswith("I8")


def _rewrite(monkeypatch, place, transition):
    monkeypatch.setitem(machine.TRANSITIONS, place, transition)


def _without_the_last(combiner, objects, number, roots, chunks):
    return aggregate(combiner, objects, number, dict(list(roots.items())[:-1]), chunks)


def _cohort_of_any_size(current, plan, roster):
    return Cohort(plan.terms.federation, current.number, plan.digest(), current.committed)
