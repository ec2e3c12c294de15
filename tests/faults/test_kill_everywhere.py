"""SIGKILL at every failpoint there is: what is released is what would have been, within seconds.

A federation of real processes goes through many rounds while one process of it is killed at one
place after the other. A few places are gone through each time the tests run; all of them, on
both databases, by `make deep`, which prints how long each recovery took.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from privacy.failpoints import NAMES, PLACES
from tests.faults.killing import (
    LIMITS,
    PATIENT,
    RECOVERY_SECONDS,
    Death,
    Sweep,
    check_nothing_was_lost,
    say,
    starts_of,
)
from tests.postgres import postgres_server, postgres_url
from tests.processes.federation import Federation, federation

__all__ = ("postgres_server", "postgres_url")  # fixtures

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

SITES = ("site-a", "site-b", "site-c", "site-d")
SEATS = ("seat-1", "seat-2", "seat-3")
AUDITOR = "watch"
ASKED = {"unchecked": True, "score_step_log2": 24}

SEATED = (
    "effect.before_nominate",
    "effect.after_nominate",
    "seats.after_verdict",
    "effect.before_freeze",
    "effect.after_freeze",
    "seats.after_certificate",
    "seats.after_chunk",
    "seats.after_statement",
    "effect.before_manifest",
    "effect.after_manifest",
)
"""What a coordinator passes under `shares` alone."""


@dataclass(frozen=True)
class Run:
    """One federation, and who of it is killed where.

    Attributes:
        wanted: how many rounds it takes to come by all these places.
    """

    name: str
    scheme: str
    victim: str
    places: tuple[str, ...]
    wanted: int
    audited: bool = False
    sites: int = 3

    @property
    def members(self) -> tuple[str, ...]:
        """The sites: three that open, and perhaps one that does not."""
        return SITES[: self.sites]


def only(kind: str, belongs: Callable[[str], bool]) -> tuple[str, ...]:
    """Return those of the places of a kind of process that belong here."""
    return tuple(name for name in PLACES[kind] if belongs(name))


RENEWING = only("site", lambda name: name.startswith("rotation."))
"""No programme here lasts for half a certificate: tests/processes/test_renewals.py goes to them."""

ENROLLING = only(
    "coordinator", lambda name: name.partition(".")[0] in ("enrolment", "issuing", "proposals")
)
"""Nobody joins in the middle of a programme here: tests/coordinator/members goes to them."""

SENDING = PLACES["sender"]
"""Nothing is settled on a chain here: tests/chain/test_kills.py goes to them."""

COORDINATOR = only("coordinator", lambda name: name not in (*SEATED, *ENROLLING))
RUNS = (
    Run("coordinator", "ckks", "coordinator", ("migrate.before_commit", "migrate.after_commit",
        *(each for each in COORDINATOR if not each.startswith("migrate."))), 12),
    Run("coordinator of seats", "shares", "coordinator", SEATED, 8),
    Run("site", "ckks", "site-d",
        only("site", lambda name: name != "certify.before_sign" and name not in RENEWING), 14,
        sites=4),
    Run("second opener", "ckks", "site-b", ("keying.before_vouch",), 2),
    Run("site of seats", "shares", "site-b", ("certify.before_sign", "reveal.after_chunk",
        "reveal.before_record", "reveal.after_record", "reveal.after_open"), 5),
    Run("opener", "ckks", "site-a",
        only("opener", lambda name: name != "keying.before_vouch"), 11),
    Run("auditor", "ckks", AUDITOR, PLACES["auditor"], 4, audited=True),
    Run("seat", "shares", "seat-2", PLACES["seat"], 10),
)  # fmt: skip
"""Every place there is, in the order in which a programme comes by.

