"""Rounds are measured from when they are first seen, phase by phase."""

from collections import Counter
from types import SimpleNamespace

from coordinator.rounds.state import Phase, Round, Rules
from coordinator.watching import Watched, _of_settlement
from veilsum.metrics.catalogue import ROUND_SECONDS

RULES = Rules(
    openers=("amber", "birch"),
    trainers=("amber", "birch"),
    quorum=2,
    agreement=2,
    progress_seconds=2.0,
    abandon_seconds=60.0,
)


class Notes:
    """A tracer that keeps what is over."""

    def __init__(self):
        self.spans = []

    def record(self, name, began, ended, attributes):
        self.spans.append((name, began, ended, attributes["veilsum.round"]))


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def looks(phases):
    clock, notes = Clock(), Notes()
    watched = Watched(tracer=notes, now=clock)
    for phase in phases:
        watched.look({1: Round(1, RULES, phase)}, "tiny")
        clock.now += 10.0
    return watched, notes


def test_each_phase_is_a_span_once():
    """However often it is looked at."""
    _, notes = looks([Phase.OPEN, Phase.OPEN, Phase.AGGREGATING, Phase.DONE, Phase.DONE])

    assert notes.spans == [
        ("round open", 100.0, 120.0, 1),
        ("round aggregating", 120.0, 130.0, 1),
    ]


def test_a_rounds_duration_is_observed_once():
    """With how it ended."""
    watched, _ = looks([Phase.OPEN, Phase.ABORTED, Phase.ABORTED])

    ((metric, labels, seen),) = watched.book.distributions()

    assert (metric, labels) == (ROUND_SECONDS, ("tiny", "aborted"))
    assert (sum(seen.counts), seen.sum) == (1, 10.0)


def test_a_round_that_was_over_before_is_not_measured():
    """A restart does not count the past again."""
    watched, notes = looks([Phase.DONE, Phase.DONE])

    assert list(watched.book.distributions()) == []
    assert notes.spans == []


def test_every_state_of_committed_rounds_and_outcome_of_demands_is_told():
    """Zeros as well: an alarm on a line that is not there never rings."""
    disputes = SimpleNamespace(
        rounds=Counter(open=3, matured=40), waiting=2, looked=5.0, outcomes=Counter(answered=7)
    )
    unknown = SimpleNamespace(rounds=(4, 5))

    told = [
        (m.name, *labels, value) for m, labels, value in _of_settlement(_built(disputes, unknown))
    ]

    assert told == [
        ("veilsum_settlement_round", "open", 3.0),
        ("veilsum_settlement_round", "matured", 40.0),
        ("veilsum_settlement_round", "void", 0.0),
        ("veilsum_settlement_demands_waiting", 2.0),
        ("veilsum_settlement_looked_timestamp_seconds", 5.0),
        ("veilsum_settlement_demands_total", "answered", 7.0),
        ("veilsum_settlement_demands_total", "missed", 0.0),
        ("veilsum_settlement_commits_unknown", 2.0),
    ]


def test_who_settles_nothing_tells_nothing_of_it():
    assert list(_of_settlement(_built(None))) == []


def _built(disputes, unknown=None):
    return SimpleNamespace(disputes=disputes, unknown=unknown)
