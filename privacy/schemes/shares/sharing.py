"""What a site does under `shares`: three components of its update, each for two seats.

Components 0 and 1 are streams that two secrets give. Component 2 is the update less those
two modulo 2^64; it travels once, in AES-256-GCM under a key that the third secret gives, with
federation, round, site and chunk as associated data. Each secret is fresh, and sealed by HPKE
to the two seats that hold its component. Whoever has one seat's two components has two
uniform words for each word of the update, whatever the update is: the third is missing.

The squared norm that a site declares is split in the same way: the secrets of components 0
and 1 give two words, and what is missing to it travels in the seals of the other two seats.

    sealed to a seat   its two secrets, 32 bytes each; 8 bytes, little-endian: the third
                       component of what is declared, or zero for seat 0, which lacks it
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from privacy.errors import MalformedMessage, UnsafeParameters, UpdateOutOfRange
from privacy.schemes.base import Integers
from privacy.schemes.keystream import SECRET_BYTES, UpdateContext, Use, WordStream, derive_key
from privacy.sealing import Entropy, HpkeKeyPair, Sealed, open_sealed, seal, seal_context
from privacy.signing import transcript

from .layout import (
    BLINDING_WORDS,
    COMPONENTS,
    SEATS,
    VALUE_WORDS,
    WORD_BITS,
    WORD_BYTES,
    WORDS_PER_LEAF,
    SharesParameters,
    Words,
    block_root,
    clear_tail,
    flat,
    held_by,
    room_for,
    values_of,
)

SENT = 2
"""The component that travels; the others are expanded from their secrets."""

TAG_BYTES = 16

_SECRETS_BYTES = 2 * SECRET_BYTES
_RING = 1 << WORD_BITS


@dataclass(frozen=True, slots=True)
class SeatSecrets:
    """What one seat is given of one update: the secrets of its two components, and no third.

    No method of any type that is made from it gives a word of the update.

    Attributes:
        declared_third: the third component of the squared norm that the site declares, modulo
            2^64; 0 for seat 0, which does not hold it.
    """

    seat: int
    secrets: tuple[bytes, bytes] = field(repr=False)
    declared_third: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        if any(len(secret) != SECRET_BYTES for secret in self.secrets):
            raise MalformedMessage(f"a component's secret has {SECRET_BYTES} bytes")
        largest = _RING - 1 if SENT in held_by(self.seat) else 0
        if not 0 <= self.declared_third <= largest:
            raise MalformedMessage(f"seat {self.seat}: not its part of a declared norm")

    def declared_share(self, context: UpdateContext) -> int:
        """Return this seat's share of the declared squared norm: component number `seat`.

        The shares of three seats add up to it modulo 2^64; those of two are uniform words.
        """
        if self.seat == SENT:
            return self.declared_third
        return _declared_word(context, self.seat, self.secrets[0])


@dataclass(frozen=True, slots=True)
class UpdateSecrets:
    """The secrets of the three components of one update; the site's own, for one round.

    Raises:
        UnsafeParameters: not three different secrets of 32 bytes; the entropy is broken.
    """

    secrets: tuple[bytes, bytes, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        lengths = {len(secret) for secret in self.secrets}
        if lengths != {SECRET_BYTES} or len(set(self.secrets)) != COMPONENTS:
            raise UnsafeParameters(
                f"an update needs {COMPONENTS} different secrets of {SECRET_BYTES} bytes"
            )

    @classmethod
    def generate(cls, entropy: Entropy) -> "UpdateSecrets":
        """Draw the secrets of one update."""
        first, second, third = (entropy(SECRET_BYTES) for _ in range(COMPONENTS))
        return cls((first, second, third))

    def declare(self, context: UpdateContext, squared_norm: int) -> int:
        """Return the third component of a declared squared norm; the secrets give the others.

        Raises:
            UpdateOutOfRange: not 0 to 2^64 - 1.
        """
        if not 0 <= squared_norm < _RING:
            raise UpdateOutOfRange(f"a squared norm is at least 0, and below 2^{WORD_BITS}")
        given = sum(_declared_word(context, each, self.secrets[each]) for each in range(SENT))
        return (squared_norm - given) % _RING

    def for_seat(self, seat: int, declared_third: int = 0) -> SeatSecrets:
        """Return what one seat holds."""
        first, second = held_by(seat)
        third = declared_third if SENT in (first, second) else 0
        return SeatSecrets(seat, (self.secrets[first], self.secrets[second]), third)


def seal_for_seats(
    secrets: UpdateSecrets, context: UpdateContext, seats: Sequence[bytes], declared_third: int = 0
) -> tuple[bytes, ...]:
    """Seal to each of the three seats what it holds, bound to update and seat.

    Args:
        seats: the HPKE public keys of seats 0, 1 and 2.
        declared_third: what `UpdateSecrets.declare` returns.

    Raises:
        UnsafeParameters: not three different keys; two seats in one hand open every update.
        MalformedMessage: one of them is not a public key.
    """
    if len(seats) != SEATS or len(set(seats)) != SEATS:
        raise UnsafeParameters(f"shares need {SEATS} seats with keys of their own")
    return tuple(
        seal(public, _seal_info(context, seat), _packed(secrets.for_seat(seat, declared_third)))
        for seat, public in enumerate(seats)
    )


def open_as_seat(
    pair: HpkeKeyPair, context: UpdateContext, seat: int, sealed: bytes
) -> SeatSecrets:
    """Return what a site sealed to this seat for this update.

    Raises:
        MalformedMessage: sealed to another key, for another update or another seat, or changed.
    """
    opened = open_sealed(pair, _seal_info(context, seat), sealed)
    if len(opened) != _SECRETS_BYTES + WORD_BYTES:
        raise MalformedMessage(f"{len(opened)} bytes are not what a seat is sealed")
    secrets = opened[:SECRET_BYTES], opened[SECRET_BYTES:_SECRETS_BYTES]
    return SeatSecrets(seat, secrets, int.from_bytes(opened[_SECRETS_BYTES:], "little"))


@dataclass(frozen=True, slots=True)
class SharedChunk:
    """One chunk of an update in shares: what travels, and each component's Merkle root."""

    payload: bytes = field(repr=False)
    roots: tuple[bytes, bytes, bytes]


