"""Asserted in production: each breach is found before it is saved, and stops the process."""

import subprocess
import sys

import pytest
import structlog
from msgspec.structs import replace

from coordinator.rounds import round as machine
from coordinator.rounds import seated
from coordinator.rounds.invariants import EXIT_STATUS, FOLLOWS, check_manifest, check_step
from coordinator.rounds.state import (
    Abandoned,
    Disagreement,
    Erase,
    Judgement,
    LeftOut,
    Phase,
    Round,
    Rules,
    Stated,
)
from privacy.errors import InvariantBroken
from privacy.records import Cohort, Entry, Sum, digest_of
from tests.coordinator.seated_round import SEATS
from tests.fakes import AUDITOR, FEDERATION, OPENERS, SITES
from veilsum.process import EXIT_CODES

PLAN, SUM, OTHER = "aa" * 32, "bb" * 32, "cc" * 32
ENTRIES = tuple(Entry(name, f"{at:02x}" * 32, ("dd" * 32,)) for at, name in enumerate(SITES))
COHORT = Cohort(FEDERATION, 1, PLAN, ENTRIES)
RULES = Rules(OPENERS, SITES, 3, 2, 5.0, 60.0)
SEATED = replace(RULES, seats=SEATS, auditor=AUDITOR)
TOLD = Abandoned("a test")
ERASED = (Erase(1),)


def a_round(phase, rules=RULES, **state):
    known = {"plan": PLAN, "committed": ENTRIES, "key_record": OTHER, "key_signers": OPENERS[:2]}
    return Round(1, rules, phase, **(known | state))


def stated(seat, third):
    return Stated(seat, OTHER, tuple("" if at == "-" else at * 64 for at in third))


ALIKE = (stated("seat-a", "-12"), stated("seat-b", "1-2"))
SUMMED = a_round(
    Phase.SUMMING,
    SEATED,
    candidates=OTHER,
    cohort=digest_of(COHORT),
    certified=SEATS,
    judged=(Judgement("seat-a", OTHER),),
    left_out=(LeftOut(SITES[3], "seat-a", "norm_over_bound", "too long"),),
    stated=(stated("seat-a", "-12"), stated("seat-b", "1-2")),
)
OPENING = a_round(Phase.OPENING, cohort=digest_of(COHORT), sum=SUM, sealings=1)
SEALED = replace(OPENING, sealed_model=OTHER, release=PLAN, agreed=OPENERS[:1], turn=1)
OPEN = a_round(Phase.OPEN, committed=ENTRIES[:3])


