"""What a test uploads behind a signed document, as the callers of `put_model` and `put_sum` do."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

from participant.wire.whole import Whole, digests_of

_Chunk = TypeVar("_Chunk")


def whole(chunks: Iterable[bytes]) -> Whole[bytes]:
    """Return an upload of these chunks."""
    return _whole(chunks, lambda chunk: chunk)


def whole_sums(chunks: Iterable[tuple[int, bytes]]) -> Whole[tuple[int, bytes]]:
    """Return an upload of these chunks, each with its position."""
    return _whole(chunks, lambda chunk: chunk[1])


def _whole(chunks: Iterable[_Chunk], payload: Callable[[_Chunk], bytes]) -> Whole[_Chunk]:
    return Whole(
        lambda: digests_of(payload(each) for each in chunks),
        lambda first: islice(iter(chunks), first, None),
    )
