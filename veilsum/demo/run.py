"""The demo, step by step: set up, three rounds, who is killed, settlement, and what was found."""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coordinator.config import read
from coordinator.settling.shape import shape_of
from privacy.errors import ConfigError
from privacy.failpoints import VARIABLE
from privacy.roster import Roster
from privacy.schemes.ckks_parameters import fitting
from privacy.schemes.shares.layout import SharesParameters
from privacy.vectors import dimension
from veilsum.federation.audits import Audits
from veilsum.federation.children import Children, children
from veilsum.federation.founding import found
from veilsum.federation.observe import Observer, events, observe
from veilsum.federation.statements import Statements
from veilsum.process import stopped_by_sigterm

from . import settings as agreed
from .caught import Caught
from .chain import embedded_chain
from .cheat import catch
from .federation import (
    AUDITOR,
    FEDERATION,
    HOSPITALS,
    KILL_ROUND,
    KILLED,
    KILLED_SEAT,
    SCHEMES,
    SEAT_KILL_ROUND,
    Places,
    configure_auditor,
    configure_coordinator,
    configure_seat,
    configure_site,
    init_arguments,
    members,
    seats,
)
from .findings import Kill, find
from .report import Report
from .screen import Progress
from .settings import JOBS, Job
from .settlement import SHORT, TO_CHALLENGE, Programme, open_programme
from .witness import FOLDER

# Reached once a round: its cohort is certified, and nothing is stated yet.
SEAT_FAILPOINT = f"seat.before_statement:{SEAT_KILL_ROUND}=pause"
STEP_SECONDS = 120.0


def run(
    *,
    rpc: str,
    state: Path | None,
    scheme: str = "ckks",
    mechanism: str = "local",
) -> Report:
    """Run the demo and return what it found.

    Args:
        rpc: the JSON-RPC URL of a chain with unlocked accounts; embedded if empty.
        state: a folder to keep all files in; a new temporary one if None.
        scheme: one of `SCHEMES`.
        mechanism: one of `JOBS`.

    Raises:
        ConfigError: no such scheme or mechanism, or a process of the demo failed; its log says why.
    """
    _require_shown(scheme, mechanism)
    progress = Progress(sys.stderr)
    with stopped_by_sigterm(), _folder(state) as root:
        return _run(Places(root), rpc, progress, scheme, JOBS[mechanism])


def run_cheat(
    *,
    rpc: str,
    state: Path | None,
    scheme: str = "ckks",
    mechanism: str = "local",
) -> Caught:
    """Run the demo with a coordinator that alters one word of one sum, and return what came of it.

    Args: as for `run`.

    Raises:
        ConfigError: as for `run`; or nothing of such a sum is committed under this scheme.
    """
    _require_shown(scheme, mechanism)
    if scheme != "ckks":
        raise ConfigError(
            f"--cheat is shown under ckks, not under {scheme}: there three seats add, and the "
            "coordinator has no sum to alter"
        )
    progress = Progress(sys.stderr)
    with stopped_by_sigterm(), _folder(state) as root:
        return _run_cheat(Places(root), rpc, progress, scheme, JOBS[mechanism])


def _require_shown(scheme: str, mechanism: str) -> None:
    if scheme not in SCHEMES:
        raise ConfigError(f"scheme {scheme!r} is not shown; one of: {', '.join(SCHEMES)}")
    if mechanism not in JOBS:
        raise ConfigError(f"mechanism {mechanism!r} is not shown; one of: {', '.join(JOBS)}")


@dataclass(frozen=True)
class _Scene:
    """What every step of a demo works on; `cheats` says whether its coordinator does."""

    places: Places
    family: Children
    progress: Progress
    scheme: str
    job: Job
    cheats: bool = False

    def wait_for(self, what: str, done: Callable[[], bool]) -> None:
        """Return when `done`, as `Children.wait_for` does."""
        self.family.wait_for(what, done, STEP_SECONDS)


def _run(places: Places, rpc: str, progress: Progress, scheme: str, job: Job) -> Report:
    started = time.monotonic()
    with children(places.logs) as family, _chain(rpc) as url:
        scene = _Scene(places, family, progress, scheme, job)
        roster, programme = _set_up(scene, url)
        observer = observe(places.database)
        kill = _rounds(scene, observer)
        _wait_for_settlement(scene)
        rounds = observer.rounds()
    progress.step("judging the models")
    audits, statements = Audits(places, roster, observer), Statements(roster, observer)
    return find(places, programme, audits, statements, rounds, kill, started, scheme, job)