BREACHES = {
    "a contribution counted twice": ("I2", OPEN, replace(OPEN, committed=ENTRIES[:3] * 2)),
    "a contribution out of order": ("I2", OPEN, replace(OPEN, committed=ENTRIES[::-1])),
    "a contribution of a stranger": (
        "I2",
        OPEN,
        replace(OPEN, committed=(*ENTRIES[:3], Entry("zorro", OTHER, ()))),
    ),
    "a contribution too late": ("I5", replace(OPENING, committed=ENTRIES[:3]), OPENING),
    "a contribution taken back": ("I5", OPEN, replace(OPEN, committed=ENTRIES[:2])),
    "closed below the quorum": (
        "I3",
        replace(OPEN, committed=ENTRIES[:2]),
        a_round(Phase.AGGREGATING, committed=ENTRIES[:2]),
    ),
    "released by one opener": ("I4", SEALED, replace(SEALED, phase=Phase.DONE)),
    "released by strangers": (
        "I4",
        SEALED,
        replace(SEALED, phase=Phase.DONE, agreed=("hospital-a", "x", "y")),
    ),
    "a phase backwards": ("I5", OPENING, replace(OPENING, phase=Phase.OPEN)),
    "a phase left out": ("I5", OPEN, replace(OPENING, committed=ENTRIES[:3])),
    "a step of a round that is over": (
        "I5",
        a_round(Phase.ABORTED, reason="one"),
        a_round(Phase.ABORTED, reason="another"),
    ),
    "another plan": ("I5", OPEN, replace(OPEN, plan=OTHER)),
    "no plan any more": ("I5", OPEN, replace(OPEN, plan="")),
    "another sum": ("I5", OPENING, replace(OPENING, sum=OTHER)),
    "another cohort": ("I5", SUMMED, replace(SUMMED, cohort=OTHER)),
    "other candidates": ("I5", SUMMED, replace(SUMMED, candidates=PLAN)),
    "another quorum": ("I5", OPEN, replace(OPEN, rules=replace(RULES, quorum=2))),
    "another round": ("I5", OPEN, replace(OPEN, number=2)),
    "a verdict taken back": ("I5", SUMMED, replace(SUMMED, judged=())),
    "a site let in again": ("I5", SUMMED, replace(SUMMED, left_out=())),
    "a statement exchanged": (
        "I5",
        SUMMED,
        replace(SUMMED, stated=(stated("seat-a", "-99"), SUMMED.stated[1])),
    ),
    "a certificate taken back": ("I5", SUMMED, replace(SUMMED, certified=SEATS[:2])),
    "another key of one turn": ("I5", OPEN, replace(OPEN, key_record=PLAN)),
    "a key's signature taken back": ("I5", OPEN, replace(OPEN, key_signers=())),
    "another model of one turn": ("I5", SEALED, replace(SEALED, sealed_model=PLAN)),
    "a release's signature taken back": ("I5", SEALED, replace(SEALED, agreed=())),
    "a turn again": ("I5", SEALED, replace(SEALED, turn=0)),
    "more models than openers": ("I5", SEALED, replace(SEALED, sealings=4)),
    "refusals forgotten": ("I5", replace(SEALED, refusals=3), SEALED),
    "a sum without its auditor": (
        "I9",
        a_round(Phase.AGGREGATING, replace(RULES, auditor=AUDITOR)),
        replace(OPENING, rules=replace(RULES, auditor=AUDITOR)),
    ),
    "an audit that time has ended": (
        "I9",
        replace(OPENING, phase=Phase.AUDITING),
        OPENING,
    ),
    "opened without a sum": ("I1", a_round(Phase.AGGREGATING), a_round(Phase.OPENING)),
    "the sum of one seat": (
        "I12",
        replace(SUMMED, stated=ALIKE[:1]),
        replace(SUMMED, stated=ALIKE[:1], phase=Phase.AGGREGATING),
    ),
    "a sum that two seats dispute": (
        "I12",
        replace(SUMMED, stated=(ALIKE[0], stated("seat-b", "1-3"))),
        replace(SUMMED, stated=(ALIKE[0], stated("seat-b", "1-3")), phase=Phase.AGGREGATING),
    ),
    "the sum of a liar": (
        "I12",
        replace(SUMMED, phase=Phase.DISPUTED, disputed=Disagreement(("seat-a", "seat-b"), 2)),
        replace(SUMMED, phase=Phase.AGGREGATING, liars=("seat-a",)),
    ),
    "summed without a certificate": (
        "I13",
        replace(SUMMED, phase=Phase.CERTIFYING, certified=SEATS[:2], stated=()),
        replace(SUMMED, certified=SEATS[:2], stated=()),
    ),
}


@pytest.mark.parametrize("what", BREACHES)
def test_a_step_that_breaks_an_invariant_is_found(what):
    number, before, after = BREACHES[what]

    with pytest.raises(InvariantBroken, match=rf"^{number}, round"):
        check_step(before, TOLD, after, ERASED)


def test_a_round_that_ends_erases_what_was_sent_for_it():
    ended = replace(OPEN, phase=Phase.ABORTED, reason="a test")

    check_step(OPEN, TOLD, ended, ERASED)
    with pytest.raises(InvariantBroken, match=r"^I11, round 1, aborted"):
        check_step(OPEN, TOLD, ended, ())


def test_every_phase_says_what_may_follow_it():
    assert set(FOLLOWS) == set(Phase)
    assert {phase for phase in Phase if not FOLLOWS[phase]} == {Phase.DONE, Phase.ABORTED}


# -- what is signed ----------------------------------------------------------------------

