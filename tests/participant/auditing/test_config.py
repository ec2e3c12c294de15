"""An auditor's file: which schemes it may accept."""

import pytest

from participant.auditing.config import read
from tests.participant.joining.test_member_config import TEXT, written


@pytest.mark.parametrize("scheme", ["ckks/1", "shares/1"])
def test_an_auditor_may_accept_any_scheme(tmp_path, scheme):
    """It adds again what a coordinator has added, and settles what seats dispute."""
    config = read(written(tmp_path, TEXT.replace("shares/1", scheme)))

    assert config.policy.schemes == (scheme,)
