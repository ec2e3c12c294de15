"""An auditor's file: which schemes it may accept."""

import pytest

from participant.auditing.config import read
from participant.seat import config as seats
from privacy.contribution.scores import Method
from privacy.errors import ConfigError
from tests.participant.joining.test_member_config import TEXT, written
from tests.settling.test_place import TABLE


@pytest.mark.parametrize("scheme", ["ckks/1", "shares/1"])
def test_an_auditor_may_accept_any_scheme(tmp_path, scheme):
    """It adds again what a coordinator has added, and settles what seats dispute."""
    config = read(written(tmp_path, TEXT.replace("shares/1", scheme)))

    assert config.policy.schemes == (scheme,)


def test_an_auditor_may_name_the_method_that_sites_are_paid_by(tmp_path):
    """Where it names none, plans must leave but one; a seat looks at no commit, and names none."""
    table = TABLE + 'method = "alignment/1"\n'

    named = read(written(tmp_path, TEXT + table)).settlement
    unnamed = read(written(tmp_path, TEXT + TABLE)).settlement

    assert named is not None
    assert named.method is Method.ALIGNMENT
    assert unnamed is not None
    assert unnamed.method is None
    with pytest.raises(ConfigError, match="method"):
        seats.read(written(tmp_path, TEXT + table))
