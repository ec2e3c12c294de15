"""Hours of the week are local, may pass midnight, and say when they begin."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from participant.policy.hours import hours
from privacy.errors import ConfigError

BERLIN = "Europe/Berlin"


def at(text, zone=BERLIN):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def of(*written, zone=BERLIN):
    return hours(written, zone, "policy.hours")


@pytest.mark.parametrize(
    ("when", "within"),
    [
        ("2026-11-20 20:00", True),  # a Friday
        ("2026-11-20 19:59", False),
        ("2026-11-21 05:59", True),  # the night that began on Friday
        ("2026-11-21 06:00", False),
        ("2026-11-21 20:00", False),  # Saturday begins no night
        ("2026-11-23 05:00", False),  # Sunday began none
        ("2026-11-23 20:00", True),
    ],
)
def test_a_night_belongs_to_the_day_on_which_it_begins(when, within):
    """Friday's night ends on Saturday morning."""
    assert of("Mo-Fr 20:00-06:00").holds(at(when)) is within


@pytest.mark.parametrize(
    ("written", "when", "within"),
    [
        ("Sa,Su 00:00-24:00", "2026-11-21 23:59", True),
        ("Sa,Su 00:00-24:00", "2026-11-23 00:00", False),
        ("Fr-Mo 10:00-11:00", "2026-11-23 10:30", True),
        ("Fr-Mo 10:00-11:00", "2026-11-24 10:30", False),
        ("12:00-13:00", "2026-11-24 12:30", True),
        ("08:00-08:00", "2026-11-24 03:00", True),
    ],
)
def test_days_and_times_are_as_written(written, when, within):
    """Lists, ranges past Sunday, every day, the whole day."""
    assert of(written).holds(at(when)) is within


def test_without_hours_it_is_always_within():
    """A file that says nothing closes nothing."""
    assert of().holds(0.0)


def test_they_are_local_to_the_time_zone():
    """20:00 in Berlin is 19:00 UTC in winter and 18:00 UTC in summer."""
    assert of("20:00-21:00").holds(at("2026-11-20 19:30", "UTC"))
    assert of("20:00-21:00").holds(at("2026-07-20 18:30", "UTC"))


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-20 12:00", "2026-11-20 20:00"),
        ("2026-11-21 07:00", "2026-11-23 20:00"),
        ("2026-10-24 12:00", "2026-10-26 20:00"),  # the night in which clocks go back
    ],
)
def test_the_next_beginning_is_named(now, opens):
    """Who reads the log must know for how long it waits."""
    assert of("Mo-Fr 20:00-06:00").opens(at(now)).timestamp() == at(opens)


@pytest.mark.parametrize(
    "written",
    ["", "Mo-Fr", "20-06", "mo 20:00-06:00", "Mo 25:00-06:00", "Mo 20:60-21:00", "Xy 1:00"],
)
def test_what_is_not_hours_is_refused_by_its_line(written):
    """A misspelt line must not let a site send all day."""
    with pytest.raises(ConfigError, match=r"policy\.hours: "):
        of(written)


def test_an_unknown_time_zone_is_refused():
    """Another one would be another hour."""
    with pytest.raises(ConfigError, match=r"policy\.time_zone: .*Europe/Nowhere"):
        of("20:00-21:00", zone="Europe/Nowhere")