CLOSED = a_round(Phase.AGGREGATING)
MANIFEST = Sum(FEDERATION, 1, PLAN, digest_of(COHORT), 4, SUM, 2, 100)
TOO_FEW = replace(COHORT, entries=ENTRIES[:3])


@pytest.mark.parametrize(
    ("current", "cohort", "manifest"),
    [
        (CLOSED, TOO_FEW, replace(MANIFEST, cohort=digest_of(TOO_FEW), contributions=3)),
        (CLOSED, COHORT, replace(MANIFEST, contributions=3)),
        (CLOSED, COHORT, replace(MANIFEST, cohort=OTHER)),
        (CLOSED, COHORT, replace(MANIFEST, plan=OTHER)),
        (CLOSED, COHORT, replace(MANIFEST, round=2)),
        (replace(CLOSED, cohort=OTHER), COHORT, MANIFEST),
        (replace(CLOSED, left_out=SUMMED.left_out), COHORT, MANIFEST),
        (replace(CLOSED, rules=replace(RULES, quorum=5)), COHORT, MANIFEST),
    ],
)
def test_a_manifest_of_anything_but_what_the_round_counts_is_not_signed(current, cohort, manifest):
    check_manifest(CLOSED, COHORT, MANIFEST)

    with pytest.raises(InvariantBroken):
        check_manifest(current, cohort, manifest)


# -- what then happens -------------------------------------------------------------------


def _take_back(current, event):
    return replace(current, committed=()), ()


def test_nothing_of_the_step_is_saved_and_no_step_follows(opened, monkeypatch):
    opened.contribute(SITES[0])
    kept, heard = opened.store.load_round(1), []
    opened.service.rounds.alarm.ring = heard.append
    monkeypatch.setitem(machine.TRANSITIONS, (Phase.OPEN, machine.Committed), _take_back)

    with structlog.testing.capture_logs() as log, pytest.raises(InvariantBroken, match="I5"):
        opened.contribute(SITES[1])

    assert opened.store.load_round(1) == kept
    assert [str(each)[:2] for each in heard] == ["I5"]
    (said,) = [each for each in log if each["log_level"] == "critical"]
    assert said["event"] == "invariant_broken"
    assert "developers" in said["who_acts"]
    assert "database" in said["action"]
    monkeypatch.undo()
    with pytest.raises(InvariantBroken, match="I5"):
        opened.contribute(SITES[2])
    assert opened.store.load_round(1) == kept
    assert len(heard) == 1


def test_the_process_stops_with_a_status_of_its_own():
    """No thread of it answers anybody afterwards: the statement after the step never runs."""
    script = """
from coordinator.rounds import round as machine
from coordinator.rounds.invariants import stop_process
from coordinator.rounds.state import Phase
from tests.coordinator.rounds.test_invariants import _take_back
from tests.fakes import SITES, Federation
from veilsum.process import start_log
import threading
start_log()
federation = Federation()
federation.open_round()
federation.service.rounds.alarm.ring = stop_process
federation.contribute(SITES[0])
machine.TRANSITIONS[Phase.OPEN, machine.Committed] = _take_back
call = threading.Thread(target=federation.contribute, args=[SITES[1]])
call.start()
call.join()
print("answered")
"""

    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert run.returncode == EXIT_STATUS == EXIT_CODES[InvariantBroken]
    assert "answered" not in run.stdout
    assert '"level": "critical"' in run.stderr.splitlines()[-1]
    assert "I5, round 1" in run.stderr.splitlines()[-1]


def test_a_dispute_may_go_back_to_fewer_sums():
    """Whoever is named is not waited for again; that is the only way back."""
    disputed = replace(
        SUMMED,
        phase=Phase.DISPUTED,
        stated=(ALIKE[0], stated("seat-b", "1-3")),
        disputed=Disagreement(("seat-a", "seat-b"), 2),
    )
    event = seated.LiarNamed(AUDITOR, ("seat-b",))

    after, effects = machine.step(disputed, event)

    assert after.phase is Phase.SUMMING
    check_step(disputed, event, after, effects)
