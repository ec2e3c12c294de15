"""How long a round has been quiet."""

from coordinator.rounds.progress import Progress
from tests.fakes import ManualClock


def test_work_and_results_are_told_apart():
    """Somebody at work keeps a round from being quiet; only results keep it from being still."""
    clock = ManualClock()
    progress = Progress(clock)
    progress.came_of_it(1)
    clock.advance(10)
    progress.worked(1)
    clock.advance(2)

    assert progress.quiet(1) == (2, 12)

    progress.came_of_it(1)
    assert progress.quiet(1) == (0, 0)


def test_a_round_is_quiet_from_when_it_is_first_looked_at():
    """After a restart nobody is left out for a time in which nobody could work."""
    clock = ManualClock()
    progress = Progress(clock)

    assert progress.quiet(7) == (0, 0)

    clock.advance(3)
    assert progress.quiet(7) == (3, 3)
    assert progress.quiet(8) == (0, 0)


def test_who_was_heard_is_known_for_as_long_as_one_asks():
    """By name, each by the last time; who has a part in the work without saying so is nobody."""
    clock = ManualClock()
    progress = Progress(clock)
    progress.worked(1, "seat-x")
    progress.worked(1, "seat-y")
    clock.advance(4)
    progress.worked(1, "seat-y")
    progress.worked(1)
    progress.worked(2, "seat-z")

    clock.advance(1)

    assert progress.heard(1, 5) == ("seat-y",)
    assert progress.heard(1, 6) == ("seat-x", "seat-y")
    assert progress.heard(3, 6) == ()

    progress.forget(1)
    assert progress.heard(1, 6) == ()
