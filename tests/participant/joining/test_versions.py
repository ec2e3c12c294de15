"""The roster's versions in a running member: newer ones are read when a round names them."""

from dataclasses import replace

import pytest

from participant.auditing.agent import _under
from participant.joining.versions import Versions, named_by_key, named_by_plan, named_by_record
from participant.seat.sitting import Seat
from privacy.errors import NotYet, PolicyRefusal, WrongContext
from privacy.plan import SHARES
from privacy.roster import Roster, SignedRoster
from tests.participant import auditor_at_work as auditing
from tests.participant import signed_round as made
from tests.participant.seat import seated

FIRST = made.roster()


def after(roster, *left_out):
    members = tuple(each for each in roster.members if each.participant not in left_out)
    number = roster.version + 1
    return Roster(roster.federation, number, roster.coordinator_key, members, roster.digest())


SECOND = after(FIRST, "delta")
THIRD = after(SECOND)


class Coordinator:
    """Shows versions, and counts how often it is asked."""

    def __init__(self, *shown):
        self.shown, self.asked = list(shown), 0

    async def read(self):
        self.asked += 1
        return [SignedRoster(each, {}) for each in self.shown]


@pytest.fixture
def shows():
    return Coordinator(FIRST, SECOND)


async def test_nothing_is_read_for_a_version_that_is_known(shows):
    """Rounds follow each other within seconds."""
    versions = Versions((FIRST,), shows.read)

    assert await versions.under(1, FIRST.digest()) == FIRST
    assert shows.asked == 0


async def test_a_version_that_a_round_names_is_read_once(shows):
    versions = Versions((FIRST,), shows.read)

    assert await versions.under(1, SECOND.digest()) == SECOND
    assert await versions.under(2, SECOND.digest()) == SECOND
    assert (versions.newest, shows.asked) == (SECOND, 1)


async def test_a_round_that_has_begun_ends_under_its_version(shows):
    """Its openers would otherwise refuse the sum that they have half opened."""
    versions = Versions((FIRST,), shows.read)
    await versions.under(1, FIRST.digest())

    assert await versions.under(2, SECOND.digest()) == SECOND
    assert await versions.under(1, FIRST.digest()) == FIRST


async def test_a_round_that_is_met_later_is_under_the_newest(shows):
    """The check of its plan then refuses the older one that it names."""
    versions = Versions((FIRST, SECOND), shows.read)

    assert await versions.under(3, FIRST.digest()) == SECOND


async def test_a_round_goes_up_and_never_down(shows):
    shows.shown.append(THIRD)
    versions = Versions((FIRST,), shows.read)
    await versions.under(1, FIRST.digest())
    await versions.under(1, SECOND.digest())

    assert await versions.under(1, FIRST.digest()) == THIRD


@pytest.mark.parametrize("named", [None, "0" * 64])
async def test_a_name_that_is_none_gets_the_newest(shows, named):
    """Whatever is wrong with a document is said by whoever checks it."""
    assert await Versions((FIRST, SECOND), shows.read).under(1, named) == SECOND


async def test_less_than_was_seen_and_another_history_are_told_apart(shows):
    """Time mends the one; nothing mends the other."""
    versions = Versions((FIRST, SECOND), shows.read)
    shows.shown = [FIRST]
    with pytest.raises(NotYet, match="has seen version 1"):
        await versions.refresh()
    shows.shown = [FIRST, after(FIRST, "cedar")]
    with pytest.raises(WrongContext, match="call the other members"):
        await versions.refresh()
    assert versions.newest == SECOND


def test_what_is_no_document_names_no_roster():
    """A coordinator's bytes, before any signature is looked at."""
    assert named_by_plan((b"", b"", b"")) is None
    assert named_by_key(b"{}") is None
    assert named_by_record(None) is None


def test_documents_name_their_roster():
    plan = made.plan()
    record, _ = made.sealed_key(1)

    assert (
        named_by_plan((plan.arithmetic.encode(), made.encoded(plan.terms), b"")) == FIRST.digest()
    )
    assert named_by_key(made.encoded(made.specification())) == FIRST.digest()
    assert named_by_record(made.signed_by(record, "amber")) == FIRST.digest()


async def test_an_auditor_works_under_the_version_that_a_plan_names(tmp_path, shows):
    """Whom it signs for, and whose contributions it adds, are that version's."""
    shown = auditing.Audited()
    shown.plans[1] = made.plan(roster=SECOND.digest(), auditor=made.WATCH)
    at_work, memory = auditing.auditor(tmp_path, shown)

    moved = await _under(at_work, Versions((FIRST,), shows.read), 1)

    assert (at_work.roster, moved.roster) == (FIRST, SECOND)
    assert moved.found is at_work.found
    memory.close()


async def test_a_seat_sits_under_the_version_that_a_plan_names(tmp_path):
    """A plan of a version that members have not admitted seats nobody."""
    seat = seated.seat(tmp_path, seated.Desk.of(), "north")
    sitting = await seat.sit(1)

    assert isinstance(seat, Seat)
    assert sitting.roster == seat.versions.newest
    assert sitting.plan.arithmetic.scheme == SHARES
    known = Versions((sitting.roster, after(sitting.roster)), seat.versions.read)
    with pytest.raises(PolicyRefusal):
        await replace(seat, versions=known).sit(1)
