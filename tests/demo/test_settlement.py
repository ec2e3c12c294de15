"""The demo's programme leaves time for what its people do in it."""

from participant.settling.claim import WAIT_SECONDS
from veilsum.demo.settlement import SHORT, TO_CHALLENGE


def test_hospitals_wait_until_they_can_be_paid() -> None:
    """Their agents claim once, at the end: a window that they do not wait for is not paid."""
    assert 15 <= SHORT.window < WAIT_SECONDS


def test_a_demand_can_be_answered_and_proved_wrong_in_each_window() -> None:
    """As in a programme that people write themselves."""
    for times in (SHORT, TO_CHALLENGE):
        assert times.response >= 5
        assert times.window > 2 * times.response
