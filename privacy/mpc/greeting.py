"""Before a question every two seats greet: each adds a nonce to the keys that they will use.

The secrets that two seats have in common last for a round or longer, and a mask must never
hide two things. So the keys of a question come from the secret, the question and a fresh nonce
of either seat: as long as one of the two draws its own, they are new, whatever the other
repeats and however often the same question is asked.

The first message already names the question, with all that is public about it. Seats that do
not ask the same refuse each other there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from privacy.schemes.keystream import SECRET_BYTES, Use, derive_key
from privacy.schemes.shares.layout import SEATS, held_by
from privacy.signing import transcript

from .link import Seat
from .messages import Channel, bytes_of_words, words_of_bytes
from .randomness import Draws

_NONCE_WORDS: Final = SECRET_BYTES // 8
_QUESTION: Final = "veilsum/mpc-question/1"
_SESSION: Final = "veilsum/mpc-session/1"


@dataclass(frozen=True, slots=True)
class Pair:
    """What this seat has with one other for one question."""

    channel: Channel
    _secret: bytes = field(repr=False)
    _session: bytes

    def draws(self, use: Use, *fields: bytes) -> Draws:
        """Return words that the two have in common, from their start."""
        return Draws(derive_key(self._secret, use, self._session, *fields))


def greet(seat: Seat, question: bytes) -> Mapping[int, Pair]:
    """Return what this seat has with each of the others, by their number.

    Args:
        question: what is asked, of whom, and all that is public about it.

    Raises:
        MalformedMessage: another seat asks something else.
    """
    named = sha256(transcript(_QUESTION, question)).digest()
    others = [other for other in range(SEATS) if other != seat.number]
    channels = {other: Channel(seat.link, seat.number, other, named) for other in others}
    nonces = {other: seat.entropy(SECRET_BYTES) for other in others}
    for other in others:
        channels[other].send(words_of_bytes(nonces[other]))
    return {other: _met(seat, other, channels[other], named, nonces[other]) for other in others}


def _met(seat: Seat, other: int, channel: Channel, named: bytes, nonce: bytes) -> Pair:
    theirs = bytes_of_words(channel.receive((_NONCE_WORDS,)))
    nonces = (nonce, theirs) if seat.number < other else (theirs, nonce)
    session = sha256(transcript(_SESSION, named, *nonces)).digest()
    channel.rename(session)
    return Pair(channel, _common_secret(seat, other), session)


def _common_secret(seat: Seat, other: int) -> bytes:
    by_component = dict(zip(held_by(seat.number), seat.pairs.secrets, strict=True))
    (common,) = set(by_component) & set(held_by(other))
    return by_component[common]
