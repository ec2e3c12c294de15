"""Contributions that seats leave out: exchanged on their way, inconsistent, or too long.

One federation, three rounds. In the first the coordinator exchanges what two sites have sealed.
In the second a site gives two seats different secrets of one component, in the third it does
not clip its update.
"""

import signal
from collections.abc import Iterator

import pytest

from coordinator.object_names import contribution_chunk, sealed_part
from coordinator.rounds.state import LeftOut, Phase, Round
from tests.processes.doubles.hostile_site import MISLED, UNCLIPPED, UNMATCHED
from tests.processes.federation import CHUNKS, Federation, federation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SITES = ("site-a", "site-b", "site-c", "site-d")
SEATS = ("seat-1", "seat-2", "seat-3")
CHEAT = "site-d"
EXCHANGED = ("site-c", CHEAT)
LATE = "site-b"
"""Sends when the exchange is done, so that the round waits for it."""

COHORTS = {
    1: ("site-a", "site-b"),
    UNMATCHED: ("site-a", "site-b", "site-c"),
    UNCLIPPED: ("site-a", "site-b", "site-c"),
}

LONG = {"progress_seconds": "4", "abandon_seconds": "60"}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    folder = tmp_path_factory.mktemp("left-out")
    with federation(folder, SITES, seats=SEATS, wanted=3, deadline=LONG) as made:
        made.start_coordinator()
        for name in SEATS:
            made.start_seat(name)
        for name in SITES:
            made.start_site(name, double="hostile_site" if name == CHEAT else "")
        made.wait_for_phase(1, Phase.OPEN)
        # Nobody fetches, and one site does not send, before the exchange is done.
        _send(made, signal.SIGSTOP)
        made.wait_for_committed(1, *EXCHANGED)
        _exchange(made, *EXCHANGED)
        _send(made, signal.SIGCONT)
        made.run_to_the_end()
        yield made


def _send(made: Federation, number: signal.Signals) -> None:
    for name in (*SEATS, LATE):
        made.send(name, number)


def _exchange(made: Federation, one: str, other: str) -> None:
    """Give what one site has sealed and sent to whoever asks for the other's."""
    for seat in SEATS:
        _swap(made, sealed_part(1, one, seat), sealed_part(1, other, seat))
    for chunk in range(CHUNKS):
        names = (contribution_chunk(1, name, 0, chunk) for name in (one, other))
        _swap(made, *names)


def _swap(made: Federation, one: str, other: str) -> None:
    objects = made.places.coordinator / "objects"
    aside = objects / "aside"
    (objects / one).rename(aside)
    (objects / other).rename(objects / one)
    aside.rename(objects / other)


@pytest.mark.parametrize(("number", "cohort"), COHORTS.items())
def test_the_round_goes_on_and_the_sum_is_that_of_the_others(
    judged: Federation, number: int, cohort: tuple[str, ...]
) -> None:
    """To the last integer, whoever is left out."""
    assert _round(judged, number).phase is Phase.DONE
    assert judged.cohort(number) == cohort
    assert judged.difference(number) == {0}


def test_contributions_that_the_coordinator_exchanges_are_refused_and_both_are_named(
    judged: Federation,
) -> None:
    """Each is bound to its site: no seat opens one in another's place."""
    found = _left_out(judged, 1)

    assert {(each.participant, each.seat) for each in found} == {
        (site, seat) for site in EXCHANGED for seat in SEATS
    }
    assert {each.code for each in found} == {"malformed_message"}
    assert all(each.participant in each.reason for each in found)


def test_parts_that_do_not_match_are_found_by_the_seat_that_was_misled(judged: Federation) -> None:
    """What it was given leads to other roots than the site has signed; nobody asks on then."""
    found = {(each.participant, each.seat): each.code for each in _left_out(judged, UNMATCHED)}
    misled = SEATS[MISLED]

    assert found.pop((CHEAT, misled)) == "root_mismatch"
    assert found == {(CHEAT, seat): "norm_not_asked" for seat in SEATS if seat != misled}


def test_a_norm_over_the_bound_is_found_by_all_seats(judged: Federation) -> None:
    """Each says so in its own verdict; none of them knows by how much."""
    found = _left_out(judged, UNCLIPPED)

    assert {(each.participant, each.seat) for each in found} == {(CHEAT, seat) for seat in SEATS}
    assert {each.code for each in found} == {"norm_over_bound"}


@pytest.mark.parametrize(
    ("name", "number", "code"),
    [
        *((name, 1, "malformed_message") for name in EXCHANGED),
        (CHEAT, UNMATCHED, "root_mismatch"),
        (CHEAT, UNCLIPPED, "norm_over_bound"),
    ],
)
def test_a_site_that_is_left_out_reads_it_in_its_own_log(
    judged: Federation, name: str, number: int, code: str
) -> None:
    """With what it is about, and who must act."""
    told = [each for each in judged.log(name, "left_out") if each["round"] == number]

    assert code in {each["code"] for each in told}
    assert all(each["seat"] in SEATS and each["who_acts"] for each in told)


def test_nobody_else_is_told_anything(judged: Federation) -> None:
    """Two sites were in every sum."""
    assert [judged.log(name, "left_out") for name in ("site-a", "site-b")] == [[], []]


def _left_out(made: Federation, number: int) -> tuple[LeftOut, ...]:
    return _round(made, number).left_out


def _round(made: Federation, number: int) -> Round:
    current: Round | None = made.round(number)
    assert current is not None
    return current
