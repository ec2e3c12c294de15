"""Messages between two seats: words behind a header that only the next message can have.

    marker      4 bytes   b"VSMP"
    version     u16       1
    from, to    u8, u8    seats
    number      u32       messages before it in this direction, of this question
    session     32 bytes  the question, and once they are known the two seats' nonces
    type        u8        1, words of 64 bits
    axes        u8        how many lengths follow
    length      u32       once for each axis

All big-endian. Then the words, little-endian. Who receives knows what comes next and how long
it is, so there is nothing to parse: a message is the expected one, or it is refused. One that
is repeated, left out, out of order, of another question or of another pair never is.
"""

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from privacy.errors import InternalError, MalformedMessage

from .link import Link

LARGEST_MESSAGE: Final = 1 << 17
"""Words of the longest message: 1 MiB."""

_MARKER: Final = b"VSMP"
_VERSION: Final = 1
_INT64: Final = 1
_LITTLE_ENDIAN: Final = np.dtype("<u8")

Words = NDArray[np.uint64]
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """What a message's header says."""

    sender: int
    receiver: int
    number: int
    session: bytes
    shape: Shape

    @property
    def words(self) -> int:
        """How many words follow."""
        return int(np.prod(self.shape, dtype=np.int64))

    def header(self) -> bytes:
        """Return the one header that says it."""
        start = struct.pack(">4sHBBI", _MARKER, _VERSION, self.sender, self.receiver, self.number)
        axes = struct.pack(f">BB{len(self.shape)}I", _INT64, len(self.shape), *self.shape)
        return start + self.session + axes


class Channel:
    """Both directions between this seat and one other, for one question."""

    def __init__(self, link: Link, seat: int, other: int, session: bytes) -> None:
        self._link, self._seat, self._other = link, seat, other
        self._session = session
        self._sent = self._received = 0

    def rename(self, session: bytes) -> None:
        """Go on under another session; numbers go on, too."""
        self._session = session

    def send(self, words: Words) -> None:
        """Send words.

        Raises:
            InternalError: more than a message holds.
        """
        frame = Frame(self._seat, self._other, self._sent, self._session, words.shape)
        if words.size > LARGEST_MESSAGE:
            raise InternalError(f"a message of {words.size} words, at most {LARGEST_MESSAGE}")
        body = frame.header() + bytes_of_words(words)
        self._sent += 1
        self._link.send(self._other, body)

    def receive(self, shape: Shape) -> Words:
        """Return the next message's words.

        Raises:
            MalformedMessage: anything but the next message of this question, of this shape.
        """
        frame = Frame(self._other, self._seat, self._received, self._session, shape)
        body = self._link.receive(self._other)
        _require_frame(frame, body)
        self._received += 1
        return words_of_bytes(body[len(body) - 8 * frame.words :]).reshape(shape)


def bytes_of_words(words: Words) -> bytes:
    """Return words as they travel."""
    return words.astype(_LITTLE_ENDIAN).tobytes()


def words_of_bytes(body: bytes) -> Words:
    """Return words that have travelled, shape (words,)."""
    return np.frombuffer(body, _LITTLE_ENDIAN).astype(np.uint64)


def _require_frame(frame: Frame, body: bytes) -> None:
    header = frame.header()
    length = len(header) + 8 * frame.words
    if len(body) != length or not body.startswith(header):
        raise MalformedMessage(
            f"from seat {frame.sender} came {len(body)} bytes that are not message "
            f"{frame.number} of this question, of {length} bytes; ask again"
        )
