"""A coordinator that asks for a second, smaller cohort gets no signature on it, from anyone.

One federation, one round. The two sums together would open one site's update. Two seats are
asked again after a restart, the third from a backup of its folder that is older than its
signature. After that the coordinator goes on with the first cohort, and the round ends.
"""

import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from coordinator.archive import Archive
from coordinator.keys import load_signing_key
from coordinator.rounds import round as machine
from coordinator.rounds.state import LeftOut, Phase, Round
from participant.seat.memory import SeatMemory
from privacy import canonical
from privacy.documents import unpack
from privacy.errors import RootMismatch
from privacy.records import Cohort, digest_of
from tests.processes.federation import Federation, federation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SITES = ("site-a", "site-b", "site-c")
SEATS = ("seat-1", "seat-2", "seat-3")
RESTORED = "seat-3"
VICTIM = "site-c"
HELD = (RESTORED, "seat-2")
"""Signs last, and comes when the certificate is complete: that seat adds all the same."""

ASKED = (*SEATS, *SITES)


@dataclass
class Story:
    """What was seen on the way."""

    federation: Federation
    first: Round | None = None
    refused: Round | None = None
    remembered: tuple[str | None, ...] = ()
    forgotten: str | None = ""


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("twice")
    with federation(folder, SITES, seats=SEATS) as made:
        seen = Story(made)
        _let_all_sign(made)
        made.wait_for_death(SEATS[0])
        made.kill("coordinator")
        seen.first = _round(made)
        _put_the_backup_back(made)
        seen.remembered = tuple(_certified(made, name) for name in SEATS[:2])
        seen.forgotten = _certified(made, RESTORED)
        _ask_again(made)
        made.kill("coordinator")
        seen.refused = _round(made)
        _save(made, seen.first)
        made.run_to_the_end()
        yield seen


def _let_all_sign(made: Federation) -> None:
    """All sign the true cohort, or stand for it, and no sum is stated; one folder is copied."""
    made.start_coordinator("effect.before_freeze:1=kill")
    for name in SEATS:
        made.start_seat(name, "seat.before_fold:1=kill")
    for name in SITES:
        made.start_site(name)
    made.wait_for_death("coordinator")
    for name in HELD:
        made.send(name, signal.SIGSTOP)
    shutil.copytree(made.places.site(RESTORED), _backup(made))
    made.start_coordinator()
    # Two seats are missing: the certificate is not complete before every site has signed.
    made.wait_for("signatures", lambda: set(_round(made).certified) == set(ASKED) - set(HELD))
    for name in HELD:
        made.send(name, signal.SIGCONT)
        made.wait_for_death(name)


def _put_the_backup_back(made: Federation) -> None:
    shutil.rmtree(made.places.site(RESTORED))
    shutil.copytree(_backup(made), made.places.site(RESTORED))


def _ask_again(made: Federation) -> None:
    """Say that a seat left the victim out, and ask everybody for their signatures again."""
    _save(made, _smaller(made))
    made.start_coordinator()
    for name in SEATS:
        made.start_seat(name)
    for name in ASKED:
        made.wait_for_log(name, "declined", task="Certify")


def _smaller(made: Federation) -> Round:
    current, store = _round(made), made.observer.store
    true = canonical.decode(unpack(store.document("cohort", current.cohort)).body, Cohort)
    entries = tuple(each for each in true.entries if each.participant != VICTIM)
    cohort = replace(true, entries=entries)
    key = load_signing_key(made.places.coordinator / "signing.key")
    Archive(store, key).state("cohort", cohort)
    left_out = LeftOut(VICTIM, SEATS[0], RootMismatch.code, "says the coordinator")
    return replace(
        current,
        phase=Phase.CERTIFYING,
        cohort=digest_of(cohort),
        certified=(),
        left_out=(left_out,),
    )


def _save(made: Federation, changed: Round) -> None:
    store = made.observer.store
    stored = store.load_round(1)
    assert stored is not None
    store.save_step(1, stored.revision, machine.encode(changed), [])


def _certified(made: Federation, name: str) -> str | None:
    memory = SeatMemory(made.places.site(name))
    cohort = memory.certified(1)
    memory.close()
    return cohort


def test_nobody_signs_the_second_cohort(story: Story) -> None:
    """Neither seat nor trainer: there is one certificate of a round, and one sum."""
    assert story.first is not None
    assert story.refused is not None

    assert set(story.first.certified) == set(ASKED) - {"seat-2"}
    assert story.refused.cohort != story.first.cohort
    assert (story.refused.phase, story.refused.certified) == (Phase.CERTIFYING, ())


@pytest.mark.parametrize("name", ASKED)
def test_each_says_why_in_its_own_log(story: Story, name: str) -> None:
    """Whoever runs the coordinator has some explaining to do."""
    declined = story.federation.log(name, "declined")

    assert {(each["task"], each["code"]) for each in declined} == {("Certify", "opening_refused")}


@pytest.mark.parametrize("at", [0, 1])
def test_a_seat_that_was_restarted_remembers_which_cohort_it_signed(story: Story, at: int) -> None:
    """On its disk, from before it signed."""
    assert story.first is not None
    (declined,) = story.federation.log(SEATS[at], "declined")

    assert story.remembered[at] == story.first.cohort
    assert "another cohort was certified" in str(declined["reason"])


def test_a_seat_restored_from_a_backup_signs_nothing_of_a_round_planned_before(
    story: Story,
) -> None:
    """Its folder knows of no signature, so what its process may sign is of later plans."""
    (declined,) = story.federation.log(RESTORED, "declined")

    assert story.forgotten is None
    assert "started after the round was planned" in str(declined["reason"])


def test_the_round_ends_with_the_first_cohort_and_its_one_sum(story: Story) -> None:
    """Refusing a lie costs nobody a round."""
    made, current = story.federation, _round(story.federation)

    assert current.phase is Phase.DONE
    assert made.cohort(1) == SITES
    assert made.difference(1) == {0}
    assert {each.seat for each in current.stated} == set(SEATS)


def _backup(made: Federation) -> Path:
    return made.places.root / "backup" / RESTORED


def _round(made: Federation) -> Round:
    current = made.round(1)
    assert current is not None
    return current
