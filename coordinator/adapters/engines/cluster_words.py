"""What a coordinator and the driver of a cluster say to each other: JSON of fixed types, by lines.

The coordinator believes none of it: what it records, it has read in the object store.
"""

from importlib.metadata import version
from typing import Annotated, Final

import msgspec

from coordinator.fold.addition import ChunkTask
from privacy.errors import FoldInterrupted
from privacy.learned import learned

LONGEST: Final = 4096
"""Bytes of an answer."""

LONGEST_TASK: Final = 1 << 24
"""Bytes of a task, which names each contribution."""

MOST_TASKS: Final = 512
"""Tasks at once."""

_REASON: Final = 600


class Begin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fold begins: of which version the coordinator is, and where the objects lie."""

    version: str
    objects: str


class Room(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="room"):
    """The cluster takes so many tasks at once."""

    tasks: Annotated[int, msgspec.Meta(ge=1, le=MOST_TASKS)]


class Done(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="done"):
    """A chunk of the sum is said to be stored."""

    chunk: int


class Refused(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="refused"):
    """A worker found that a chunk cannot be added: a contribution has changed, or is not there."""

    chunk: int
    reason: str


class Failed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="failed"):
    """The cluster, or a worker, could not do its work now."""

    reason: str


Answer = Room | Done | Refused | Failed


def encode_answer(answer: Answer) -> bytes:
    """Return an answer as JSON."""
    return msgspec.json.encode(answer)


def failed(reason: str) -> bytes:
    """Return the answer that something failed, shortened."""
    return encode_answer(Failed(reason[:_REASON]))


def refused(chunk: int, reason: str) -> bytes:
    """Return the answer that a chunk cannot be added, with the reason shortened."""
    return encode_answer(Refused(chunk, reason[:_REASON]))


def decode_answer(body: bytes) -> Answer:
    """Return what an answer says.

    Raises:
        FoldInterrupted: it is not one of ours.
    """
    try:
        answer: Answer = msgspec.json.decode(body, type=learned(Answer))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise FoldInterrupted("the cluster has answered with what is no answer") from None
    return answer


def encode_begin(objects: str) -> bytes:
    """Return the first line of a fold as JSON."""
    return msgspec.json.encode(Begin(installed(), objects))


def decode_begin(body: bytes) -> Begin:
    """Return what `encode_begin` wrote."""
    return msgspec.json.decode(body, type=learned(Begin))


def encode_task(task: ChunkTask) -> bytes:
    """Return a task as JSON."""
    return msgspec.json.encode(task)


def decode_task(body: bytes) -> ChunkTask:
    """Return the task that `encode_task` wrote."""
    return msgspec.json.decode(body, type=learned(ChunkTask))


def installed() -> str:
    """Return the version of Veilsum that is installed here."""
    return version("veilsum")
