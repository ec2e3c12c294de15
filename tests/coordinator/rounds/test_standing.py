"""A round whose save was not answered: nobody goes by what it was before."""

import pytest

from coordinator.ports import StoredRound
from coordinator.rounds.progress import Progress
from coordinator.rounds.round import KeyOffered, KeySigned, Planned, encode, step
from coordinator.rounds.standing import Rounds
from coordinator.rounds.state import Phase
from privacy.errors import StoreUnavailable
from privacy.failpoints import Failpoints
from tests.coordinator.memory_store import MemoryStore

from .test_round import KEY, PLAN, START, A, B

OFFERED, _ = step(START, KeyOffered(A, KEY))


class Unanswered(MemoryStore):
    """A store whose connection is lost before a step is kept, or after; until it is mended."""

    lost = ""

    def save_step(self, number, expected_revision, state, effects):
        if self.lost == "before":
            raise StoreUnavailable("not there")
        revision = super().save_step(number, expected_revision, state, effects)
        if self.lost == "after":
            raise StoreUnavailable("nobody knows whether it is saved")
        return revision

    def round_numbers(self):
        if self.lost:
            raise StoreUnavailable("not there")
        return super().round_numbers()


@pytest.fixture
def rounds():
    return Rounds(Unanswered(), Progress(lambda: 0.0), Failpoints())


@pytest.mark.parametrize("lost", ["before", "after"])
def test_a_step_that_was_kept_and_never_answered_is_seen_before_the_next(rounds, lost):
    """Said again it changes nothing; and another step builds on it, and is not refused."""
    rounds.begin(START)
    rounds.store.lost = lost
    with pytest.raises(StoreUnavailable):
        rounds.apply(1, KeyOffered(A, KEY))
    rounds.store.lost = ""

    rounds.apply(1, KeyOffered(A, KEY))
    rounds.apply(1, KeySigned(B, KEY))
    rounds.apply(1, Planned(PLAN))

    assert rounds.get(1).phase is Phase.OPEN
    assert rounds.store.load_round(1) == StoredRound(encode(rounds.get(1)), 4)


def test_nobody_is_shown_a_round_that_may_have_gone_on(rounds):
    rounds.begin(START)
    rounds.store.lost = "after"
    with pytest.raises(StoreUnavailable):
        rounds.apply(1, KeyOffered(A, KEY))

    with pytest.raises(StoreUnavailable):
        rounds.get(1)
    rounds.store.lost = ""

    assert rounds.get(1) == OFFERED


def test_who_watches_is_told_when_a_step_turns_out_to_be_kept(rounds):
    rounds.begin(START)
    told = []
    rounds.on_change(lambda: told.append(rounds.all()[1]))
    rounds.store.lost = "after"
    with pytest.raises(StoreUnavailable):
        rounds.apply(1, KeyOffered(A, KEY))
    rounds.store.lost = ""

    rounds.look_again()
    rounds.look_again()

    assert told == [OFFERED]


@pytest.mark.parametrize("lost", ["before", "after"])
def test_a_round_that_was_begun_and_never_answered_is_begun_once(rounds, lost):
    rounds.store.lost = lost
    with pytest.raises(StoreUnavailable):
        rounds.begin(START)
    rounds.store.lost = ""

    rounds.begin(START)

    assert rounds.get(1) == START
    assert rounds.store.load_round(1).revision == 1
