"""From a secret to uniform words under a key of its own: masks and shares are made of them.

A secret has 32 bytes from the operating system, and no more holders than its use allows: a
mask's are its site and the openers, a component's the site and two seats. HKDF-SHA256 derives
from it one key for each use, bound to what the words are for; under such a key AES-256 in
counter mode gives each chunk its words from a counter of its own, so any chunk is made without
those before it.

Source: RFC 5869 (HKDF); NIST SP 800-38A, 6.5 (counter mode).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from privacy.errors import MalformedMessage
from privacy.limbs import Words
from privacy.signing import transcript

SECRET_BYTES: Final = 32

_LITTLE_ENDIAN: Final = np.dtype("<u8").isnative

# What counter mode encrypts: as much as the largest chunk takes.
_NOTHING: Final = bytes(1 << 20)

# The upper half of a counter; the lower one counts the blocks of a chunk.
_CHUNK_BYTES: Final = 8


class Use(StrEnum):
    """What a key is derived for; no two uses share one."""

    CKKS_MASK = "veilsum/ckks-mask/1"
    COMPONENT = "veilsum/shares-component/1"
    SEAL = "veilsum/shares-seal/1"
    BLINDING = "veilsum/shares-blinding/1"
    DECLARED = "veilsum/shares-declared/1"
    ZERO_SHARE = "veilsum/shares-zero/1"
    PROJECTIONS = "veilsum/shares-projections/1"
    SEAT_FRAMES = "veilsum/seat-frames/1"
    SEAT_PAIR = "veilsum/seat-pair/1"
    MPC_ZERO = "veilsum/mpc-zero/1"
    MPC_RING = "veilsum/mpc-ring/1"
    MPC_TRIPLES = "veilsum/mpc-triples/1"


@dataclass(frozen=True, slots=True)
class UpdateContext:
    """Which update a component belongs to; part of every key and seal."""

    federation: str
    round: int
    site: str

    def fields(self) -> tuple[bytes, ...]:
        """Return the context as fields of a transcript."""
        return self.federation.encode(), self.round.to_bytes(8, "big"), self.site.encode()


def derive_key(secret: bytes, use: Use, *fields: bytes) -> bytes:
    """Return the key of 32 bytes for one use in one context.

    Raises:
        MalformedMessage: the secret has another length than 32 bytes.
    """
    if len(secret) != SECRET_BYTES:
        raise MalformedMessage(f"the secret of a keystream has {SECRET_BYTES} bytes")
    info = transcript(use, *fields)
    return HKDF(hashes.SHA256(), SECRET_BYTES, salt=None, info=info).derive(secret)


class WordStream:
    """Uniform words under one key; the same chunk gives the same words, everywhere."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AES256(key)

    def words(self, chunk: int, shape: tuple[int, ...], out: Words | None = None) -> Words:
        """Return the first words of one chunk's stream.

        Args:
            out: a contiguous array of that shape to write them to; a new one by default.
        """
        words = np.empty(shape, np.uint64) if out is None else out
        buffer = words.reshape(-1).view(np.uint8)
        assert buffer.size <= len(_NOTHING), "a chunk has at most 2^17 words"
        # Each chunk has 2^64 blocks of its own, so no two chunks meet.
        counter = chunk.to_bytes(_CHUNK_BYTES, "big") + bytes(_CHUNK_BYTES)
        encryptor = Cipher(self._cipher, CTR(counter)).encryptor()
        encryptor.update_into(memoryview(_NOTHING)[: buffer.size], buffer.data)
        if not _LITTLE_ENDIAN:
            words.byteswap(inplace=True)
        return words
