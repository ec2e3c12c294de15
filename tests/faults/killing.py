"""Kill a process at one failpoint after the other, and see how soon it works again.

A victim is started with a failpoint and dies there of SIGKILL. It is started again with none,
and must answer, or be answered, within seconds; then it is started with the next. The others
go on meanwhile, so that one programme of rounds goes through as many deaths as there are places.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from coordinator.rounds.state import Phase
from participant.keys import load_keys
from participant.wire.tls import SiteCertificate, channel_credentials
from privacy.initial import initial_vector
from privacy.records import Release
from privacy.vectors import model_digest
from tests.processes.federation import MODEL, SHAPES, Federation

RECOVERY_SECONDS = 5.0
PATIENT = {"progress_seconds": "60", "abandon_seconds": "300"}
"""Longer than a process takes to start again, so that each round waits for whoever died."""

LIMITS = {"epsilon_per_round": "3", "epsilon_for_life": "1000"}

LATER = {
    "objects.before_write": 2, "objects.before_sync": 3, "objects.before_link": 2,
    "objects.after_link": 4, "objects.before_folder_sync": 2, "objects.after_folder_sync": 3,
    "store.before_commit": 5, "store.after_commit": 4, "service.before_save": 2,
    "service.after_save": 2, "accept.after_chunk": 2, "accept.before_chunk": 3,
    "kept.before_write": 2, "kept.after_write": 3, "ledger.before_write": 3,
    "ledger.after_write": 3, "memory.before_write": 3, "memory.after_write": 3,
    "seat_memory.before_write": 2, "seat_memory.after_write": 3, "seat.in_upload": 3,
    "seat.after_part_chunk": 2, "fold.after_row": 2, "seats.after_chunk": 2,
    "reveal.after_chunk": 2,
}  # fmt: skip
"""At which passage a process dies, where the first is that of its start and no round's."""


@dataclass(frozen=True)
class Death:
    """One death of one process, and how long the next life took to be of use."""

    place: str
    victim: str
    database: str
    seconds: float
    rounds: int

    def row(self) -> str:
        """Return it as a line of the table."""
        return (
            f"| {self.place} | {self.victim} | {self.database} | {self.rounds} | "
            f"{self.seconds:.2f} |"
        )


def table(deaths: Sequence[Death]) -> str:
    """Return what was measured, for people."""
    head = "| killed at | process | database | rounds released before | recovery, s |"
    rows = sorted(each.row() for each in deaths)
    return "\n".join([head, "| --- | --- | --- | --- | --- |", *rows])


@dataclass
class Sweep:
    """A federation in which one process after the other is killed."""

    made: Federation
    starts: dict[str, Callable[[str, str], None]]

    @property
    def database(self) -> str:
        """Which database it is."""
        return self.made.database.partition(":")[0].partition("+")[0]

    def kill_everywhere(self, victim: str, places: Sequence[str]) -> Iterator[Death]:
        """Kill a process that does not run at each of these places, in order; it runs then."""
        for place in places:
            passage = LATER.get(place, 1)
            self.start(victim, f"{place}:{passage}=kill")
            self.made.wait_for_death(victim)
            self._check_died_there(victim, f"{place}:{passage}")
            # before any table is there, nobody may look at them
            rounds = 0 if place.startswith("migrate.") else self.made.observer.released()
            seconds = 0.0
            if place != "migrate.before_commit":  # of a migration there is the second half, too
                seconds = self._revive(victim)
                self.made.kill(victim)
            yield Death(place, victim, self.database, seconds, rounds)
        self.start(victim, "")

    def start(self, victim: str, failpoints: str = "") -> None:
        """Start a process of whichever kind."""
        self.starts.get(victim, self.starts["*"])(victim, failpoints)

    def _check_died_there(self, victim: str, where: str) -> None:
        assert self.made.log(victim, "failpoint")[-1]["where"] == where

    def _revive(self, victim: str) -> float:
        """Return how long a new life took until it was answered, or answered others."""
        joined = len(self.made.log(victim, "joined"))
        began = time.time()
        self.start(victim, "")
        if victim == "coordinator":
            self.made.wait_for("the first answer", lambda: answers(self.made))
            return time.time() - began
        self.made.wait_for_log(victim, "joined", joined + 1)
        said = str(self.made.log(victim, "joined")[-1]["timestamp"])
        return datetime.fromisoformat(said).timestamp() - began


def answers(made: Federation) -> bool:
    """Return whether the coordinator answers a call, over mutual TLS."""
    home = made.places.site(made.sites[0])
    certificate = SiteCertificate(
        (home / "authority.pem").read_bytes(),
        (home / "certificate.pem").read_bytes(),
        load_keys(home / "keys").tls_pem,
    )
    # one channel for each try: a channel that was refused waits before it tries again
    with (
        suppress(grpc.RpcError),
        grpc.secure_channel(f"127.0.0.1:{made.port}", channel_credentials(certificate)) as channel,
    ):
        asked = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(), timeout=0.5
        )
        return bool(asked.status == health_pb2.HealthCheckResponse.SERVING)
    return False


def starts_of(made: Federation, seats: Sequence[str] = (), auditor: str = "") -> Sweep:
    """Return a sweep that knows how to start whom."""
    starts: dict[str, Callable[[str, str], None]] = {
        "coordinator": lambda _, failpoints: made.start_coordinator(failpoints),
        "*": made.start_site,
    }
    starts |= dict.fromkeys(seats, made.start_seat)
    if auditor:
        starts[auditor] = made.start_auditor
    return Sweep(made, starts)


def check_nothing_was_lost(made: Federation, sites: Sequence[str], wanted: int) -> None:
    """Return if the result is that of a run in which nobody died.

    Exactly: as many releases as were asked for; in each round every site's contribution, once;
    each opened sum the sum of what the sites had protected, to the last integer; one chain of
    releases, which every site holds; each round paid for once, set aside once.
    """
    rounds = made.observer.rounds()
    done = sorted(rounds)
    assert {number: rounds[number].phase for number in done} == dict.fromkeys(done, Phase.DONE)
    assert len(done) == wanted
    assert {number: made.cohort(number) for number in done} == dict.fromkeys(done, tuple(sites))
    assert {number: made.difference(number) for number in done} == {each: {0} for each in done}
    for name in sites:
        for number in done:
            assert made.spending(name, number) in (["COMMIT"], ["COMMIT", "SENT"]), (name, number)
        assert made.reserved(name) == [wanted]
    previous = model_digest(SHAPES, initial_vector(SHAPES, MODEL))
    for number in done:
        release = made.document("release", rounds[number].release, Release)
        assert release.previous == previous
        previous = release.model
    newest = (done[-1], rounds[done[-1]].release, previous)
    assert {made.newest_release(name) for name in sites} == {newest}
    assert made.observer.store.pending_effects() == []


def say(deaths: Sequence[Death]) -> None:
    """Print the table past pytest's capture, where a person has asked for the sweep."""
    sys.__stdout__.write(f"\n{table(deaths)}\n")  # type: ignore[union-attr]
