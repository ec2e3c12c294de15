"""A disk that is full, or that fails to force bytes down: said so, nothing lost, gone on from.

Real processes. A small file system of its own is filled up under one of them in the middle of
a round, and emptied again; writes are cut short where no file may grow any more; and single
calls of `fsync` fail, by strace.
"""

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.faults.killing import LIMITS, PATIENT, answers, check_nothing_was_lost
from tests.missing_tools import missing, require_tool
from tests.processes.federation import Federation, federation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DEEP = pytest.mark.deep
"""The other half of what these tests are for: each takes seconds, and there are many."""

SITES = ("site-a", "site-b", "site-c")
AS_ROOT = () if os.getuid() == 0 else ("sudo", "-n")
MEBIBYTES = 32
ROOM_BYTES = 64 << 10
"""Left on a disk that fills up: less than one chunk, more than nothing."""

SHORT_BYTES = 100_000
"""Less than one chunk, more than what a process says in its log."""


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Give a folder a file system of its own, in memory; skip where nothing may be mounted."""
    before = folder.rename(folder.with_name(f"{folder.name}-before"))
    folder.mkdir(mode=0o700)
    options = f"size={MEBIBYTES}m,mode=0700,uid={os.getuid()},gid={os.getgid()}"
    command = [*AS_ROOT, "mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    if _fails(command):
        missing("a small disk is mounted by root alone: run this test as root")
    shutil.copytree(before, folder, dirs_exist_ok=True)
    try:
        yield
    finally:
        subprocess.run([*AS_ROOT, "umount", "-l", str(folder)], check=True)


def _fails(command: list[str]) -> bool:
    with suppress(FileNotFoundError):  # no sudo
        return subprocess.run(command, capture_output=True, check=False).returncode != 0
    return True


def fill(folder: Path, room: int = ROOM_BYTES) -> Path:
    """Fill a disk but for `room` bytes; return what fills it."""
    ballast = folder / "ballast"
    ballast.touch()
    for _ in range(20):
        # a process writes meanwhile, so that less may be free than was a moment ago
        with suppress(OSError), ballast.open("ab") as file:
            os.posix_fallocate(file.fileno(), file.tell(), max(_free(folder) - room, 1))
    return ballast


def _free(folder: Path) -> int:
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize


def says_so(made: Federation, name: str) -> bool:
    """Return whether a process has said in its log that something is the matter with its disk."""
    path = made.places.logs / f"{name}.log"
    said = path.read_text(errors="replace") if path.exists() else ""
    return any(words in said for words in ("store_unavailable", "make room", "full", "I/O error"))


def home_of(made: Federation, name: str) -> Path:
    """Return the state folder of a process."""
    return made.places.coordinator if name == "coordinator" else made.places.site(name)


@contextmanager
def running(folder: Path, wanted: int) -> Iterator[Federation]:
    """Give a federation in which everybody is ready to start."""
    policies = dict.fromkeys(SITES, LIMITS)
    rounds: dict[str, Any] = {"wanted": wanted, "quorum": 3, "deadline": PATIENT}
    with federation(folder, SITES, policies=policies, **rounds) as made:
        yield made


@pytest.mark.parametrize("victim", ["coordinator", pytest.param("site-b", marks=DEEP)])
def test_a_full_disk_is_named_and_gone_on_from_when_there_is_space(
    tmp_path: Path, victim: str
) -> None:
    """The round waits; whoever frees space has to start nothing again."""
    with running(tmp_path, 3) as made, small_disk(home_of(made, victim)):
        home = home_of(made, victim)
        made.start()
        made.wait_for_committed(1, *SITES)
        ballast = fill(home)
        made.wait_for("a complaint", lambda: says_so(made, victim))
        time.sleep(0.5)
        ballast.unlink()
        made.run_to_the_end()

        check_nothing_was_lost(made, SITES, 3)


@contextmanager
def cut_short(process: int, length: int) -> Iterator[None]:
    """Let each write of a process end where its file is so long, and the next one fail."""
    _, hard = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (length, hard))
    try:
        yield
    finally:
        resource.prlimit(process, resource.RLIMIT_FSIZE, (hard, hard))


@pytest.mark.deep
@pytest.mark.parametrize("victim", ["coordinator", "site-b"])
def test_a_write_that_is_cut_short_is_named_and_done_again(tmp_path: Path, victim: str) -> None:
    """Part of the bytes are there; none of it is taken for a chunk, a row or a document."""
    with running(tmp_path, 3) as made:
        made.start()
        made.wait_for_committed(1, *SITES)
        with cut_short(made.pid(victim), SHORT_BYTES):
            made.wait_for("a complaint", lambda: says_so(made, victim))
            time.sleep(0.5)
        made.run_to_the_end()

        check_nothing_was_lost(made, SITES, 3)


@contextmanager
def failing_fsync(process: int, error: str, when: int, said: Path) -> Iterator[None]:
    """Let calls of `fsync` or `fdatasync` of a process fail: the `when`-th of each thread.

    Args:
        said: where strace writes down which calls there were, and which it let fail.
    """
    strace = require_tool("strace", "strace")
    tracer = subprocess.Popen(
        [str(strace), "-f", "-qq", "-o", str(said), "-e", "trace=fsync,fdatasync",
         "-e", f"inject=fsync,fdatasync:error={error}:when={when}", "-p", str(process)],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        tracer.terminate()
        with suppress(subprocess.TimeoutExpired):
            tracer.wait(10)


def wait_for_released(made: Federation, count: int) -> None:
    """Return when so many rounds have released a model."""
    made.wait_for(f"{count} rounds", lambda: made.observer.released() >= count)


def fails_and_goes_on(folder: Path, victim: str, error: str, whens: list[int]) -> int:
    """Let calls fail in round after round; return in how many rounds one did."""
    failed = 0
    with running(folder, len(whens) + 1) as made:
        made.start()
        made.wait_for("the first answer", lambda: answers(made))
        for done, when in enumerate(whens):
            wait_for_released(made, done)
            said = folder / f"{when}.strace"
            with failing_fsync(made.pid(victim), error, when, said):
                wait_for_released(made, done + 1)
            failed += "(INJECTED)" in said.read_text()
        made.run_to_the_end()

        check_nothing_was_lost(made, SITES, len(whens) + 1)
    return failed


@pytest.mark.parametrize(
    ("victim", "error"),
    [("coordinator", "EIO"), pytest.param("site-b", "ENOSPC", marks=DEEP)],
)
def test_a_failed_force_to_the_disk_is_tried_again(tmp_path: Path, victim: str, error: str) -> None:
    """Nothing is acknowledged that was not forced down."""
    assert fails_and_goes_on(tmp_path, victim, error, [3]) == 1


@pytest.mark.deep
@pytest.mark.parametrize("victim", ["coordinator", "site-b"])
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_every_force_to_the_disk_of_a_round_may_fail(
    tmp_path: Path, victim: str, error: str
) -> None:
    """Later ones in each round."""
    assert fails_and_goes_on(tmp_path, victim, error, list(range(1, 25))) > 12
