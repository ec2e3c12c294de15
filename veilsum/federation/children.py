"""A federation's processes: started, watched, and gone when whoever started them is."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from privacy.errors import ConfigError

_CHILD = "veilsum.federation.child"


@dataclass
class Children:
    """Every process, by name; each writes its log to a file of its own."""

    logs: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        """Start `python -m …` as a child that dies with this process."""
        path = self.logs / f"{name}.log"
        path.touch(mode=0o600)
        with path.open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-P", "-m", _CHILD, str(os.getpid()), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **quiet(), **(environment or {})},
            )

    def kill(self, name: str) -> None:
        """End a child as a power cut would: SIGKILL, no last words."""
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def wait_for(self, what: str, done: Callable[[], bool], seconds: float) -> None:
        """Return when `done`; every child must live, or have ended well, until then.

        Raises:
            ConfigError: a child failed, or it took longer than `seconds`.
        """
        deadline = time.monotonic() + seconds
        while not done():
            self.check()
            if time.monotonic() > deadline:
                raise ConfigError(f"{what}: not within {seconds:.0f} s; look into {self.logs}")
            time.sleep(0.05)

    def check(self) -> None:
        """Return if no child has failed.

        Raises:
            ConfigError: one has; its log's last line says why.
        """
        for name, process in self.running.items():
            if process.poll() not in (None, 0):
                lines = (self.logs / f"{name}.log").read_text(errors="replace").splitlines()
                last = " ".join(lines[-3:])[-600:]
                raise ConfigError(f"{name} ended with status {process.returncode}: {last}")

    def has_ended(self, name: str) -> bool:
        """Return whether a child has ended."""
        return self.running[name].poll() is not None

    def stop(self) -> None:
        """End every child, first with SIGTERM."""
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def children(logs: Path) -> Iterator[Children]:
    """Give the processes; all are gone when this block ends, however it ends."""
    logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    family = Children(logs)
    try:
        yield family
    finally:
        family.stop()


def quiet() -> Mapping[str, str]:
    """Return what keeps libraries from writing beside the logs, and from using every core."""
    return {"GRPC_VERBOSITY": "NONE", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
