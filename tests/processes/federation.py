"""A small federation of real processes: real TLS, real keys, real deaths."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import tomlkit

from coordinator.rounds.state import Phase, Round
from participant.config import limits_of, read
from participant.joining.init import init
from participant.keys import load_keys
from participant.ledger.site_ledger import SiteLedger
from participant.memory import Memory
from privacy import canonical
from privacy.documents import unpack
from privacy.failpoints import VARIABLE
from privacy.grid import Grid
from privacy.initial import initial_vector
from privacy.ledger import Row, RowType
from privacy.plan import ALIGNMENT_RELEASE, CKKS, NORM_BOUND_RELEASE, SCORE_RELEASES, SHARES
from privacy.records import Record
from privacy.roster import Role, Roster
from privacy.vectors import dimension, model_digest
from tests.ports import own_port
from veilsum.demo.federation import Places
from veilsum.demo.witness import FOLDER, noted
from veilsum.federation.children import Children, children
from veilsum.federation.founding import configure_seat, found
from veilsum.federation.observe import Observer, events, observe

from .alive import MARK, left_after, new_mark

SITES = Path(__file__).parent / "sites"
DOUBLES = "tests.processes.doubles"
"""Members that cheat: the product has no code, and no switch, that does."""

NAME = "tiny"
SHAPES = (("weight", (96, 96)), ("bias", (96,)))
CHUNKS = 3
LEAVES_PER_CHUNK = 4
"""Three chunks under shares, too: 9,312 values are 10 leaves."""
MODEL = "tiny model 1"
GRID = Grid(fraction_bits=18, value_bits=24)
PROGRESS_SECONDS = "2"
STEP_SECONDS = 90.0

Document = TypeVar("Document", bound=Record)

RELEASES = ("participation", NORM_BOUND_RELEASE, *SCORE_RELEASES)
"""All that a round may let out; under ckks the first, and the last where scores are asked for."""

TRAINING = {
    "sampling_rate": "0.5",
    "noise_multiplier": "2.75",
    "steps": 2,
    "clip": "1",
    "learning_rate": "0.5",
    "divisor": 4,
}


@dataclass
class Federation:
    """One coordinator, its sites and seats, each a process that a test may kill and restart."""

    places: Places
    family: Children
    sites: tuple[str, ...]
    roster: Roster
    port: int
    seats: tuple[str, ...] = ()
    mark: str = field(default_factory=new_mark)
    doomed: set[str] = field(default_factory=set)
    database: str = ""

    @cached_property
    def observer(self) -> Observer:
        """What the coordinator's database says; not before it has been made."""
        return observe(self.database)

    def log(self, name: str, event: str) -> list[dict[str, object]]:
        """Return the events of one name in a process's log, over all its lives."""
        return events(self.places.logs / f"{name}.log", event)

    def round(self, number: int) -> Round | None:
        """Return a round as the coordinator has saved it, or None before it exists."""
        return self.observer.rounds().get(number)

    # -- lives and deaths -----------------------------------------------------------

    def start_coordinator(self, failpoints: str = "", *, double: str = "") -> None:
        """Start the coordinator, or the module of `doubles` that runs in its place."""
        command = ["veilsum", "coordinator", "serve", "--config"]
        if double:
            command = [f"{DOUBLES}.{double}"]
        self._start("coordinator", command, self._config, failpoints)

    def start_site(
        self, name: str, failpoints: str = "", *, witnessed: bool = True, double: str = ""
    ) -> None:
        """Start a site; with the demo's witness in its worker, unless told otherwise.

        Args:
            double: a module that runs in its place, of those in `doubles`.
        """
        command = ["veilsum", "participant", "run", "--config"]
        if witnessed:
            command = ["veilsum.demo.hospital_process"]
        if double:
            command = [f"{DOUBLES}.{double}"]
        self._start(name, command, self.places.site(name) / "site.toml", failpoints)

    def start_auditor(self, name: str, failpoints: str = "") -> None:
        """Start the auditor."""
        command = ["veilsum", "auditor", "serve", "--config"]
        self._start(name, command, self.places.site(name) / "auditor.toml", failpoints)

    def start_seat(self, name: str, failpoints: str = "", *, double: str = "") -> None:
        """Start a seat, or the module of `doubles` that runs in its place."""
        command = ["veilsum", "aggregator", "serve", "--config"]
        if double:
            command = [f"{DOUBLES}.{double}"]
        self._start(name, command, self.places.site(name) / "aggregator.toml", failpoints)

    def start(self) -> None:
        """Start everybody, with no failpoint."""
        self.start_coordinator()
        for name in self.seats:
            self.start_seat(name)
        for name in self.sites:
            self.start_site(name)

    def kill(self, name: str) -> None:
        """End a process as a power cut would."""
        self.family.kill(name)

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process."""
        self.family.running[name].send_signal(number)

    def pid(self, name: str) -> int:
        """Return a process's id."""
        return self.family.running[name].pid

    def wait_for_death(self, name: str, seconds: float = STEP_SECONDS) -> None:
        """Return when a failpoint has killed the process, with SIGKILL and nothing else."""
        process = self.family.running[name]
        self.wait_for(f"the death of {name}", lambda: process.poll() is not None, seconds)
        assert process.returncode == -signal.SIGKILL
        del self.family.running[name]

    def wait_for(self, what: str, holds: Callable[[], bool], seconds: float = STEP_SECONDS) -> None:
        """Return when it holds; nobody may die before, except of a failpoint."""
        deadline = time.monotonic() + seconds
        while not holds():
            for name, process in self.family.running.items():
                if process.poll() not in (None, 0, *self._expected(name)):
                    died = f"{name} died with status {process.returncode}"
                    raise AssertionError(f"{died} while waiting for {what}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: not within {seconds:.0f} s\n{self.tail()}")
            time.sleep(0.05)

    def wait_for_log(self, name: str, event: str, count: int = 1, **fields: object) -> None:
        """Return when a process has logged an event of these fields so many times."""
        wanted = fields.items()
        self.wait_for(
            f"{event} of {name}",
            lambda: sum(wanted <= each.items() for each in self.log(name, event)) >= count,
        )

    def wait_for_phase(self, number: int, *phases: Phase) -> None:
        """Return when a round is in one of these phases."""

        def there() -> bool:
            current = self.round(number)
            return current is not None and current.phase in phases

        self.wait_for(f"round {number} to be {'/'.join(phases)}", there)

    def wait_for_committed(self, number: int, *names: str) -> None:
        """Return when the contributions of these sites count."""

        def there() -> bool:
            current = self.round(number)
            here = {each.participant for each in current.committed} if current else set()
            return set(names) <= here

        self.wait_for(f"contributions of {names} to round {number}", there)

    def wait_for_end(self) -> None:
        """Return when every running site and seat has ended by itself: all is over then."""
        running = [name for name in (*self.sites, *self.seats) if name in self.family.running]
        self.wait_for("the end", lambda: all(map(self.family.has_ended, running)))

    def run_to_the_end(self) -> None:
        """Start whoever does not run, and wait until the programme is over for every site."""
        if "coordinator" not in self.family.running:
            self.start_coordinator()
        for name in self.seats:
            if name not in self.family.running:
                self.start_seat(name)
        for name in self.sites:
            if name not in self.family.running:
                self.start_site(name)
        self.wait_for_end()

    # -- what is left ---------------------------------------------------------------

    def cohort(self, number: int) -> tuple[str, ...]:
        """Return who is in a round's sum."""
        current = self.round(number)
        assert current is not None
        left_out = {each.participant for each in current.left_out}
        return tuple(e.participant for e in current.committed if e.participant not in left_out)

    def difference(self, number: int) -> set[int]:
        """Return the distance of each opened sum from the plaintext sum, in grid steps."""
        updates = [noted(self.places.witness(n), number, "update") for n in self.cohort(number)]
        assert all(each is not None for each in updates)
        plain = np.sum(updates, axis=0)
        opened = (noted(self.places.witness(name), number, "sum") for name in self.sites)
        return {int(np.max(np.abs(each - plain))) for each in opened if each is not None}

    def ledger(self, name: str) -> tuple[Row, ...]:
        """Return a site's ledger, its chain verified."""
        ledger = SiteLedger(
            self.places.site(name) / "ledger.sqlite",
            time.time,
            site=name,
            limits=limits_of(read(self.places.site(name) / "site.toml").policy),
            key=load_keys(self.places.site(name) / "keys").signing,
        )
        ledger.verify_chain()
        rows = ledger.rows()
        ledger.close()
        return rows

    def spending(self, name: str, number: int) -> list[str]:
        """Return what a site's ledger says was spent and sent in a round, in order."""
        spent = (RowType.COMMIT, RowType.SENT)
        rows = [row for row in self.ledger(name) if row.round == number]
        return [str(row.type) for row in rows if row.type in spent]

    def reserved(self, name: str) -> list[int]:
        """Return how many rounds a site has set aside, each time that it did."""
        return [row.rounds for row in self.ledger(name) if row.rounds is not None]

    def newest_release(self, name: str) -> tuple[int, str, str] | None:
        """Return the round, release and model that a site holds to be the newest."""
        memory = Memory(self.places.site(name))
        release = memory.newest_release()
        memory.close()
        return release

    def document(self, kind: str, name: str, of: type[Document]) -> Document:
        """Return a record that the coordinator keeps."""
        return canonical.decode(unpack(self.observer.store.document(kind, name)).body, of)

    def tail(self) -> str:
        """Return the last lines of every log."""
        return "\n".join(
            f"--- {path.stem}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-12:])
            for path in sorted(self.places.logs.glob("*.log"))
        )

    def configure(self, name: str, **policy: object) -> None:
        """Write a site's file again, with these lines of its policy."""
        body = tomlkit.dumps(_site(self, name, policy)).encode()
        (self.places.site(name) / "site.toml").write_bytes(body)

    def _expected(self, name: str) -> tuple[int, ...]:
        return (-signal.SIGKILL,) if name in self.doomed else ()

    @property
    def _config(self) -> Path:
        return self.places.coordinator / "coordinator.toml"

    def _start(self, name: str, command: Sequence[str], config: Path, failpoints: str) -> None:
        self.doomed.discard(name)
        if "=kill" in failpoints:
            self.doomed.add(name)
        self.family.start(
            name,
            [*command, str(config)],
            {
                VARIABLE: failpoints,
                FOLDER: str(self.places.witness(name)),
                "PYTHONPATH": str(SITES),
                MARK: self.mark,
            },
        )