def _run_cheat(places: Places, rpc: str, progress: Progress, scheme: str, job: Job) -> Caught:
    started = time.monotonic()
    with children(places.logs) as family, _chain(rpc) as url:
        scene = _Scene(places, family, progress, scheme, job, cheats=True)
        roster, _ = _set_up(scene, url)
        observer = observe(places.database)
        _rounds(scene, observer)
        _wait_for_commit(scene, job.rounds)
        progress.step(f"round {job.rounds} is committed, with one word of one sum altered")
        return catch(places, Audits(places, roster, observer), observer, progress, job, started)


def _set_up(scene: _Scene, url: str) -> tuple[Roster, Programme]:
    places, scheme = scene.places, scene.scheme
    _make_keys(scene)
    scene.progress.step("certificates, roster, escrow")
    roster = found(places, FEDERATION, members(scheme))
    sites = {name: places.site(name) for name in HOSPITALS}
    settings = read(configure_coordinator(places, None, scheme, scene.job))
    programme = open_programme(
        url,
        places.coordinator,
        sites,
        roster,
        shape_of(settings),
        times=TO_CHALLENGE if scene.cheats else SHORT,
        challengers=[places.site(AUDITOR)] if scene.cheats else [],
    )
    outsiders = "three seats, one auditor" if seats(scheme) else "one auditor"
    scene.progress.step(f"one coordinator, {outsiders} and four hospitals start")
    address = _start_coordinator(scene, programme)
    looks = programme if scene.cheats else None
    auditor = configure_auditor(places, roster, address, scheme, scene.job, looks)
    scene.family.start(AUDITOR, ["veilsum", "auditor", "serve", "--config", str(auditor)])
    for name in seats(scheme):
        failpoint = SEAT_FAILPOINT if name == KILLED_SEAT else ""
        _start_seat(scene, name, configure_seat(places, roster, name, address), failpoint)
    for name in HOSPITALS:
        fingerprint = roster.digest()
        configure_site(places, name, address, fingerprint, programme, scheme, scene.job)
        _start_hospital(scene, name, scene.job.failpoint if name == KILLED else "")
    return roster, programme


def _make_keys(scene: _Scene) -> None:
    names, family = members(scene.scheme), scene.family
    scene.progress.step(f"{len(names)} members make their keys, each in its own process")
    for name in names:
        family.start(f"init-{name}", init_arguments(scene.places, name))
    scene.wait_for("keys", lambda: all(family.has_ended(f"init-{name}") for name in names))
    family.check()


def _start_coordinator(scene: _Scene, programme: Programme) -> str:
    config = configure_coordinator(scene.places, programme, scene.scheme, scene.job)
    announced = scene.places.root / "address"
    cheating = ["veilsum.demo.cheating_coordinator", str(scene.job.rounds)]
    program = cheating if scene.cheats else ["veilsum"]
    serve = ["coordinator", "serve", "--config", str(config), "--announce", str(announced)]
    scene.family.start("coordinator", [*program, *serve])
    scene.wait_for("the coordinator's address", announced.exists)
    return announced.read_text()


def _start_hospital(scene: _Scene, name: str, failpoint: str) -> None:
    scene.family.start(
        name,
        ["veilsum.demo.hospital_process", str(scene.places.site(name) / "site.toml")],
        {FOLDER: str(scene.places.witness(name)), VARIABLE: failpoint},
    )


def _start_seat(scene: _Scene, name: str, config: Path, failpoint: str) -> None:
    scene.family.start(
        name, ["veilsum", "aggregator", "serve", "--config", str(config)], {VARIABLE: failpoint}
    )


def _rounds(scene: _Scene, observer: Observer) -> Kill:
    _wait_for_release(scene, observer, 1)
    kill = _kill_hospital(scene, observer)
    if scene.job.cohort_minimum < len(HOSPITALS):
        frozen = f"round {KILL_ROUND} goes on without it"
        scene.wait_for(frozen, lambda: observer.is_past_open(KILL_ROUND))
        scene.progress.step(f"{frozen}; {KILLED} comes back")
    else:
        scene.progress.step(f"round {KILL_ROUND} needs its noise, and waits; {KILLED} comes back")
    _start_hospital(scene, KILLED, "")
    _wait_for_release(scene, observer, 2)
    if seats(scene.scheme):
        _kill_seat(scene)
    for number in range(KILL_ROUND + 1, scene.job.rounds + 1):
        _wait_for_release(scene, observer, number)
        if seats(scene.scheme) and number == SEAT_KILL_ROUND < scene.job.rounds:
            scene.progress.step(f"{KILLED_SEAT} comes back")
            _start_seat(scene, KILLED_SEAT, scene.places.site(KILLED_SEAT) / "aggregator.toml", "")
    return kill


