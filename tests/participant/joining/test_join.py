"""An auditor or a seat joins once its coordinator is there, if it is what its part needs."""

from functools import partial

import pytest

from participant.joining.join import join
from participant.policy.plans import check_auditor
from privacy import canonical
from privacy.errors import PeerUnreachable, PolicyRefusal, WrongContext
from privacy.roster import SignedRoster
from privacy.signing import Purpose, sign
from tests.participant import signed_round as made
from tests.participant.auditor_at_work import NoPatience, config

ROSTER = made.roster()
BODY = canonical.encode(ROSTER)


class Office:
    """A coordinator that is away for a while, and then shows a roster that all have signed."""

    def __init__(self, away=0):
        self.away = away

    async def roster(self, fingerprint=None):
        if self.away:
            self.away -= 1
            raise PeerUnreachable("nobody answers")
        names = [member.participant for member in ROSTER.members]
        signatures = {name: sign(made.keys(name).signing, Purpose.ROSTER, BODY) for name in names}
        return [SignedRoster(ROSTER, signatures)]


@pytest.fixture
def joined(tmp_path):
    return partial(join_in, tmp_path)


async def join_in(folder, office, patience=None, name="watch", **policy):
    settings = config(folder, name, **policy)
    return await join(office, made.keys(name), settings, check_auditor, patience or NoPatience())


async def test_a_coordinator_that_is_away_is_waited_for(joined):
    """Members are started before it, and while it starts again."""
    patience = NoPatience()

    versions = await joined(Office(away=3), patience)

    assert versions.newest == ROSTER
    assert patience.waited == ["nobody answers"] * 3


async def test_a_member_with_another_part_does_not_join(joined):
    """A trainer that was started as an auditor would be handed single contributions."""
    with pytest.raises(PolicyRefusal, match="amber is no auditor"):
        await joined(Office(), name="amber")


async def test_another_roster_than_the_one_compared_is_final(joined):
    """Waiting would not make it the right one."""
    patience = NoPatience()

    with pytest.raises(WrongContext):
        await joined(Office(), patience, roster="1" * 64)

    assert patience.waited == []
