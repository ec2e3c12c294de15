"""What is uploaded behind a signed document: chunks that can be read again from any of them."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

DIGESTS_AT_ONCE: Final = 1 << 14
"""In one message: half a MiB of them."""

_Chunk = TypeVar("_Chunk")


@dataclass(frozen=True)
class Whole(Generic[_Chunk]):
    """All the chunks of an upload, which are the same however often they are read.

    Attributes:
        digests: SHA-256 of each, in order, 32 bytes.
        chunks: gives them from one on.
    """

    digests: Callable[[], Iterable[bytes]] = field(repr=False)
    chunks: Callable[[int], Iterable[_Chunk]] = field(repr=False)


def digests_of(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the SHA-256 of each chunk."""
    return (hashlib.sha256(chunk).digest() for chunk in chunks)


def joined(digests: Iterable[bytes]) -> Iterator[bytes]:
    """Yield digests one behind the other, as many at once as go in one message."""
    held: list[bytes] = []
    for each in digests:
        held.append(each)
        if len(held) == DIGESTS_AT_ONCE:
            yield b"".join(held)
            held.clear()
    if held:
        yield b"".join(held)
