"""The engine for many machines: a Ray cluster that the coordinator's operator runs.

The cluster is not believed. A row is what the coordinator has read in the object store, some of
the sums it makes again, drawn when it is too late to know which, and what a worker says ends no
round. Nothing of Ray is in this process: who speaks to a cluster is a driver, which has an
account of its own.
"""

import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

import structlog

from coordinator import object_names as names
from coordinator.fold.addition import ChunkTask, add_again, sum_chunk
from coordinator.fold.engine import Engine, Made, Stop, few_here, stopped
from coordinator.ports import ObjectStore, SumChunk
from privacy.errors import (
    ConfigError,
    DistrustedSum,
    FoldInterrupted,
    MalformedMessage,
    NotYet,
    PeerUnreachable,
)
from privacy.schemes.ckks_sum import CkksCombiner

from .cluster_line import Line, connect
from .cluster_words import (
    LONGEST,
    Answer,
    Done,
    Failed,
    Refused,
    Room,
    decode_answer,
    encode_begin,
    encode_task,
)

log = structlog.get_logger()

ONE_IN: Final = 32
"""Of so many chunks that a cluster adds, one is added again by the coordinator."""

QUIET_SECONDS: Final = 600.0
"""For so long a cluster may finish no chunk at all."""

MOST_MADE_HERE: Final = 16
"""Chunks of one fold that the coordinator makes for workers that did not."""

_STOP_SECONDS: Final = 0.1


class RayCluster:
    """An `Engine` over a Ray cluster whose machines all reach the object store.

    When the generator is closed, the driver ends what it does for this fold, and Ray its workers'
    tasks, within a second. What honest ones still write is what they would have written.

    Args:
        socket: where the cluster's driver listens.
        spare: who adds once the cluster has stored a sum that was false.
        one_in: of how many chunks one is made again.
    """

    def __init__(
        self, objects: ObjectStore, socket: Path, spare: Engine, one_in: int = ONE_IN
    ) -> None:
        self._objects = objects
        self._socket = socket
        self._spare = spare
        self._one_in = one_in
        self._is_believed = True

    def run(self, tasks: Iterable[ChunkTask], stop: Stop) -> Made:
        """Do all tasks; a few of them in this process, more on the cluster."""
        if self._is_believed:
            yield from few_here(tasks, self._objects, stop, self._run)
        else:
            yield from self._spare.run(tasks, stop)

    def _run(self, tasks: Iterator[ChunkTask], stop: Stop) -> Made:
        if stop():
            raise stopped()
        with _driver(self._socket) as line:
            line.send(encode_begin(self._objects.address))
            fold = _Fold(line)
            while not stop():
                fold.ask(tasks)
                if fold.is_over():
                    return
                answer = fold.hear()
                if answer is not None:
                    yield self._row(answer, fold)
                    fold.moved_at = time.monotonic()
            raise stopped()

    def _row(self, answer: Answer, fold: "_Fold") -> SumChunk:
        match answer:
            case Done(chunk) if chunk in fold.asked:
                return self._checked(fold, fold.asked.pop(chunk))
            case Refused(chunk, reason) if chunk in fold.asked:
                log.warning("worker_refused", chunk=chunk, reason=reason)
                return self._made_here(fold, fold.asked.pop(chunk))
            case Failed(reason):
                raise FoldInterrupted(f"{reason}; what is added is kept, and it is retried")
        raise FoldInterrupted("the cluster has answered what nobody asked")

    def _checked(self, fold: "_Fold", task: ChunkTask) -> SumChunk:
        row = self._stored(task)
        if row is None:
            log.warning("worker_wrong", round=task.round, chunk=task.chunk)
            return self._made_here(fold, task)
        # Drawn only now: nobody on the cluster could know whether this one is looked at.
        if secrets.randbelow(self._one_in) == 0 and sum_chunk(task, self._objects)[0] != row:
            raise self._lied(task)
        return row

    def _stored(self, task: ChunkTask) -> SumChunk | None:
        """Return the row of what is stored; None if that can be no sum."""
        combiner = CkksCombiner(task.parameters, task.dimension)
        try:
            total = self._objects.get(names.sum_chunk(task.round, task.chunk))
            root = combiner.check(task.chunk, total)
        except (NotYet, MalformedMessage):
            return None
        return SumChunk(task.chunk, root, len(total), len(task.inputs))

    def _made_here(self, fold: "_Fold", task: ChunkTask) -> SumChunk:
        fold.made_here += 1
        if fold.made_here > MOST_MADE_HERE:
            raise FoldInterrupted(
                f"the workers of the cluster at {self._socket} did not add {fold.made_here} chunks "
                "that they were given; the coordinator's operator must look at their machines, and "
                "at whether they reach the object store; what is added is kept, and it is retried"
            )
        return add_again(task, self._objects)

    def _lied(self, task: ChunkTask) -> DistrustedSum:
        self._is_believed = False
        log.error(
            "cluster_lied",
            round=task.round,
            chunk=task.chunk,
            driver=str(self._socket),
            who_acts="the coordinator's operator",
            action="find the machine, or the intruder, before the coordinator is started again",
        )
        return DistrustedSum(
            f"round {task.round}: the cluster at {self._socket} stored a chunk {task.chunk} that "
            "is not the sum of the contributions; all that it added is made again, here"
        )


@dataclass
class _Fold:
    """What one fold has asked of a driver, and has heard."""

    line: Line
    asked: dict[int, ChunkTask] = field(default_factory=dict)
    room: int = 0
    made_here: int = 0
    moved_at: float = field(default_factory=time.monotonic)

    def ask(self, tasks: Iterator[ChunkTask]) -> None:
        """Hand on as many tasks as there is room for."""
        for task in islice(tasks, self.room - len(self.asked)):
            self.asked[task.chunk] = task
            self.line.send(encode_task(task))

    def is_over(self) -> bool:
        """Return whether all is done."""
        return self.room > 0 and not self.asked

    def hear(self) -> Answer | None:
        """Return what was answered to a task, or None if nothing was yet.

        Raises:
            FoldInterrupted: nothing was for too long.
        """
        body = self.line.receive(_STOP_SECONDS)
        answer = None if body is None else decode_answer(body)
        if isinstance(answer, Room) and not self.room:
            self.room = answer.tasks
            log.info("cluster_joined", tasks_at_once=self.room)
            return None
        if answer is None and time.monotonic() - self.moved_at > QUIET_SECONDS:
            raise FoldInterrupted(
                f"the cluster has finished no chunk for {QUIET_SECONDS:.0f} seconds; what is added "
                "is kept, and it is retried"
            )
        return answer


@contextmanager
def _driver(path: Path) -> Iterator[Line]:
    try:
        connection = connect(path)
    except (ConfigError, PeerUnreachable) as error:
        raise FoldInterrupted(str(error)) from None
    with connection:
        try:
            yield Line(connection, LONGEST)
        except EOFError as error:
            raise FoldInterrupted(
                f"the driver of the cluster at {path} ended ({error or 'without a word'}); what is "
                "added is kept, and it is retried"
            ) from None
