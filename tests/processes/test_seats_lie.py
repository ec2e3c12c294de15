"""A seat states sums that are not those of the sites, and sums that it has stated before.

One federation, three rounds. The first has no auditor, so that a lie ends it. In the second an
auditor settles what two seats dispute. In the third the seat states old sums.
"""

from collections.abc import Iterator

import pytest
import tomlkit

from coordinator.rounds.state import Phase, Round
from participant.auditing.report import DISPUTES, read_dispute
from privacy.records import DisputeReport
from tests.processes.doubles.lying_seat import CHUNK, COMPONENT, LEAF
from tests.processes.federation import Federation, federation
from veilsum.federation.statements import Statements

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

AUDITOR = "watch"
SITES = ("site-a", "site-b", "site-c")
SEATS = ("seat-1", "seat-2", "seat-3")
LIAR, VICTIM = "seat-2", "seat-3"
HONEST = {"seat-1", "seat-3"}


@pytest.fixture(scope="module")
def lied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    folder = tmp_path_factory.mktemp("lies")
    with federation(folder, SITES, seats=SEATS, auditor=AUDITOR, wanted=2, quorum=3) as made:
        _set_auditor(made, "")
        made.start_coordinator("effect.before_erase:1=kill")
        made.start_auditor(AUDITOR)
        for name in SEATS:
            made.start_seat(name, double="lying_seat" if name == LIAR else "")
        for name in SITES:
            made.start_site(name)
        made.wait_for_death("coordinator")
        _set_auditor(made, AUDITOR)
        made.run_to_the_end()
        yield made


def _set_auditor(made: Federation, name: str) -> None:
    path = made.places.coordinator / "coordinator.toml"
    settings = tomlkit.parse(path.read_text())
    settings["rounds"].pop("auditor", None)  # type: ignore[union-attr]
    if name:
        settings["rounds"]["auditor"] = name  # type: ignore[index]
    path.write_text(tomlkit.dumps(settings))


def test_without_an_auditor_a_lie_ends_the_round_and_both_seats_are_named(lied: Federation) -> None:
    """Which of the two lies, nobody can say: so neither is called a liar, and nothing is opened."""
    current = _round(lied, 1)

    assert current.phase is Phase.ABORTED
    assert current.reason == f"seats {LIAR} and {VICTIM} disagree on component {COMPONENT}"
    assert (current.sum, current.liars) == ("", ())
    assert lied.difference(1) == set()


def test_with_an_auditor_the_round_goes_on_without_the_liar(lied: Federation) -> None:
    """The sum is that of the two others, and exact."""
    current = _round(lied, 2)

    assert current.phase is Phase.DONE
    assert current.liars == (LIAR,)
    assert set(Statements(lied.roster, lied.observer).sums(current)) == HONEST
    assert lied.cohort(2) == SITES
    assert lied.difference(2) == {0}


def test_the_liar_is_named_in_the_logs(lied: Federation) -> None:
    """The coordinator's, and the auditor's."""
    (judged,) = lied.log("coordinator", "seats_judged")
    (ruled,) = lied.log(AUDITOR, "ruled")

    assert (judged["round"], judged["liars"], judged["auditor"]) == (2, [LIAR], AUDITOR)
    assert (ruled["round"], ruled["code"]) == (2, "seat_lied")
    assert LIAR in str(ruled["reason"])


def test_the_auditors_report_says_who_lied_and_in_which_leaf(lied: Federation) -> None:
    """The one bit that was changed, found among all of them."""
    report = _report(lied)

    assert report.liars == (LIAR,)
    assert report.withheld == ()
    assert (report.component, report.chunk, report.leaf) == (COMPONENT, CHUNK, LEAF)


def test_sums_that_were_stated_before_are_taken_for_no_other_round(lied: Federation) -> None:
    """Neither as they were, nor under the new round's number: two seats end the round."""
    (old,) = lied.log(LIAR, "lie_refused")
    (moved,) = (each for each in lied.log(LIAR, "declined") if each["round"] == 3)
    current = _round(lied, 3)

    assert old["what"] == "old"
    assert (moved["task"], moved["code"]) == ("State", "wrong_context")
    assert lied.log(LIAR, "lie_taken") == []
    assert {each.seat for each in current.stated} == HONEST
    assert current.phase is Phase.DONE
    assert lied.difference(3) == {0}


def _report(made: Federation) -> DisputeReport:
    (path,) = (made.places.site(AUDITOR) / DISPUTES).iterdir()
    return read_dispute(path, made.roster.member(AUDITOR).signing_key).report


def _round(made: Federation, number: int) -> Round:
    current = made.round(number)
    assert current is not None
    return current
