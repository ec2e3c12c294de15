"""What a line may carry is said in Mbit/s, by the hour where a site wants that."""

import pytest

from participant.policy.bandwidth import bandwidth
from privacy.errors import ConfigError
from tests.participant.policy.test_hours import at


def rate(*written, when="2026-11-20 12:00"):
    return bandwidth(written, "Europe/Berlin").bytes_per_second(at(when))


def test_a_megabit_is_125_000_bytes():
    """As network equipment counts."""
    assert rate("8") == 1_000_000
    assert rate("0.5") == 62_500


def test_without_a_line_there_is_no_limit():
    """The control."""
    assert rate() is None


def test_the_first_line_whose_hours_hold_counts():
    """A slow working day, a faster night, nothing on Sundays."""
    lines = ("Mo-Fr 07:00-19:00 2", "Su 00:00-24:00 1000", "20")

    assert rate(*lines) == 250_000
    assert rate(*lines, when="2026-11-20 19:00") == 2_500_000
    assert rate(*lines, when="2026-11-22 12:00") == 125_000_000


def test_outside_of_all_hours_there_is_no_limit():
    """As the file says."""
    assert rate("Mo-Fr 07:00-19:00 2", when="2026-11-21 12:00") is None


@pytest.mark.parametrize("written", ["", "fast", "0", "0.05", "-1", "1e9", "Mo 07:00 2", "2 Mo-Fr"])
def test_what_is_no_bandwidth_is_refused_by_its_line(written):
    """Zero would stop a round without a word; that is what hours are for."""
    with pytest.raises(ConfigError, match=r"policy\.bandwidth: "):
        rate(written)
