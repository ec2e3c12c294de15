"""A short run of the simulation, and proof that it would see what it looks for."""

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import structlog
from msgspec.structs import replace

from coordinator.archive import Archive
from coordinator.fold.aggregate import Fold
from coordinator.opening import sums
from coordinator.opening.sums import Sums
from coordinator.rounds import round as machine
from coordinator.rounds import seated
from coordinator.rounds import standing as saving
from coordinator.rounds.round import Aggregate, Committed, Quiet, ReleaseSigned
from coordinator.rounds.state import Phase
from coordinator.scoring import scores
from coordinator.scoring.scores import RoundScores
from coordinator.seats import statements
from coordinator.seats.disputes import Disputes
from coordinator.seats.parts import Parts
from coordinator.seats.sealed_sums import SealedSums
from privacy.errors import NotYet
from privacy.records import Cohort
from tests.coordinator.memory_store import MemoryObjects, MemoryStore
from tests.fakes import OPENERS
from tests.simulation import operations as ops
from tests.simulation.__main__ import never_reached
from tests.simulation.invariants import INVARIANTS, WORDS
from tests.simulation.run import PLACES, Outcome, live_through, replay
from tests.simulation.shrink import shrink
from tests.source_tree import ROOT

HISTORIES = ops.kept(Path(__file__).parent / "histories")
ASSERTIONS = (
    "coordinator.rounds.standing.check_step",
    "coordinator.fold.aggregate.check_rows",
    "coordinator.fold.folding.check_manifest",
    "coordinator.seats.statements.check_manifest",
)
"""The production assertions, by the names under which they are asked."""


@pytest.fixture(autouse=True)
def silent():
    """Thousands of steps are not worth reading."""
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(wrapper_class=before)


@pytest.fixture
def unasserted(monkeypatch):
    """A coordinator that looks at nothing itself: what is seen, the simulation sees."""
    for name in ASSERTIONS:
        monkeypatch.setattr(name, lambda *_: None)


# -- as it is ----------------------------------------------------------------------------


def test_federations_live_through_whatever_their_seeds_decide():
    """At least 60 rounds of both schemes; a failure names the seed that tells it again."""
    rounds, seed = 0, 1_000
    while rounds < 60:
        outcome = live_through(seed)
        assert not outcome.failure, f"seed {seed}: {outcome.failure}"
        rounds, seed = rounds + outcome.rounds, seed + 1


@pytest.mark.parametrize("name", [name for name, _ in HISTORIES])
def test_no_history_that_broke_something_does_so_again(name):
    """Kept as what happened, and not as a seed: a seed means something else in each version."""
    history = dict(HISTORIES)[name]

    assert history.why
    assert replay(history).failure == ""


def test_the_same_seed_is_the_same_history_in_any_process():
    script = """
import sys
from tests.simulation.__main__ import _be_silent
from tests.simulation import operations as ops
from tests.simulation.run import live_through
_be_silent()
made = [live_through(seed) for seed in (4, 5)]
for each in made:
    sys.stdout.buffer.write(ops.write(ops.History(each.kind, each.history)))
"""
    told = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]

    assert told[0] == told[1] != b""


@pytest.mark.parametrize("seed", [8, 9])
def test_a_history_that_is_told_again_comes_to_the_same(seed):
    lived = live_through(seed)
    body = ops.write(ops.History(lived.kind, lived.history, "a test", seed))

    again = replay(ops.read(body))

    assert again == lived
    assert ops.write(ops.read(body)) == body


def test_the_invariants_are_those_of_the_threat_model():
    """In number and in words."""
    section = (ROOT / "docs" / "threat-model.md").read_text().split("### Invariants of a round")[1]
    rows = re.findall(r"^\| \*\*(I\d+)\*\* (.*?) \|", section.split("\n## ")[0], re.MULTILINE)

    assert dict(rows) == dict(WORDS)
    assert [number for number, _ in rows] == list(WORDS)
    # I6, I8 and I11 are asked of a whole history.
    assert set(INVARIANTS) == set(WORDS) - {"I6", "I8", "I11"}


