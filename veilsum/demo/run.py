"""The demo, step by step: set up, three rounds, one kill, settlement, checks."""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coordinator.round import Phase, Round
from participant.config import read
from participant.ledger import SiteLedger
from participant.memory import Memory
from participant.payout import Paid
from privacy import canonical
from privacy.budget import SpendLimits
from privacy.errors import ConfigError
from privacy.failpoints import VARIABLE
from privacy.vectors import dimension

from . import settings as agreed
from .chain import embedded_chain
from .children import Children, children
from .federation import (
    HOSPITALS,
    KILLED,
    OPENERS,
    Places,
    configure_coordinator,
    configure_site,
    found,
    init_arguments,
)
from .network import accuracy
from .observe import Observer, events, observe
from .report import Report, RoundReport, SiteRound
from .screen import Progress, show
from .settlement import Programme, open_programme
from .witness import FOLDER, noted

WANTED_COHORTS = (4, 3, 4)
KILL_ROUND = 2
# Round one sends four chunks; the sixth passage is the second chunk of round two.
FAILPOINT = "send.after_chunk:6=pause"
STEP_SECONDS = 120.0


@dataclass(frozen=True)
class Kill:
    """How far the upload was when its site was killed."""

    durable_chunks: int
    chunks: int


def main(*, as_json: bool, rpc: str, state: Path | None) -> int:
    """Run the demo and print what it found; return 0 only if every check held.

    Args:
        as_json: print one JSON object on stdout instead of the screen.
        rpc: the JSON-RPC URL of a chain with unlocked accounts; embedded if empty.
        state: a folder to keep all files in; a new temporary one if None.

    Raises:
        ConfigError: a process of the demo failed; its log says why.
    """
    root = _new_folder(state)
    progress = Progress(sys.stderr)
    report = _run(Places(root), rpc, progress)
    if as_json:
        sys.stdout.write(json.dumps(report.to_json()) + "\n")
    else:
        show(report)
    return 0 if all(report.checks().values()) else 1


def _run(places: Places, rpc: str, progress: Progress) -> Report:
    started = time.monotonic()
    with children(places.logs) as family, _chain(rpc) as url:
        programme = _set_up(places, family, url, progress)
        observer = observe(places.database)
        kill = _rounds(places, family, observer, progress)
        _wait_for_settlement(family, progress)
        rounds = observer.rounds()
    progress.step("judging the models")
    return _report(places, programme, rounds, kill, started)


