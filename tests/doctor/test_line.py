"""What a line up means for a plan."""

import pytest

from veilsum.doctor.asking import Clock, Uplink, _padded
from veilsum.doctor.clock import check_clock
from veilsum.doctor.finding import Level
from veilsum.doctor.line import check_uplink, spoken
from veilsum.v1 import enrolment_pb2

from .servers import way_to

WAY = way_to(8443)
MBIT = 125_000.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0.4 s"), (42, "42 s"), (1200, "20 min"), (3 * 3600, "3.0 h")],
)
def test_times_are_said_as_people_say_them(seconds, words):
    assert spoken(seconds) == words


def test_an_upload_takes_its_bytes_by_its_speed():
    """4 GB at 27 Mbit/s is about twenty minutes."""
    uplink = Uplink(1 << 20, (1 << 20) / (27 * MBIT))

    found = check_uplink(WAY, uplink, 4_000_000_000, 30.0)

    assert found.level is Level.OK
    assert "27.0 Mbit/s" in found.found
    assert "4000.0 MB, takes 20 min" in found.found


def test_a_line_slower_than_a_rounds_patience_is_said_before():
    """A deadline goes by progress: what counts is one chunk, not the whole."""
    uplink = Uplink(64 << 10, 10.0)

    found = check_uplink(WAY, uplink, 1_000_000, 30.0)

    assert found.level is Level.WARNING
    assert "longer than a round waits" in found.found


def test_padding_is_passed_over_by_whoever_reads_it():
    """So any release answers, and keeps nothing."""
    request = enrolment_pb2.GetRosterRequest.FromString(_padded(1 << 16))

    assert request.from_version == 0
    assert len(request.SerializeToString()) > 1 << 16


@pytest.mark.parametrize(
    ("ahead", "level"), [(29, Level.OK), (31, Level.WARNING), (301, Level.PROBLEM)]
)
def test_how_well_a_clock_is_known_is_allowed_for(ahead, level):
    """Over a slow line nobody is told of a difference that may be none."""
    assert check_clock(WAY, Clock(ahead, 0.1), proven=True).level is level
    assert check_clock(WAY, Clock(ahead, 20.0), proven=True).level in (Level.OK, Level.WARNING)
