"""The demo, step by step: set up, three rounds, one kill, settlement, and what was found."""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from privacy.errors import ConfigError
from privacy.failpoints import VARIABLE
from privacy.roster import Roster
from privacy.schemes.ckks_parameters import fitting
from privacy.vectors import dimension
from veilsum.federation.audits import Audits
from veilsum.federation.children import Children, children
from veilsum.federation.founding import found
from veilsum.federation.observe import Observer, observe
from veilsum.process import stopped_by_sigterm

from . import settings as agreed
from .chain import embedded_chain
from .federation import (
    AUDITOR,
    FEDERATION,
    HOSPITALS,
    KILL_ROUND,
    KILLED,
    Places,
    configure_auditor,
    configure_coordinator,
    configure_site,
    init_arguments,
    members,
)
from .findings import Kill, find
from .report import Report
from .screen import Progress, show
from .settlement import Programme, open_programme
from .witness import FOLDER

# Round one sends two chunks; the third passage is the first chunk of round two.
FAILPOINT = "send.after_chunk:3=pause"
STEP_SECONDS = 120.0


def main(*, as_json: bool, rpc: str, state: Path | None) -> int:
    """Run the demo and print what it found; return 0 only if every check held.

    Args:
        as_json: print one JSON object on stdout instead of the screen.
        rpc: the JSON-RPC URL of a chain with unlocked accounts; embedded if empty.
        state: a folder to keep all files in; a new temporary one if None.

    Raises:
        ConfigError: a process of the demo failed; its log says why.
    """
    progress = Progress(sys.stderr)
    with stopped_by_sigterm(), _folder(state) as root:
        report = _run(Places(root), rpc, progress)
    if as_json:
        sys.stdout.write(json.dumps(report.to_json()) + "\n")
    else:
        show(report)
    return 0 if all(report.checks().values()) else 1


def _run(places: Places, rpc: str, progress: Progress) -> Report:
    started = time.monotonic()
    with children(places.logs) as family, _chain(rpc) as url:
        roster, programme = _set_up(places, family, url, progress)
        observer = observe(places.database)
        kill = _rounds(places, family, observer, progress)
        _wait_for_settlement(family, progress)
        rounds = observer.rounds()
    progress.step("judging the models")
    audits = Audits(places, roster, observer)
    return find(places, programme, audits, rounds, kill, started)


def _set_up(
    places: Places, family: Children, url: str, progress: Progress
) -> tuple[Roster, Programme]:
    progress.step("four hospitals and an auditor make their keys, each in its own process")
    for name in members():
        family.start(f"init-{name}", init_arguments(places, name))
    family.wait_for(
        "keys", lambda: all(family.has_ended(f"init-{name}") for name in members()), STEP_SECONDS
    )
    family.check()
    progress.step("certificates, roster, escrow")
    roster = found(places, FEDERATION, members())
    sites = {name: places.site(name) for name in HOSPITALS}
    programme = open_programme(url, places.coordinator, sites, roster)
    progress.step("one coordinator, one auditor and four hospitals start")
    address = _start_coordinator(places, family, programme)
    auditor = configure_auditor(places, roster, address)
    family.start(AUDITOR, ["veilsum", "auditor", "serve", "--config", str(auditor)])
    for name in HOSPITALS:
        configure_site(places, name, address, roster.digest(), programme)
        _start_hospital(places, family, name, FAILPOINT if name == KILLED else "")
    return roster, programme


def _start_coordinator(places: Places, family: Children, programme: Programme) -> str:
    config, announced = configure_coordinator(places, programme), places.root / "address"
    family.start(
        "coordinator",
        ["veilsum", "coordinator", "serve", "--config", str(config), "--announce", str(announced)],
    )
    family.wait_for("the coordinator's address", announced.exists, STEP_SECONDS)
    return announced.read_text()


def _start_hospital(places: Places, family: Children, name: str, failpoint: str) -> None:
    family.start(
        name,
        ["veilsum.demo.hospital_process", str(places.site(name) / "site.toml")],
        {FOLDER: str(places.witness(name)), VARIABLE: failpoint},
    )


def _rounds(places: Places, family: Children, observer: Observer, progress: Progress) -> Kill:
    _wait_for_release(family, observer, 1, progress)
    kill = _kill_during_upload(family, observer, progress)
    frozen = "round 2 goes on without it"
    family.wait_for(frozen, lambda: observer.is_past_open(KILL_ROUND), STEP_SECONDS)
    progress.step(f"{frozen}; {KILLED} comes back")
    _start_hospital(places, family, KILLED, "")
    for number in (2, 3):
        _wait_for_release(family, observer, number, progress)
    return kill


def _kill_during_upload(family: Children, observer: Observer, progress: Progress) -> Kill:
    chunks = _chunks()

    def durable() -> int:
        return observer.durable_chunks(KILL_ROUND, KILLED)

    family.wait_for(f"the first chunk of {KILLED}", lambda: durable() >= 1, STEP_SECONDS)
    offset = durable()
    if not 0 < offset < chunks:
        raise ConfigError(f"{KILLED} has {offset} of {chunks} chunks there: nothing to interrupt")
    family.kill(KILLED)
    progress.step(f"round 2: {KILLED} is killed with SIGKILL, {offset} of {chunks} chunks sent")
    return Kill(offset, chunks)


def _chunks() -> int:
    """Return how many chunks an upload has, one ciphertext in each."""
    parameters = fitting(value_bits=agreed.DEMO_GRID.value_bits, cohort_max=len(HOSPITALS))
    return parameters.geometry(dimension(agreed.DEMO_SHAPES)).chunks


def _wait_for_release(
    family: Children, observer: Observer, number: int, progress: Progress
) -> None:
    family.wait_for(f"round {number}", lambda: observer.released() >= number, STEP_SECONDS)
    cohort = observer.rounds()[number].committed
    progress.step(f"round {number}: a sum of {len(cohort)} sites, audited, opened, agreed, sealed")


def _wait_for_settlement(family: Children, progress: Progress) -> None:
    progress.step("settlement: every hospital claims its part")
    family.wait_for(
        "claims", lambda: all(family.has_ended(name) for name in members()), STEP_SECONDS
    )
    family.check()


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