def test_what_was_never_reached_is_said():
    missing = never_reached(live_through(1).coverage)

    assert "keying KeyOffered" in missing["transitions"]
    assert "judging Judged" not in missing["transitions"]
    assert "fold.before_row" in missing["failpoints"]
    assert set(PLACES) > set(missing["failpoints"])


# -- each invariant, broken ----------------------------------------------------------------


def first_failure(scheme: str, seeds: int = 60, first: int = 0) -> Outcome | None:
    """Return the first failure among some seeds of a scheme, from an even one on."""
    first += scheme == "shares"
    outcomes = map(live_through, range(first, first + 2 * seeds, 2))
    return next((each for each in outcomes if each.failure), None)


def _rewritten(place, transition):
    def patch(monkeypatch):
        monkeypatch.setitem(machine.TRANSITIONS, place, transition)

    return patch


def _set(target, name, value):
    return lambda monkeypatch: monkeypatch.setattr(target, name, value)


def _all_of(*patches):
    def patch(monkeypatch):
        for each in patches:
            each(monkeypatch)

    return patch


def _without_the_last(fold, plan, cohort, whole=Fold.aggregate):
    return whole(fold, plan, replace(cohort, entries=cohort.entries[:-1]))


def _twice(current, event):
    others = [e for e in current.committed if e.participant != event.entry.participant]
    twice = tuple(sorted([*others, event.entry, event.entry], key=lambda e: e.participant))
    return replace(current, committed=twice), ()


def _close_any(current, _):
    closed = replace(current, phase=Phase.AGGREGATING), (Aggregate(current.number),)
    return closed if current.committed else (current, ())


def _cohort_of_any_size(current, plan, _):
    return Cohort(plan.terms.federation, current.number, plan.digest(), current.committed)


def _everybody(current, plan, _):
    """As if no seat's word left anybody out."""
    return _cohort_of_any_size(current, plan, _)


def _stay(current, _):
    return current, ()


def _to(phase):
    return lambda current, _: (replace(current, phase=phase), ())


def _take_back(current, _):
    return replace(current, sealed_model="", release="", agreed=()), ()


def _broken(current, _):
    raise ZeroDivisionError("a bug")


def _give_up(current, event, wait=machine.TRANSITIONS[Phase.KEYING, Quiet]):
    ended = replace(current, phase=Phase.ABORTED, reason="no opener made a key")
    return (ended, (machine.Erase(current.number),)) if current.turn >= 23 else wait(current, event)


def _settle_on_one(current, _):
    """As if one seat's statement were enough."""
    publish = (seated.Manifest(current.number),) if current.stated else ()
    return (replace(current, phase=Phase.AGGREGATING), publish) if publish else (current, ())


def _any_root(component, stated):
    return next(
        (bytes.fromhex(e.roots[component]) for e in stated if e.roots[component]), b"0" * 32
    )


def _blame_the_first(disputes, caller, number, seats, name=Disputes.name_liar):
    current = disputes.rounds.get(number)
    found = current.disputed.seats[:1] if current.disputed else current.liars
    name(disputes, caller, number, seats and found)


def _to_anybody(sums, _, number, masks=Sums.masks):
    return masks(sums, sums.rounds.get(number).rules.openers[0], number)


def _all_but_the_last(sums, caller, number, masks=Sums.masks):
    return masks(sums, caller, number)[:-1]


def _of_the_first_seat(parts, caller, number, participant, part=Parts.part):
    part(parts, caller, number, participant)
    return part(parts, parts.rounds.get(number).rules.seats[0], number, participant)


def _to_whoever_asks(parts, _, number, participant, part=Parts.part):
    return part(parts, parts.rounds.get(number).rules.seats[0], number, participant)


def _at_any_time(sums, caller, number, seat, position):
    current = sums.rounds.get(number)
    for each in current.stated:
        if each.seat == seat:
            return current, each
    raise NotYet(f"{seat} has stated nothing")