def _kill_hospital(scene: _Scene, observer: Observer) -> Kill:
    """Kill a hospital that has paid for a round, before its last chunk is there."""
    chunks, log = _chunks(scene), scene.places.logs / f"{KILLED}.log"

    def durable() -> int:
        return observer.durable_chunks(KILL_ROUND, KILLED)

    sending = f"the upload of {KILLED}"
    scene.wait_for(sending, lambda: bool(events(log, "failpoint")) and durable() >= chunks - 1)
    offset = durable()
    if offset >= chunks:
        raise ConfigError(f"{KILLED} has {offset} of {chunks} chunks there: nothing to interrupt")
    scene.family.kill(KILLED)
    sent = f"{offset} of {chunks} chunks sent"
    scene.progress.step(f"round {KILL_ROUND}: {KILLED} is killed with SIGKILL, {sent}")
    return Kill(offset, chunks)


def _chunks(scene: _Scene) -> int:
    """Return how many chunks an upload has."""
    bits, most = scene.job.grid.value_bits, len(HOSPITALS)
    length = dimension(scene.job.shapes)
    if scene.scheme == "ckks":
        return fitting(value_bits=bits, cohort_max=most).geometry(length).chunks
    parameters = SharesParameters(bits, most, leaves_per_chunk=agreed.LEAVES_PER_CHUNK)
    return parameters.geometry(length).chunks


def _kill_seat(scene: _Scene) -> None:
    """Kill a seat that has signed the cohort, and has not said what it adds up to."""
    log = scene.places.logs / f"{KILLED_SEAT}.log"
    scene.wait_for(f"the sums of {KILLED_SEAT}", lambda: bool(events(log, "failpoint")))
    scene.family.kill(KILLED_SEAT)
    unsaid = "its sums not stated"
    scene.progress.step(f"round {SEAT_KILL_ROUND}: {KILLED_SEAT} is killed with SIGKILL, {unsaid}")


def _wait_for_release(scene: _Scene, observer: Observer, number: int) -> None:
    scene.wait_for(f"round {number}", lambda: observer.released() >= number)
    current = observer.rounds()[number]
    how = f"stated by {len(current.stated)} seats" if current.stated else "audited"
    sites = f"a sum of {len(current.committed)} sites"
    scene.progress.step(f"round {number}: {sites}, {how}, opened, agreed, sealed")


def _wait_for_commit(scene: _Scene, number: int) -> None:
    log = scene.places.logs / "coordinator.log"
    scene.wait_for(
        f"the commit of round {number}",
        lambda: any(each["round"] == number for each in events(log, "round_settled")),
    )


def _wait_for_settlement(scene: _Scene) -> None:
    scene.progress.step("settlement: every hospital claims its part")
    yardsticks = ["veilsum.demo.yardsticks", scene.job.mechanism, str(scene.places.yardsticks)]
    scene.family.start("yardsticks", yardsticks)
    working = [name for name in scene.family.running if name != "coordinator"]
    scene.wait_for("claims", lambda: all(map(scene.family.has_ended, working)))
    scene.family.check()


@contextmanager
def _chain(rpc: str) -> Iterator[str]:
    if rpc:
        yield rpc
        return
    with embedded_chain() as url:
        yield url


@contextmanager
def _folder(state: Path | None) -> Iterator[Path]:
    """Give a folder that stays; a temporary one is gone if the demo is stopped before its end."""
    root = _new_folder(state)
    try:
        yield root
    except (KeyboardInterrupt, SystemExit):
        if state is None:
            shutil.rmtree(root, ignore_errors=True)
        raise


def _new_folder(state: Path | None) -> Path:
    if state is None:
        return Path(tempfile.mkdtemp(prefix="veilsum-demo-"))
    if state.exists() and any(state.iterdir()):
        raise ConfigError(f"{state} is not empty; name a new folder with --state")
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    return state.resolve()
