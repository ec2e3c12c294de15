"""A seat's file: which schemes it must accept."""

import pytest

from participant.seat.config import read
from privacy.errors import ConfigError
from tests.participant.joining.test_member_config import TEXT, written


def test_a_seats_policy_is_read(tmp_path):
    """The control of the refusals below."""
    assert read(written(tmp_path)).policy.schemes == ("shares/1",)


@pytest.mark.parametrize("schemes", ['["ckks/1"]', "[]"])
def test_a_seat_that_could_take_part_in_nothing_is_told_which_scheme_it_needs(tmp_path, schemes):
    text = TEXT.replace('["shares/1"]', schemes)

    with pytest.raises(ConfigError, match=r"member\.toml: policy\.schemes: shares/1 is not in it"):
        read(written(tmp_path, text))
