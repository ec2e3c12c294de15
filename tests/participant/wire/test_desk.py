"""What a member takes from the coordinator's desk before it has a certificate."""

import pytest

from participant.wire.desk import _federation
from privacy.errors import WrongIdentity
from privacy.identifiers import coordinator_uri, participant_uri


def test_a_member_that_answers_at_the_links_address_is_no_coordinator():
    """It has a certificate of the very authority that the link names."""
    with pytest.raises(WrongIdentity, match="names no coordinator"):
        _federation(participant_uri("heart", "hospital-a"))

    assert _federation(coordinator_uri("heart")) == "heart"