@contextlib.contextmanager
def federation(
    folder: Path,
    sites: Sequence[str] = ("site-a", "site-b", "site-c"),
    *,
    policies: Mapping[str, Mapping[str, object]] | None = None,
    auditor: str = "",
    seats: Sequence[str] = (),
    asked: Mapping[str, object] | None = None,
    database: str = "",
    paid: bool = False,
    **rounds: object,
) -> Iterator[Federation]:
    """Found a federation in `folder`; nothing runs yet, and nothing is left running at the end.

    Args:
        policies: lines of a site's policy, where a test wants others.
        auditor: name of a member that audits every round, or judges what seats dispute.
        seats: three members; with them rounds are under shares.
        asked: settings of the coordinator's `scheme` about questions to seats, where a test
            wants others than the norm bound alone, which a seat that is away holds up; or about
            scores without seats.
        database: URL of the coordinator's; a file of its own if "".
        paid: whether sites have an address at which they are paid.
        rounds: settings of the coordinator's `rounds`, where a test wants others.
    """
    places = Places(folder)
    for name in sites:
        init(places.site(name), NAME, name, f"Organisation {name}", chain=paid)
    if auditor:
        init(places.site(auditor), NAME, auditor, "Organisation of the auditor", role=Role.AUDITOR)
        rounds = {"auditor": auditor, **rounds}
    if seats:
        rounds = {"seats": list(seats), **rounds}
    for name in seats:
        init(places.site(name), NAME, name, f"Organisation {name}", role=Role.AGGREGATOR)
    roster = found(places, NAME, sorted([*sites, *([auditor] if auditor else []), *seats]))
    with children(places.logs) as family:
        made = Federation(places, family, tuple(sites), roster, own_port(), tuple(seats))
        made.database = database or places.database
        made._config.write_text(tomlkit.dumps(_coordinator(made, rounds, asked or {})))
        for name in sites:
            made.configure(name, **(policies or {}).get(name, {}))
        if auditor:
            body = tomlkit.dumps(_auditor(made, auditor)).encode()
            (places.site(auditor) / "auditor.toml").write_bytes(body)
        for name in seats:
            configure_seat(places, roster, name, f"127.0.0.1:{made.port}", smallest_cohort=2)
        try:
            yield made
        finally:
            family.stop()
            if "observer" in vars(made):
                made.observer.store.close()
    assert left_after(made.mark, 10) == {}