def _set_up(places: Places, family: Children, url: str, progress: Progress) -> Programme:
    progress.step("four hospitals make their keys, each in its own process")
    for name in HOSPITALS:
        family.start(f"init-{name}", init_arguments(places, name))
    family.wait_for(
        "keys", lambda: all(family.has_ended(f"init-{name}") for name in HOSPITALS), STEP_SECONDS
    )
    family.check()
    progress.step("certificates, roster, escrow")
    roster = found(places)
    sites = {name: places.site(name) for name in HOSPITALS}
    programme = open_programme(url, places.coordinator, sites, roster)
    progress.step("one coordinator and four hospitals start")
    address = _start_coordinator(places, family, programme)
    for name in HOSPITALS:
        configure_site(places, name, address, roster.digest(), programme)
        _start_hospital(places, family, name, FAILPOINT if name == KILLED else "")
    return programme


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
    chunks = -(-dimension(agreed.DEMO_SHAPES) // 4096)

    def durable() -> int:
        return observer.durable_chunks(KILL_ROUND, KILLED)

    family.wait_for(f"the second chunk of {KILLED}", lambda: durable() >= 2, STEP_SECONDS)
    offset = durable()
    if not 0 < offset < chunks:
        raise ConfigError(f"{KILLED} has {offset} of {chunks} chunks there: nothing to interrupt")
    family.kill(KILLED)
    progress.step(f"round 2: {KILLED} is killed with SIGKILL, {offset} of {chunks} chunks sent")
    return Kill(offset, chunks)


def _wait_for_release(
    family: Children, observer: Observer, number: int, progress: Progress
) -> None:
    family.wait_for(f"round {number}", lambda: observer.released() >= number, STEP_SECONDS)
    cohort = [e.participant for e in observer.rounds()[number].committed]
    progress.step(f"round {number}: a sum of {len(cohort)} sites, opened, agreed, sealed")


def _wait_for_settlement(family: Children, progress: Progress) -> None:
    progress.step("settlement: every hospital claims its part")
    family.wait_for(
        "claims", lambda: all(family.has_ended(name) for name in HOSPITALS), STEP_SECONDS
    )
    family.check()


@contextmanager
def _chain(rpc: str) -> Iterator[str]:
    if rpc:
        yield rpc
        return
    with embedded_chain() as url:
        yield url


def _report(
    places: Places, programme: Programme, rounds: Mapping[int, Round], kill: Kill, started: float
) -> Report:
    # Judging needs torch; the rounds have been run without it in this process.
    from .baselines import accuracy_alone, accuracy_pooled  # noqa: PLC0415

    done = [rounds[number] for number in sorted(rounds) if rounds[number].phase is Phase.DONE]
    models = {name: _model_of(places, name) for name in HOSPITALS}
    digest, vector = models[OPENERS[0]]
    payouts = {name: _paid(places, name) for name in HOSPITALS}
    settled = events(places.logs / "coordinator.log", "settled")
    spent = {name: _epsilon(places, name) for name in HOSPITALS}
    pooled = accuracy_pooled()
    alone = {name: accuracy_alone(name, os.urandom) for name in HOSPITALS}
    return Report(
        rounds=tuple(_round_report(places, each, kill) for each in done),
        parameters=dimension(agreed.DEMO_SHAPES),
        accuracy=accuracy(vector),
        accuracy_alone=alone,
        accuracy_pooled=pooled,
        epsilon={name: value for name, (value, _) in spent.items()},
        epsilon_left={name: left for name, (_, left) in spent.items()},
        delta=agreed.DELTA,
        bytes_up=_bytes_up(places),
        model_digest=digest,
        holders=tuple(name for name, (theirs, _) in models.items() if theirs == digest),
        transaction=str(settled[-1]["transaction"]) if settled else "",
        payouts=payouts,
        escrow=programme.escrow,
        keys=str(places.roster),
        state_dir=str(places.root),
        logs=str(places.logs),
        seconds=time.monotonic() - started,
        wanted_cohorts=WANTED_COHORTS,
        epsilon_limit=float(agreed.EPSILON_LIMIT),
        killed=KILLED,
    )


def _round_report(places: Places, current: Round, kill: Kill) -> RoundReport:
    cohort = tuple(entry.participant for entry in current.committed)
    killed = f"{kill.durable_chunks} of {kill.chunks} chunks sent"
    sites = tuple(
        SiteRound(
            name,
            name in cohort,
            killed if (name, current.number) == (KILLED, KILL_ROUND) else "",
        )
        for name in HOSPITALS
    )
    difference, openings = _difference(places, current.number, cohort)
    return RoundReport(current.number, cohort, difference, openings, sites, current.agreed)


def _difference(places: Places, number: int, cohort: tuple[str, ...]) -> tuple[int | None, int]:
    """Return how far the opened sums are from the plaintext sum, and how many there are."""
    updates = [noted(places.witness(name), number, "update") for name in cohort]
    sums = [noted(places.witness(name), number, "sum") for name in OPENERS]
    opened = [each for each in sums if each is not None]
    if not opened or any(each is None for each in updates):
        return None, len(opened)
    plain = np.sum([each for each in updates if each is not None], axis=0)
    return max(int(np.max(np.abs(each - plain))) for each in opened), len(opened)


def _model_of(
    places: Places, name: str
) -> tuple[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    memory = Memory(places.site(name))
    release = memory.newest_release()
    vector = memory.model(release[2]) if release else None
    memory.close()
    if release is None or vector is None:
        raise ConfigError(f"{name} holds no released model; look into {places.logs}")
    return release[2], vector


def _epsilon(places: Places, name: str) -> tuple[float, float]:
    config = read(places.site(name) / "site.toml")
    limits = config.policy
    ledger = SiteLedger(
        places.site(name) / "ledger.sqlite",
        time.time,
        site=name,
        limits=SpendLimits(limits.delta, limits.epsilon_for_life, limits.epsilon_per_round),
    )
    ledger.verify_chain()
    dataset = config.dataset.id
    result = ledger.spent_epsilon(dataset, float(limits.delta)), ledger.remaining(dataset)
    ledger.close()
    return result


def _paid(places: Places, name: str) -> str:
    path = places.site(name) / "payout.json"
    return canonical.decode(path.read_bytes(), Paid).cumulative if path.exists() else "0"


def _bytes_up(places: Places) -> int:
    """Return the bytes of the largest contribution that was sent without interruption."""
    sent = [
        int(str(event["bytes"]))
        for name in OPENERS
        for event in events(places.logs / f"{name}.log", "contribution_sent")
    ]
    return max(sent, default=0)


def _new_folder(state: Path | None) -> Path:
    if state is None:
        return Path(tempfile.mkdtemp(prefix="veilsum-demo-"))
    if state.exists() and any(state.iterdir()):
        raise ConfigError(f"{state} is not empty; name a new folder with --state")
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    return state.resolve()
