"""Who did not make it is named with the reason, and how long an upload takes is said."""

import pytest

from coordinator.intake.arrivals import RATE_SECONDS, Arrivals
from coordinator.rounds.state import Phase
from coordinator.wire.codec import statuses_to_wire
from tests.fakes import ABANDON_SECONDS, PROGRESS_SECONDS, SITES, ManualClock

MIB = 1 << 20


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def arrivals(clock):
    return Arrivals(clock)


def reason(arrivals, name="amber"):
    (straggler,) = arrivals.stragglers(1, [name])
    return straggler.reason


def test_who_never_began_is_told_from_who_fell_silent(arrivals, clock):
    """Its operator looks at another place."""
    arrivals.begun(1, "birch", 100 * MIB, 0)
    arrivals.came(1, "birch", durable=43 * MIB)
    clock.advance(12)

    assert reason(arrivals) == "never began to send"
    assert reason(arrivals, "birch") == (
        "at 43 % of 100.0 MiB at 3.583 MiB/s, 16 s left; silent for 12 s"
    )


def test_who_sent_all_and_never_committed_is_told_so(arrivals, clock):
    """All of it is on the coordinator's disk, and it does not count."""
    arrivals.begun(1, "amber", 10, 0)
    arrivals.came(1, "amber", durable=10)
    clock.advance(3)

    assert reason(arrivals) == "all of it is here, and never committed; silent for 3 s"


def test_bytes_within_a_chunk_count(arrivals, clock):
    """On a slow line a chunk takes minutes."""
    arrivals.begun(1, "amber", 100, 50)
    arrivals.came(1, "amber", partial=10)
    assert reason(arrivals).startswith("at 60 %")

    arrivals.came(1, "amber", durable=25)

    assert reason(arrivals).startswith("at 75 %")


def test_the_time_that_is_left_is_that_of_the_slowest(arrivals, clock):
    """At the rate at which it came; who has committed is not waited for."""
    arrivals.begun(1, "amber", 100, 0)
    arrivals.begun(1, "birch", 100, 50)
    clock.advance(10)
    arrivals.came(1, "amber", durable=20)
    arrivals.came(1, "birch", durable=20)

    assert arrivals.seconds_left(1, []) == pytest.approx(40)
    assert arrivals.seconds_left(1, ["amber"]) == pytest.approx(15)
    assert arrivals.seconds_left(1, ["amber", "birch"]) == 0


def test_what_does_not_move_has_no_time_left(arrivals, clock):
    """Rather no number than a false one."""
    arrivals.begun(1, "amber", 100, 30)
    clock.advance(10)

    assert arrivals.seconds_left(1, []) == 0
    assert arrivals.seconds_left(2, []) == 0


def test_an_hour_without_a_line_is_soon_forgotten(arrivals, clock):
    """The rate is that of about the last minute."""
    arrivals.begun(1, "amber", 10_000, 0)
    clock.advance(3600)
    for _ in range(40):
        clock.advance(10)
        arrivals.came(1, "amber", durable=100)

    assert arrivals.seconds_left(1, []) == pytest.approx(6000 / 10, rel=2 * 10 / RATE_SECONDS)


def test_progress_is_said_now_and_then(arrivals, clock, monkeypatch):
    """Who sends, how far it is and when it will be there, for the operator."""
    said = []
    monkeypatch.setattr("coordinator.intake.arrivals.log.info", lambda event, **of: said.append(of))
    arrivals.begun(1, "amber", 4 * MIB, 0)
    clock.advance(10)
    arrivals.came(1, "amber", durable=MIB)

    for _ in range(5):
        arrivals.say(1, ["amber", "birch"])

    (line,) = said
    assert line["uploads"] == {"amber": "25 % of 4.0 MiB at 0.100 MiB/s, 30 s left"}
    assert line["not_begun"] == 1


# -- in a round ----------------------------------------------------------------------------


def test_a_round_that_closes_without_a_site_names_it_and_why(opened):
    """In its record, for its members and in the log."""
    for name in SITES[:3]:
        opened.contribute(name)
    opened.begin(SITES[3])
    opened.put_chunk(SITES[3], 1, 0)
    opened.clock.advance(PROGRESS_SECONDS + 1)

    opened.tick()

    (straggler,) = opened.round().stragglers
    (status,) = (each for each in statuses_to_wire(opened.service.rounds.all()) if each.number == 1)
    assert straggler.participant == SITES[3]
    assert straggler.reason.startswith("at 50 % of 0.1 MiB at ")
    assert "silent for 6 s" in straggler.reason
    assert [each.participant for each in status.stragglers] == [SITES[3]]


def test_a_round_that_ends_for_want_of_a_quorum_names_who_was_missing(opened):
    """Those that never began, too."""
    opened.contribute(SITES[0])
    opened.clock.advance(ABANDON_SECONDS + 1)

    opened.tick()

    current = opened.round()
    assert current.phase is Phase.ABORTED
    assert [each.participant for each in current.stragglers] == list(SITES[1:])
    assert {each.reason for each in current.stragglers} == {"never began to send"}


def test_a_round_in_which_all_contributed_names_nobody(added_up):
    assert added_up.round().stragglers == ()


def test_parts_of_a_chunk_keep_a_round_waiting(opened):
    """A site that sends must not be left out because its chunk is not whole yet."""
    for name in SITES[:3]:
        opened.contribute(name)
    opened.begin(SITES[3])
    for part in range(1, 5):
        opened.clock.advance(PROGRESS_SECONDS - 1)
        opened.service.contributions.arrived(SITES[3], 1, 100 * part)
        opened.tick()

    assert opened.round().phase is Phase.OPEN