Who opens makes the model itself, and fetches none. The first opener makes each key, and so
vouches for none.
"""

SAMPLE = (
    Run("sample of all but seats", "ckks", "coordinator",
        ("store.after_commit", "objects.after_link", "effect.before_aggregate"), 1),
)  # fmt: skip


def test_every_place_is_gone_to() -> None:
    """At least forty, and each that the table of failpoints has."""
    gone = [place for run in RUNS for place in run.places]

    assert {*gone, *RENEWING, *ENROLLING, *SENDING} == NAMES
    assert len(NAMES) >= 40


@contextmanager
def ready(run: Run, folder: Path, database: str) -> Iterator[Sweep]:
    """Give a federation in which all run but the victim."""
    rounds: dict[str, Any] = {"wanted": run.wanted, "quorum": run.sites, "deadline": PATIENT}
    seats = SEATS if run.scheme == "shares" else ()
    policies = {name: {**LIMITS, "without_auditor": not run.audited} for name in run.members}
    with federation(
        folder, run.members, policies=policies, auditor=AUDITOR if run.audited else "", seats=seats,
        asked=ASKED if seats else None, database=database, **rounds,
    ) as made:  # fmt: skip
        sweep = starts_of(made, seats, AUDITOR if run.audited else "")
        everybody = ("coordinator", *seats, *run.members, *([AUDITOR] if run.audited else []))
        for name in everybody:
            if name != run.victim:
                sweep.start(name)
        yield sweep


def swept(run: Run, folder: Path, database: str = "") -> list[Death]:
    """Return the deaths of one run, after which all is as if there had been none."""
    with ready(run, folder, database) as sweep:
        deaths = list(sweep.kill_everywhere(run.victim, run.places))
        sweep.made.run_to_the_end()
        check_nothing_was_lost(sweep.made, run.members, run.wanted)
        return deaths


def check_recoveries(
    deaths: Sequence[Death], places: Sequence[str], most: float = RECOVERY_SECONDS
) -> None:
    """Return if each place was died at, and each next life was soon of use."""
    assert [each.place for each in deaths] == list(places)
    slow = [each.row() for each in deaths if each.seconds > most]
    assert slow == []


@pytest.mark.parametrize("run", SAMPLE, ids=lambda run: run.name)
def test_a_few_places_of_all(run: Run, tmp_path: Path) -> None:
    """What each change is tried with; the whole sweep is below."""
    deaths = swept(run, tmp_path)

    # How soon, the sweep says, on a machine that does nothing else.
    check_recoveries(deaths, run.places, most=60)


@pytest.mark.deep
@pytest.mark.parametrize(
    ("victim", "place"),
    [("coordinator", "accept.after_chunk:1"), ("site-b", "send.after_chunk:1")],
)
def test_an_upload_goes_on_within_seconds(tmp_path: Path, victim: str, place: str) -> None:
    """From the start of a new life until one chunk more, or a commit, is durable."""
    with federation(tmp_path, SITES[:3], deadline=PATIENT, quorum=3) as made:
        sweep = starts_of(made)
        for name in ("coordinator", *SITES[:3]):
            sweep.start(name, f"{place}=kill" if name == victim else "")
        made.wait_for_death(victim)
        of = SITES[:3] if victim == "coordinator" else (victim,)
        there = arrived(made, of)

        began = time.monotonic()
        sweep.start(victim)
        made.wait_for("the next chunk", lambda: arrived(made, of) > there)
        seconds = time.monotonic() - began

        print(f"{victim}: the upload goes on after {seconds:.2f} s")
        assert seconds <= RECOVERY_SECONDS
        made.run_to_the_end()
        check_nothing_was_lost(made, SITES[:3], 1)


def arrived(made: Federation, names: Sequence[str]) -> int:
    """Return how many chunks and commits of the first round are durable."""
    current = made.round(1)
    committed = {each.participant for each in current.committed} if current else set()
    return sum(made.observer.durable_chunks(1, each) + (each in committed) for each in names)


@pytest.mark.deep
@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_a_kill_anywhere_changes_nothing_of_the_result(run: Run, tmp_path: Path) -> None:
    """On SQLite, for every kind of process."""
    deaths = swept(run, tmp_path)

    say(deaths)
    check_recoveries(deaths, run.places)


@pytest.mark.deep
@pytest.mark.parametrize("run", RUNS[:2], ids=lambda run: run.name)
def test_a_kill_of_the_coordinator_on_postgresql_changes_nothing(
    run: Run, tmp_path: Path, postgres_url: str
) -> None:
    """Others keep their own files: only the coordinator's places differ with its database."""
    deaths = swept(run, tmp_path, postgres_url)

    say(deaths)
    check_recoveries(deaths, run.places)
