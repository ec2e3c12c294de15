"""Long work says how far it is, now and then; short work says nothing."""

from participant.pace import SAY_EVERY_SECONDS, Pace, Progress, say_in_log

MIB = 1 << 20


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_short_work_says_nothing():
    """A log line for each chunk of a small model would hide the others."""
    clock, said = Clock(), []
    pace = Pace(1000, said.append, clock=clock)

    for _ in range(1000):
        clock.now += (SAY_EVERY_SECONDS - 0.01) / 1000
        pace.step(MIB)

    assert said == []


def test_long_work_says_how_far_it_is_and_what_is_left():
    """One chunk of a MiB a second, forty of them."""
    clock, said = Clock(), []
    pace = Pace(40, said.append, clock=clock)

    for _ in range(11):
        clock.now += 1
        pace.step(MIB)

    assert said == [Progress(5, 40, 1.0, 35.0), Progress(10, 40, 1.0, 30.0)]


def test_what_was_spoken_of_says_that_it_is_over():
    """A bar that was begun is ended."""
    clock, said = Clock(), []
    pace = Pace(7, said.append, clock=clock)

    for _ in range(7):
        clock.now += 1
        pace.step(MIB)

    assert said == [Progress(5, 7, 1.0, 2.0), Progress(7, 7, 1.0, 0.0)]


def test_what_was_there_before_does_not_count_for_the_rate():
    """A download that goes on at chunk 30 has not brought thirty chunks."""
    clock, said = Clock(), []
    pace = Pace(40, said.append, 30, clock)

    for _ in range(3):
        clock.now += 2
        pace.step(MIB)

    assert said == [Progress(33, 40, 0.5, 14.0)]


def test_progress_is_an_event_of_the_log(monkeypatch):
    """With the round, and units in its names."""
    said = []
    monkeypatch.setattr(
        "participant.pace.log.info", lambda event, **more: said.append((event, more))
    )

    say_in_log("sending", 3)(Progress(1, 2, 3.5, 4.0))

    fields = {"round": 3, "chunks": 1, "of": 2, "mib_per_second": 3.5, "seconds_left": 4.0}
    assert said == [("sending", fields)]
