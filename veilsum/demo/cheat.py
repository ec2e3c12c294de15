"""What is done about a false commit: it is audited, proved, and challenged, by three commands."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from coordinator.rounds.state import Phase
from privacy.errors import ConfigError
from veilsum.federation.audits import Audits
from veilsum.federation.children import quiet
from veilsum.federation.observe import Observer

from .caught import Act, Caught
from .federation import AUDITOR, Places
from .screen import Progress
from .settings import Job
from .settlement import BOND

_PROVED: Final = 2
_COMMAND_SECONDS: Final = 100.0


def catch(
    places: Places,
    audits: Audits,
    observer: Observer,
    progress: Progress,
    job: Job,
    started: float,
) -> Caught:
    """Have the newest round's commit audited, and challenged if it is proved false.

    Args:
        started: when the demo began, by the monotonic clock.

    Raises:
        ConfigError: a command says nothing that can be read.
    """
    number, office = job.rounds, _Office(places)
    proof = places.site(AUDITOR) / f"proof-{number}.json"
    progress.step(f"{AUDITOR}: veilsum audit sum --round {number}")
    status, found = office.run("audit", "sum", "--round", str(number), "--out", str(proof))
    finding = found.get("commit") or {}
    done: Mapping[str, Any] = {}
    if status == _PROVED:
        progress.step(f"{AUDITOR}: veilsum settle challenge, with the proof of {finding['proof']}")
        status, done = office.run("settle", "challenge", "--proof", str(proof))
        done = done if status == 0 else {}
    progress.step(f"{AUDITOR}: veilsum settle status")
    _, standing = office.run("settle", "status")
    rounds = observer.rounds().values()
    over = [each for each in rounds if each.phase is Phase.DONE]
    return Caught(
        scheme="ckks",
        mechanism=job.mechanism,
        round=number,
        reason=finding.get("reason", found.get("message", "")),
        proof=finding.get("proof", ""),
        opened_right=len(over) == job.rounds
        and all(audits.has_added_again(each, AUDITOR) for each in over),
        acts=tuple(office.acts),
        void_from=standing.get("void_from"),
        head=standing.get("head", 0),
        bond=BOND,
        slashed=int(done.get("slashed", 0)),
        rewarded=int(done.get("rewarded", 0)),
        burned=int(done.get("burned", 0)),
        collected=int(done.get("collected", 0)),
        gas=done.get("gas", {}),
        challenger=done.get("challenger", ""),
        transaction=done.get("transaction", ""),
        state_dir=str(places.root),
        logs=str(places.logs),
        seconds=time.monotonic() - started,
    )


@dataclass(frozen=True)
class _Office:
    """The audit office at its keyboard: commands with its own settings file, one after another."""

    places: Places
    acts: list[Act] = field(default_factory=list)

    def run(self, *words: str) -> tuple[int, Mapping[str, Any]]:
        """Run `veilsum` with these words, and return its status and what it says as JSON.

        Raises:
            ConfigError: it does not end, or says nothing that can be read.
        """
        config = self.places.site(AUDITOR) / "auditor.toml"
        typed = (*words[:2], "--config", str(config), *words[2:])
        status, said = _ended(self.places.logs / f"{'-'.join(words[:2])}.log", typed)
        self.acts.append(Act(f"veilsum {' '.join(typed)}", status))
        try:
            return status, msgspec.json.decode(said, type=dict[str, Any])
        except msgspec.DecodeError:
            raise ConfigError(
                f"veilsum {' '.join(words[:2])} ended with {status} and no answer; look into "
                f"{self.places.logs}"
            ) from None


def _ended(log: Path, typed: Sequence[str]) -> tuple[int, bytes]:
    """Run a command as a child that dies with this process; return its status and its output."""
    child = [sys.executable, "-P", "-m", "veilsum.federation.child", str(os.getpid()), "veilsum"]
    with log.open("ab") as errors:
        log.chmod(0o600)
        try:
            done = subprocess.run(
                [*child, *typed, "--json"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **quiet()},
                timeout=_COMMAND_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ConfigError(
                f"veilsum {' '.join(typed[:2])}: not within {_COMMAND_SECONDS:.0f} s; its log is "
                f"{log}"
            ) from None
    return done.returncode, done.stdout
