"""Frames between two seats: encrypted, numbered, at most 1 MiB; longer messages are cut.

    number      8 bytes   big-endian: frames before it in this direction
    ciphertext            AES-256-GCM with the number as nonce and as associated data
    of kind     1 byte    ALIVE, PART (more follows), LAST or DONE
       body

Each direction of each session has a key of its own, so no nonce is used twice. A frame that
does not open is not the seat's, and is as if it had never come. One that came before is left
out; one that comes too early says that others are lost, and with them the session.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from privacy.errors import MalformedMessage

from .handshake import BrokenOff

LARGEST_FRAME: Final = 1 << 20
LONGEST_MESSAGE: Final = 64 << 20
_NUMBER_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_BODY_BYTES: Final = LARGEST_FRAME - _NUMBER_BYTES - _TAG_BYTES - 1


class Kind(IntEnum):
    """What a frame is."""

    ALIVE = 0
    PART = 1
    LAST = 2
    DONE = 3


class Sealing:
    """Closes the frames that go from this seat to one other, in one session."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._number = 0

    def seal(self, kind: Kind, body: bytes = b"") -> bytes:
        """Return the next frame; what was sealed is sent, or the session is over."""
        number = self._number.to_bytes(_NUMBER_BYTES, "big")
        self._number += 1
        return number + self._cipher.encrypt(_nonce(number), bytes([kind]) + body, number)


class Opening:
    """Opens the frames that come from one other seat, in one session, each once and in order."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._expected = 0

    def open(self, frame: bytes) -> tuple[Kind, bytes] | None:
        """Return kind and body of the next frame; None for one that has come before.

        Raises:
            MalformedMessage: not made by the other seat, for this seat and session.
            BrokenOff: frames before this one were lost.
        """
        number, ciphertext = frame[:_NUMBER_BYTES], frame[_NUMBER_BYTES:]
        try:
            opened = self._cipher.decrypt(_nonce(number), ciphertext, number)
        except (InvalidTag, ValueError):
            raise MalformedMessage(f"a frame of {len(frame)} bytes does not open") from None
        at = int.from_bytes(number, "big")
        if at < self._expected:
            return None
        if at > self._expected:
            raise BrokenOff(f"frames {self._expected}..{at - 1} were lost")
        self._expected += 1
        return _kind(opened[:1]), opened[1:]


class Joining:
    """Puts the parts of messages together again."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._length = 0

    def take(self, kind: Kind, body: bytes) -> bytes | None:
        """Return the message that a frame of kind PART or LAST completes; None before that.

        Raises:
            MalformedMessage: a message of more than 64 MiB.
        """
        self._length += len(body)
        if self._length > LONGEST_MESSAGE:
            raise MalformedMessage(f"a seat's message has more than {LONGEST_MESSAGE} bytes")
        self._parts.append(body)
        if kind is Kind.PART:
            return None
        message, self._parts, self._length = b"".join(self._parts), [], 0
        return message


def cut(message: bytes) -> Iterator[tuple[Kind, bytes]]:
    """Yield kind and body of each frame of a message."""
    last = max(0, len(message) - 1) // _BODY_BYTES * _BODY_BYTES
    for start in range(0, last, _BODY_BYTES):
        yield Kind.PART, message[start : start + _BODY_BYTES]
    yield Kind.LAST, message[last:]


def _nonce(number: bytes) -> bytes:
    return number.rjust(_NONCE_BYTES, b"\0")


def _kind(first: bytes) -> Kind:
    try:
        return Kind(int.from_bytes(first, "big") if first else -1)
    except ValueError:
        raise MalformedMessage("a seat sends a frame of a kind that no seat knows") from None
