"""A seat is killed before it has any input, before its sum, and while it sends it: others go on.

One federation, three rounds, four deaths: each test reads what is left of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from coordinator.rounds.state import Phase, Round
from participant.seat.memory import SeatMemory
from participant.seat.outbox import FOLDER, SumOutbox
from privacy import canonical
from privacy import plan as plans
from privacy.documents import Signed
from privacy.records import SeatSum, digest_of
from privacy.sealing import CiphertextDigest
from tests.processes.federation import Federation, federation
from veilsum.federation.statements import Statements

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SITES = ("site-a", "site-b", "site-c")
SEATS = ("seat-1", "seat-2", "seat-3")
CUT = "seat-2"
"""Killed while it sends its sums, and started again at once."""

AWAY = "seat-3"
"""Killed once in each round, and away until the round has its sum."""

SUMMED = "effect.after_manifest"
"""Where the coordinator dies when a round has its sum: a seat comes back between two rounds."""


@dataclass
class Story:
    """What was seen on the way."""

    federation: Federation
    statement: Signed | None = None
    sealed: tuple[str, ...] = ()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("away")
    with federation(folder, SITES, seats=SEATS, asked={"unchecked": True}, wanted=3) as made:
        seen = Story(made)
        _kill_before_input(made)
        _kill_in_the_upload_and_start_again(made, seen)
        _kill_before_the_sum(made)
        _kill_in_the_upload(made)
        made.run_to_the_end()
        yield seen


def _kill_before_input(made: Federation) -> None:
    made.start_coordinator(f"{SUMMED}:1=kill")
    for name in SEATS:
        made.start_seat(name, "seat.in_upload:2=kill" if name == CUT else "")
    for name in SITES:
        made.start_site(name)
    for name in SEATS:
        # A seat that has just started signs nothing before it has heard all others.
        made.wait_for_log(name, "recalled")
    made.wait_for_phase(1, Phase.OPEN)
    made.kill(AWAY)


def _kill_in_the_upload_and_start_again(made: Federation, seen: Story) -> None:
    made.wait_for_death(CUT)
    seen.statement, seen.sealed = _kept(made, CUT, 1)
    made.start_seat(CUT)
    made.wait_for_death("coordinator")


def _kill_before_the_sum(made: Federation) -> None:
    _come_back(made, "seat.before_fold")
    # The first time is that of the round before: what was cut short is done again.
    made.start_coordinator(f"{SUMMED}:2=kill")
    made.wait_for_death(AWAY)
    made.wait_for_death("coordinator")


def _kill_in_the_upload(made: Federation) -> None:
    _come_back(made, "seat.in_upload")
    made.start_coordinator()
    made.wait_for_death(AWAY)
    made.wait_for_phase(3, Phase.OPENING, Phase.DONE)


def _come_back(made: Federation, place: str) -> None:
    """Start the seat once the round has its sum, and before the next one is planned."""
    made.start_seat(AWAY, f"{place}:1=kill")
    made.wait_for(
        f"another life of {AWAY}",
        lambda: place in [each["name"] for each in made.log(AWAY, "failpoint_set")],
    )


def _kept(made: Federation, name: str, number: int) -> tuple[Signed | None, tuple[str, ...]]:
    """Return what a dead seat has stated, and digests of the two sums that it has sealed."""
    home, store = made.places.site(name), made.observer.store
    memory, digests = SeatMemory(home), [CiphertextDigest(), CiphertextDigest()]
    outbox = SumOutbox(home / FOLDER, plans.unpack(store.document("plan", str(number))))
    for position, sealed in outbox.chunks():
        digests[position].update(sealed)
    statement = memory.statement(number)
    memory.close()
    return statement, tuple(each.hexdigest() for each in digests)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_two_seats_end_the_round_with_the_sum_of_all_sites(story: Story, number: int) -> None:
    """To the last integer, whenever the third one was killed."""
    made, current = story.federation, _round(story, number)

    assert current.phase is Phase.DONE
    assert {each.seat for each in current.stated} == set(SEATS) - {AWAY}
    assert made.cohort(number) == SITES
    assert made.difference(number) == {0}


def test_a_seat_that_was_killed_before_input_has_no_part_in_the_round(story: Story) -> None:
    """The two others and more than two thirds of the trainers certify its cohort, unchecked."""
    made, current = story.federation, _round(story, 1)
    certificate = Statements(made.roster, made.observer).certificate(current)

    assert [each for each in made.log(AWAY, "part_accepted") if each["round"] == 1] == []
    assert {each.seat for each in current.judged} == set(SEATS) - {AWAY}
    assert all(AWAY in each.unasked for each in current.judged)
    assert certificate.seats == ("seat-1", "seat-2")
    assert certificate.complete


@pytest.mark.parametrize("number", [2, 3])
def test_a_seat_that_comes_back_takes_part_in_the_next_round(story: Story, number: int) -> None:
    """Others have told it first what they signed while it was away.

    Whether its signature is in the certificate is a matter of chance: two seats and the trainers
    may freeze the cohort before it.
    """
    current = _round(story, number)

    assert {each.seat for each in current.judged} == set(SEATS)
    assert {each.unasked for each in current.judged} == {""}


def test_a_seat_killed_in_its_upload_sends_the_same_bytes_again(story: Story) -> None:
    """What it had signed and sealed before it died is what counts; nothing is added again."""
    assert story.statement is not None
    stated = canonical.decode(story.statement.body, SeatSum)
    counted = {each.seat: each.statement for each in _round(story, 1).stated}

    assert tuple(each.ciphertext for each in stated.sums) == story.sealed
    assert counted[CUT] == digest_of(stated)


def _round(story: Story, number: int) -> Round:
    current = story.federation.round(number)
    assert current is not None
    return current
