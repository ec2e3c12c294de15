"""Add up a cohort's contributions, chunk by chunk, without opening any.

Chunk-major: chunk i of every contribution is read, added and written before
chunk i + 1 is touched, so memory is a few chunks whatever the model or the
cohort. Addition is deterministic: a fold that was stopped and starts again
writes the same bytes.
"""

from collections.abc import Iterator, Sequence

from privacy.merkle import tree_root
from privacy.schemes.base import Combiner

from . import object_names as names
from .ports import ObjectStore


def aggregate(
    combiner: Combiner, objects: ObjectStore, number: int, participants: Sequence[str], chunks: int
) -> tuple[bytes, int]:
    """Store the sum of the participants' contributions to round `number`.

    Args:
        participants: the cohort; each has `chunks` chunks in the object store.

    Returns:
        The root of the sum (32 bytes) and its length in bytes.

    Raises:
        MalformedMessage: a stored chunk is not what was verified when it came in.
        StoreUnavailable: the object store failed; the fold can start again.
    """
    roots, length = [], 0
    for chunk in range(chunks):
        parts = _parts(objects, number, participants, chunk)
        total = combiner.combine(chunk, parts)
        objects.put(names.sum_chunk(number, chunk), total)
        roots.append(combiner.check(chunk, total))
        length += len(total)
    return tree_root(roots), length


def _parts(
    objects: ObjectStore, number: int, participants: Sequence[str], chunk: int
) -> Iterator[bytes]:
    for participant in participants:
        yield objects.get(names.contribution_chunk(number, participant, 0, chunk))
