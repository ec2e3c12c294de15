"""One chunk of a round's sum: what must be added, and its addition.

A task is plain values and says nothing of where it is done; no ciphertext travels with it.
"""

from dataclasses import dataclass

from coordinator import object_names as names
from coordinator.ports import ObjectStore, SumChunk
from privacy.errors import MalformedMessage, RootMismatch
from privacy.schemes.ckks_parameters import CkksParameters
from privacy.schemes.ckks_sum import Addition, CkksCombiner


@dataclass(frozen=True, slots=True)
class ChunkTask:
    """One chunk of a round's sum that is to be made, from what lies in the object store.

    `inputs` are the cohort's participants, in order, each with the root (32 bytes) that its
    chunk had when it came in.
    """

    round: int
    chunk: int
    inputs: tuple[tuple[str, bytes], ...]
    parameters: CkksParameters
    dimension: int


def add_chunk(task: ChunkTask, objects: ObjectStore) -> SumChunk:
    """Store one chunk of a sum, durably, and return what its row must say.

    Raises:
        ConflictingContribution: another sum is stored in its place.
        RootMismatch, NotYet, MalformedMessage, StoreUnavailable: as for `sum_chunk`.
    """
    made, total = sum_chunk(task, objects)
    objects.put(names.sum_chunk(task.round, task.chunk), total)
    return made


def add_again(task: ChunkTask, objects: ObjectStore) -> SumChunk:
    """Store one chunk of a sum, durably, in the place of what is damaged there, or is not one.

    Addition gives the same bytes, whoever adds and when: nothing is lost if it was whole.

    Raises:
        RootMismatch, NotYet, MalformedMessage, StoreUnavailable: as for `sum_chunk`; what is
            there stays.
    """
    made, total = sum_chunk(task, objects)
    objects.mend(names.sum_chunk(task.round, task.chunk), total)
    return made


def sum_chunk(task: ChunkTask, objects: ObjectStore) -> tuple[SumChunk, bytes]:
    """Return what the row of one chunk of a sum must say, and the chunk; nothing is stored.

    One contribution is held at a time.

    Raises:
        RootMismatch, NotYet: a contribution's chunk is not what was verified when it came in,
            or is gone.
        MalformedMessage: the sum hides nothing; someone contributed what cancels the others.
        StoreUnavailable: the disk fails; the task can be done again.
    """
    combiner = CkksCombiner(task.parameters, task.dimension)
    addition = combiner.begin(task.chunk)
    for participant, expected in task.inputs:
        name = names.contribution_chunk(task.round, participant, 0, task.chunk)
        if _add(addition, objects.get(name)) != expected:
            raise RootMismatch(
                f"round {task.round}: chunk {task.chunk} of {participant} has changed since it was "
                "accepted; the coordinator's operator must check its disk"
            )
    total = addition.finish()
    # Read as its openers will read it, before it is written.
    root = combiner.check(task.chunk, total)
    return SumChunk(task.chunk, root, len(total), len(task.inputs)), total


def _add(addition: Addition, part: bytes) -> bytes:
    try:
        return addition.check_and_add(part)
    except MalformedMessage:
        return b""  # nothing malformed was ever accepted: it has changed
