"""What a site sees is a value: an empty one asks for nothing."""

import dataclasses

import pytest

from participant.session import Standing, tasks
from participant.view import RoundView, View


def test_an_empty_view_asks_for_nothing():
    """Before the first answer."""
    assert tasks(View(), Standing("amber")) == ()


@pytest.mark.parametrize("kind", [View, RoundView])
def test_a_view_cannot_be_changed(kind):
    """It is compared, passed on and logged."""
    assert kind.__dataclass_params__.frozen
    with pytest.raises(dataclasses.FrozenInstanceError):
        View().finished = True
