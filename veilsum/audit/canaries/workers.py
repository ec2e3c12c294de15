"""Audits side by side: a process for each core, and results in the order that was asked for.

Each audit is whole in one process, so that it gives the same as it would alone. What a process
is handed is a setting and a name; what it hands back is a result.
"""

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import SpawnContext, SpawnProcess

from participant.training import child
from privacy.errors import ConfigError
from veilsum.process import start_log

from .audit import AS_SHIPPED, audit
from .contribution import contribute
from .controls import CONTROLS
from .result import PrivacyAudit
from .setting import Setting

_AT_MOST = 4
"""Processes; each takes 1.2 GiB at the standard setting, and more would gain little."""


@dataclass(frozen=True, slots=True)
class Job:
    """One audit to make.

    Attributes:
        setting: fixed before the run.
        subject: what is audited: the product as shipped, or the control of this name.
    """

    setting: Setting
    subject: str = AS_SHIPPED


def audited(jobs: Sequence[Job]) -> Generator[PrivacyAudit]:
    """Yield each job's result, in the jobs' order; closing it early ends all processes.

    Raises:
        ConfigError: a process died; nothing is known of the jobs that are left.
    """
    processes = min(len(os.sched_getaffinity(0)), len(jobs), _AT_MOST)
    if processes < 2:
        yield from map(_audited, jobs)
        return
    with _workers(processes) as pool:
        with _whole_births():
            coming = [pool.submit(_audited, job) for job in jobs]
        for result in coming:
            yield result.result()


def _audited(job: Job) -> PrivacyAudit:
    makers = {AS_SHIPPED: contribute} | {control.name: control.make for control in CONTROLS}
    return audit(job.setting, job.subject, makers[job.subject])


class _Worker(SpawnProcess):
    """A process of ours, among the children that this process may have."""


class _Spawning(SpawnContext):
    # Spawned, never forked: a fork would start with this process's threads.
    Process = _Worker


@contextmanager
def _workers(count: int) -> Iterator[ProcessPoolExecutor]:
    # One folder for whatever they write: a process that is killed cannot clear away its own.
    with tempfile.TemporaryDirectory(prefix="veilsum-audit-") as folder:
        pool = ProcessPoolExecutor(count, _Spawning(), _begin, (folder,))
        try:
            yield pool
        except BrokenProcessPool:
            raise ConfigError(
                f"a process of the audit died, perhaps for lack of memory: {count} ran side by "
                "side; give the command fewer cores (taskset) or fewer canaries"
            ) from None
        finally:
            _kill_workers()
            pool.shutdown(cancel_futures=True)


def _kill_workers() -> None:
    for each in multiprocessing.active_children():
        if isinstance(each, _Worker):
            each.kill()


@contextmanager
def _whole_births() -> Iterator[None]:
    # An end in the middle of a birth would leave a child without its orders, which says so at
    # length: both signals wait until all are born. A mask alone would not do, since a thread of
    # a library may hear them for this one. Ctrl-C goes to a whole group of processes: who is
    # born under the mask does not hear it from its first moment on.
    heard: list[int] = []
    waiting = {
        each: signal.signal(each, lambda number, _: heard.append(number))
        for each in (signal.SIGINT, signal.SIGTERM)
    }
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for each, before in waiting.items():
            signal.signal(each, before)
        for number in heard:
            signal.raise_signal(number)


def _begin(folder: str) -> None:
    child.begin()
    start_log()
    tempfile.tempdir = folder