def _coordinator(
    made: Federation, rounds: Mapping[str, object], asked: Mapping[str, object]
) -> dict[str, object]:
    home = made.places.coordinator
    settings: dict[str, object] = {
        "wanted": 1,
        "openers": list(made.sites[:3]),
        "cohort_minimum": 2,
        "quorum": 2,
        "agreement": 2,
        "clip": "20",
        "server_learning_rate": "1",
        "deadline": {"progress_seconds": PROGRESS_SECONDS, "abandon_seconds": "60"},
    }
    return {
        "federation": NAME,
        "state": str(home),
        "database": made.database,
        "signing_key": str(home / "signing.key"),
        "roster": str(made.places.roster),
        "listen": {
            "address": f"127.0.0.1:{made.port}",
            "certificate": str(home / "server.pem"),
            "key": str(home / "server.key"),
            "authority": str(home / "authority.pem"),
        },
        "scheme": {
            "fraction_bits": GRID.fraction_bits,
            "value_bits": GRID.value_bits,
            "cohort_max": max(4, len(made.sites)),
            **(_shares(asked) if made.seats else {"ciphertexts_per_chunk": 1, **asked}),
        },
        "rounds": {**settings, **rounds},
        "model": {
            "dimension": dimension(SHAPES),
            "initial": model_digest(SHAPES, initial_vector(SHAPES, MODEL)),
        },
        "privacy": {
            "mechanism": "local",
            "unit": "patient",
            "neighbouring": "add_remove",
            "delta": "0.001",
            "releases": _releases(made, asked),
            "training": {"kind": "local", **TRAINING},
        },
    }