def _of_any_two(kept, current):
    """As if two signatures that agree were enough."""
    signed = list(kept._counted_of_seats(current).values())
    if len(signed) < 2 and current.is_scored():
        raise NotYet("one seat")
    return scores._together(signed) if len({each.body for each in signed}) == 1 else None


def _unsaved(rounds, after, _):
    rounds._rounds = {**rounds._rounds, after.number: after}


BREACHES = {
    "a sum of fewer": ("I1", "ckks", _set(Fold, "aggregate", _without_the_last)),
    "a sum of seats that is not compared": (
        "I12",
        "shares",
        _set(seated, "disagreement", lambda *_: None),
    ),
    "a second contribution": ("I2", "ckks", _rewritten((Phase.OPEN, Committed), _twice)),
    "a cohort with those who were left out": (
        "I2",
        "shares",
        _set(statements.close, "cohort", _everybody),
    ),
    "a sum below the quorum": (
        "I3",
        "ckks",
        _all_of(
            _rewritten((Phase.OPEN, Quiet), _close_any),
            _set(statements.close, "cohort", _cohort_of_any_size),
        ),
    ),
    "a release without signatures": (
        "I4",
        "ckks",
        _set(Archive, "keep_signature", lambda *_: None),
    ),
    "a round that goes backwards": (
        "I5",
        "ckks",
        _rewritten((Phase.OPENING, machine.ModelSealed), _to(Phase.OPEN)),
    ),
    "a round of seats that goes backwards": (
        "I5",
        "shares",
        _rewritten((Phase.SUMMING, seated.Summed), _to(Phase.JUDGING)),
    ),
    "a sealer that exchanges its model": (
        "I5",
        "ckks",
        _rewritten((Phase.OPENING, machine.OpeningFailed), _take_back),
    ),
    "a round that does not end": ("I6", "ckks", _rewritten((Phase.OPEN, Quiet), _stay)),
    "a programme that an outage halts": (
        "I6",
        "ckks",
        _rewritten((Phase.KEYING, Quiet), _give_up),
    ),
    "scores of seats that are waited for for ever": (
        "I6",
        "shares",
        _rewritten((Phase.DONE, Quiet), _stay),
    ),
    "scores that are told by two seats of three": (
        "I5",
        "shares",
        _set(RoundScores, "_of_seats", _of_any_two),
    ),
    "an auditor that is waited for for ever": (
        "I6",
        "ckks",
        _rewritten((Phase.AUDITING, Quiet), _stay),
    ),
    "seats that are waited for for ever": (
        "I6",
        "shares",
        _rewritten((Phase.CERTIFYING, Quiet), _stay),
    ),
    "a receipt that is not kept": ("I7", "ckks", _rewritten((Phase.OPEN, Committed), _stay)),
    "a bug": ("I8", "ckks", _rewritten((Phase.OPENING, ReleaseSigned), _broken)),
    "a sum that is opened without its auditor": (
        "I9",
        "ckks",
        _rewritten((Phase.AUDITING, Quiet), _to(Phase.OPENING)),
    ),
    "a sum that is given out before it is countersigned": (
        "I9",
        "ckks",
        lambda monkeypatch: monkeypatch.setattr(
            "coordinator.opening.sums._check_answered", lambda *_: None
        ),
    ),
    "a countersignature that nobody checks": (
        "I9",
        "ckks",
        _set(sums, "check_signer", lambda *_: None),
    ),
    "contributions in other hands": (
        "I9",
        "ckks",
        _set(Sums, "_audited", lambda sums, _, number: sums.rounds.get(number)),
    ),
    "parts in other hands": ("I9", "shares", _set(Parts, "part", _to_whoever_asks)),
    "words before they are compared": ("I9", "shares", _set(SealedSums, "_opened", _at_any_time)),
    "seals that nobody checks": (
        "I10",
        "ckks",
        lambda monkeypatch: monkeypatch.setattr(
            "coordinator.intake.contributions.verify.seals", lambda *_: None
        ),
    ),
    "seals in other hands": ("I10", "ckks", _set(Sums, "masks", _to_anybody)),
    "seals of others than the cohort": ("I10", "ckks", _set(Sums, "masks", _all_but_the_last)),
    "a part of another seat": ("I10", "shares", _set(Parts, "part", _of_the_first_seat)),
    "contributions that outlive their round": (
        "I11",
        "ckks",
        _set(MemoryObjects, "delete_prefix", lambda *_: None),
    ),
    "an order that is never done with": (
        "I11",
        "ckks",
        _set(MemoryStore, "finish_effect", lambda *_: None),
    ),
    "the sum of one seat": (
        "I12",
        "shares",
        _all_of(
            _rewritten((Phase.SUMMING, Quiet), _settle_on_one),
            _set(statements.publish, "_root_of", _any_root),
        ),
    ),
    "a sum without a certificate": (
        "I13",
        "shares",
        _set(seated, "certificate_is_complete", lambda *_: True),
    ),
    "an honest seat that is called a liar": (
        "I14",
        "shares",
        _set(Disputes, "name_liar", _blame_the_first),
    ),
    "a step that is not saved": ("I15", "ckks", _set(saving.Rounds, "_save", _unsaved)),
}
FIRST = {
    "a sealer that exchanges its model": 100,
    "a countersignature that nobody checks": 100,
    "an honest seat that is called a liar": 800,
    "seals that nobody checks": 40,
}
"""From where to look for what few seeds come to; a whole run comes to all of it."""