class SharesProtector:
    """Splits a site's own values; good for one update.

    Promises the site that no seat, alone or with the coordinator, gets anything from what
    leaves here that depends on a value.
    """

    def __init__(
        self,
        parameters: SharesParameters,
        dimension: int,
        context: UpdateContext,
        secrets: UpdateSecrets,
    ) -> None:
        self._parameters = parameters
        self._geometry = parameters.geometry(dimension)
        first, second, third = secrets.secrets
        self._streams = (
            component_stream(context, 0, first),
            component_stream(context, 1, second),
        )
        self._third = ThirdComponent(context, third)
        self._shared: set[int] = set()
        self._spare: tuple[Words | None, ...] = (None,) * COMPONENTS

    def protect(self, chunk: int, values: Integers) -> bytes:
        """Split one chunk's grid integers, and return what travels; as `share`."""
        return self.share(chunk, values).payload

    def share(self, chunk: int, values: Integers) -> SharedChunk:
        """Split one chunk's grid integers, shape (values_in(chunk),).

        Raises:
            UpdateOutOfRange: another shape, or a value off the grid.
            UnsafeParameters: the chunk was split before. Under the same secrets the difference
                of two payloads is that of their values; a retry sends the stored bytes.
        """
        self._geometry.require_values(chunk, values, self._parameters.largest_value)
        self._require_first(chunk)
        words = self._parameters.to_words(values)
        count, leaves = words.size, self._parameters.leaves_in(values.size)
        first = expand(self._streams[0], chunk, leaves, count, self._spare[0])
        second = expand(self._streams[1], chunk, leaves, count, self._spare[1])
        third = difference(words, first, second, self._spare[2])
        third[:, VALUE_WORDS:] = self._third.blinding(chunk, leaves)
        self._spare = first, second, third
        roots = block_root(chunk, first), block_root(chunk, second), block_root(chunk, third)
        return SharedChunk(self._third.seal(chunk, flat(third, count)), roots)

    def _require_first(self, chunk: int) -> None:
        if chunk in self._shared:
            raise UnsafeParameters(
                f"chunk {chunk} has been split under these secrets; send the stored bytes again, "
                "or draw secrets for a new update"
            )
        self._shared.add(chunk)