def _releases(made: Federation, asked: Mapping[str, object]) -> list[str]:
    if made.seats:
        return list(RELEASES)
    return [RELEASES[0], *([ALIGNMENT_RELEASE] if "score_step_log2" in asked else [])]


def _shares(asked: Mapping[str, object]) -> dict[str, object]:
    return {"name": SHARES, "leaves_per_chunk": LEAVES_PER_CHUNK, "bound_norms": True, **asked}


def _auditor(made: Federation, name: str) -> dict[str, object]:
    scheme = SHARES if made.seats else CKKS
    policy = {"roster": made.roster.digest(), "schemes": [scheme], "smallest_cohort": 2}
    files = {key: each for key, each in _site(made, name, {}).items() if key != "dataset"}
    return {**files, "policy": policy}


def _site(made: Federation, name: str, policy: Mapping[str, object]) -> dict[str, object]:
    home = made.places.site(name)
    ordinary: dict[str, object] = {
        "roster": made.roster.digest(),
        "first_model": MODEL,
        "openers": list(made.sites[:3]),
        "schemes": [SHARES if made.seats else CKKS],
        "smallest_cohort": 2,
        "epsilon_per_round": "3",
        "epsilon_for_life": "8",
        "delta": "0.001",
        "unit": "patient",
        "neighbouring": "add_remove",
        "releases": list(RELEASES if made.seats else RELEASES[:1]),
        "without_auditor": True,
    }
    return {
        "federation": NAME,
        "participant": name,
        "state": str(home),
        "coordinator": {
            "address": f"127.0.0.1:{made.port}",
            "authority": str(home / "authority.pem"),
            "certificate": str(home / "certificate.pem"),
        },
        "dataset": {"id": f"tiny-{name}", "site": "tiny_site:TinySite", "records": 8},
        "policy": {**ordinary, **policy},
    }