@pytest.mark.parametrize("what", BREACHES)
def test_a_breach_would_be_seen(what, monkeypatch, unasserted):
    """By the simulation alone, with nothing asserted in the coordinator."""
    number, scheme, patch = BREACHES[what]
    patch(monkeypatch)

    found = first_failure(scheme, first=FIRST.get(what, 0))

    assert found is not None
    assert re.match(rf"{number}\b", found.failure), found.failure


ASSERTED = (
    "a second contribution",
    "a sum below the quorum",
    "a round that goes backwards",
    "a round of seats that goes backwards",
    "a sealer that exchanges its model",
    "a sum that is opened without its auditor",
    "the sum of one seat",
    "a sum without a certificate",
)


@pytest.mark.parametrize("what", ASSERTED)
def test_a_breach_is_not_saved(what, monkeypatch):
    """With the assertions of production: the coordinator says itself what is wrong, and stops."""
    number, scheme, patch = BREACHES[what]
    patch(monkeypatch)

    found = first_failure(scheme, first=FIRST.get(what, 0))

    assert found is not None
    assert re.match(rf"{number}, round \d", found.failure), found.failure
    assert found.stopped


def test_every_invariant_is_broken_by_one_of_these():
    assert {number for number, _, _ in BREACHES.values()} == set(WORDS)


def test_a_long_history_is_told_again_in_few_operations(monkeypatch, unasserted):
    """What is left breaks the same invariant, and can be kept as a file."""
    _, scheme, patch = BREACHES["a round that goes backwards"]
    patch(monkeypatch)
    found = first_failure(scheme)

    shortest = shrink(found)

    assert len(shortest.operations) < len(found.history) / 2
    assert shortest.why.startswith("I5")
    assert replay(ops.read(ops.write(shortest))).failure == shortest.why


# -- what it comes to ----------------------------------------------------------------------


def test_rounds_end_in_every_way_that_they_can():
    """Audited, refused and given up on; judged, certified, disputed and released."""
    outcomes = [live_through(seed) for seed in range(2_050, 2_080)]

    assert [each.failure for each in outcomes if each.failure] == []
    assert sum(each.released for each in outcomes) > len(outcomes)
    reasons = " ".join(reason for each in outcomes for reason in each.reasons)
    for end in ("a quorum of 3", "neither signed nor refused", "did not judge", "is signed by"):
        assert end in reasons
    assert OPENERS[0] in reasons or "seat-" in reasons