class ThirdComponent:
    """Seals and opens the component that travels; held by the site and by seats 1 and 2."""

    def __init__(self, context: UpdateContext, secret: bytes) -> None:
        self._context = context
        self._cipher = AESGCM(derive_key(secret, Use.SEAL, *context.fields()))
        self._blinding = WordStream(derive_key(secret, Use.BLINDING, *context.fields()))

    def blinding(self, chunk: int, leaves: int) -> Words:
        """Return the words that blind a chunk's leaves, shape (leaves, 4)."""
        return self._blinding.words(chunk, (leaves, BLINDING_WORDS))

    def seal(self, chunk: int, words: Words) -> bytes:
        """Encrypt one chunk's words, shape (m,): 8·m bytes and a tag of 16."""
        # One key for each update and one nonce for each chunk, so none is used twice.
        plain = words.astype("<u8", copy=False).view(np.uint8).data
        return self._cipher.encrypt(_nonce(chunk), plain, self._associated(chunk))

    def open(self, chunk: int, payload: bytes, count: int) -> Words:
        """Return one chunk's words, shape (count,).

        Raises:
            MalformedMessage: another length, chunk, site, round, federation or key, or a
                changed byte.
        """
        expected = WORD_BYTES * count + TAG_BYTES
        if len(payload) != expected:
            raise MalformedMessage(f"chunk {chunk} has {len(payload)} bytes, expected {expected}")
        try:
            plain = self._cipher.decrypt(_nonce(chunk), payload, self._associated(chunk))
        except InvalidTag:
            raise MalformedMessage(
                f"chunk {chunk} of {self._context.site} does not open at its place"
            ) from None
        return np.frombuffer(plain, "<u8").astype(np.uint64, copy=False)

    def _associated(self, chunk: int) -> bytes:
        return transcript(Use.SEAL, *self._context.fields(), chunk.to_bytes(8, "big"))


def component_stream(context: UpdateContext, component: int, secret: bytes) -> WordStream:
    """Return the words of a component that is a stream."""
    key = derive_key(secret, Use.COMPONENT, *context.fields(), bytes([component]))
    return WordStream(key)


def expand(
    stream: WordStream, chunk: int, leaves: int, count: int, out: Words | None = None
) -> Words:
    """Return one chunk's block of a component that is a stream, shape (leaves, 1024).

    Args:
        count: words of it that belong to values; places after them are zero.
        out: a block to write over, if it has that many leaves.
    """
    shape = (leaves, WORDS_PER_LEAF)
    block = stream.words(chunk, shape, room_for(shape, out))
    clear_tail(block, count)
    return block


def difference(words: Words, first: Words, second: Words, out: Words | None = None) -> Words:
    """Return a block of words less those of two blocks; it is not blinded yet.

    Args:
        words: shape (m,), as many as the blocks have that belong to values.
        out: a block to write over, if it has as many leaves.
    """
    block = room_for(first.shape, out)
    full = np.pad(words, (0, -words.size % VALUE_WORDS)) if words.size % VALUE_WORDS else words
    values = values_of(block)
    np.subtract(full.reshape(values.shape), values_of(first), out=values)
    values -= values_of(second)
    return block


def _nonce(chunk: int) -> bytes:
    return chunk.to_bytes(12, "big")


def _packed(held: SeatSecrets) -> bytes:
    return b"".join((*held.secrets, held.declared_third.to_bytes(WORD_BYTES, "little")))


def _declared_word(context: UpdateContext, component: int, secret: bytes) -> int:
    key = derive_key(secret, Use.DECLARED, *context.fields(), bytes([component]))
    return int(WordStream(key).words(0, (1,))[0])


def _seal_info(context: UpdateContext, seat: int) -> bytes:
    return seal_context(Sealed.SHARES, *context.fields(), bytes([seat]))
