"""Rounds are measured from when they are first seen, phase by phase."""

from coordinator.rounds.state import Phase, Round, Rules
from coordinator.watching import Watched
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
