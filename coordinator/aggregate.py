"""Add up a cohort's contributions, chunk by chunk, without opening any.

Chunk-major: chunk i of every contribution is read, added and written before
chunk i + 1 is touched, so memory is a few chunks whatever the model or the
cohort. Addition is deterministic: a fold that was stopped and starts again
writes the same bytes.
"""

from collections.abc import Iterator, Mapping, Sequence

from privacy.errors import RootMismatch
from privacy.merkle import tree_root
from privacy.schemes.base import Combiner

from . import object_names as names
from .ports import ObjectStore

Roots = Mapping[str, Sequence[bytes]]


def aggregate(
    combiner: Combiner, objects: ObjectStore, number: int, roots: Roots, chunks: int
) -> tuple[bytes, int]:
    """Store the sum of the participants' contributions to round `number`.

    Args:
        roots: the cohort, in order; of each, the roots its chunks had when they came in.

    Returns:
        The root of the sum (32 bytes) and its length in bytes.

    Raises:
        RootMismatch, MalformedMessage, NotYet: a stored chunk is not what was verified
            when it came in, or is gone; the coordinator's disk must be looked at.
        StoreUnavailable: the object store failed; the fold can start again.
    """
    sums, length = [], 0
    for chunk in range(chunks):
        total = combiner.combine(chunk, _parts(combiner, objects, number, roots, chunk))
        objects.put(names.sum_chunk(number, chunk), total)
        sums.append(combiner.check(chunk, total))
        length += len(total)
    return tree_root(sums), length


def _parts(
    combiner: Combiner, objects: ObjectStore, number: int, roots: Roots, chunk: int
) -> Iterator[bytes]:
    for participant, expected in roots.items():
        part = objects.get(names.contribution_chunk(number, participant, 0, chunk))
        if combiner.check(chunk, part) != expected[chunk]:
            raise RootMismatch(
                f"round {number}: chunk {chunk} of {participant} has changed since it was "
                "accepted; the coordinator's operator must check its disk"
            )
        yield part
