"""Seals that one key opens: HPKE for short secrets, AES-256-GCM chunks for a model.

`seal` closes a secret for one public key. The key pair is X-Wing, ML-KEM-768 with X25519,
so that what is recorded today stays closed as long as either of the two holds.

`seal_stream` closes a long plaintext, chunk by chunk, under a content key that is then sealed
for each reader. What opens is the whole stream in its order, or nothing that ends: a chunk
that is cut off, moved, repeated or taken from another stream is refused.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .errors import MalformedMessage
from .signing import transcript

Entropy = Callable[[int], bytes]
"""Returns as many secret, uniformly random bytes as it is asked for: `os.urandom`."""

SEED_BYTES = 32
PUBLIC_KEY_BYTES = 1184 + 32
SEAL_OVERHEAD = 1088 + 32 + 16
"""Bytes by which `seal` lengthens a plaintext: encapsulated key and tag."""

CONTENT_KEY_BYTES = 32
CHUNK_OVERHEAD = 16
"""Bytes by which `seal_stream` lengthens each chunk: the tag."""

_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class Sealed(StrEnum):
    """What is sealed; the first field of every context, so that no seal passes for another."""

    COHORT_KEY = "veilsum/sealed-cohort-key/1"
    CONTENT_KEY = "veilsum/sealed-content-key/1"
    MODEL = "veilsum/sealed-model-chunks/1"
    MASK = "veilsum/sealed-mask/1"
    SHARES = "veilsum/sealed-shares/1"
    SEAT_SUM = "veilsum/sealed-seat-sum/1"
    SEAT_SUM_KEY = "veilsum/sealed-seat-sum-key/1"
    SEAT_CHANNEL = "veilsum/sealed-seat-channel/1"
    DISPUTE = "veilsum/sealed-dispute/1"
    PRODUCT = "veilsum/sealed-product/1"
    KEPT_UPDATE = "veilsum/kept-update/1"
    KEPT_UPDATE_KEY = "veilsum/kept-update-key/1"


def seal_context(kind: Sealed, *fields: bytes) -> bytes:
    """Return `kind` and `fields`, each behind its length, as info of a seal or a stream."""
    return transcript(kind, *fields)


@dataclass(frozen=True)
class HpkeKeyPair:
    """An X-Wing key pair; `seed` is the whole private key, and it does not print.

    Source: draft-connolly-cfrg-xwing-kem, section 5.2 (keys are expanded from 32 bytes).
    """

    seed: bytes = field(repr=False)
    public: bytes = field(init=False)

    def __post_init__(self) -> None:
        if len(self.seed) != SEED_BYTES:
            raise MalformedMessage(f"an HPKE private key has {SEED_BYTES} bytes")
        lattice, curve = _expand(self.seed)
        public = lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
        object.__setattr__(self, "public", public)

    @classmethod
    def generate(cls, entropy: Entropy) -> "HpkeKeyPair":
        """Return a new key pair from 32 bytes of `entropy`."""
        return cls(entropy(SEED_BYTES))


def seal(public: bytes, info: bytes, plaintext: bytes) -> bytes:
    """Return `plaintext` sealed for the holder of `public`, bound to `info`.

    The encapsulation draws on the operating system's entropy, inside the library. Anyone can
    seal: who did is said by a signature over the result, not by the seal.

    Source: RFC 9180, section 6.1, base mode; KEM 0x647a, KDF 0x0001, AEAD 0x0002.

    Raises:
        MalformedMessage: `public` is not a public key; its owner must publish another.
    """
    key = _public_key(public)
    try:
        return _SUITE.encrypt(plaintext, key, info)
    except ValueError:
        raise _not_a_public_key() from None


def open_sealed(pair: HpkeKeyPair, info: bytes, sealed: bytes) -> bytes:
    """Return what was sealed for `pair` under `info`.

    Raises:
        MalformedMessage: another key, another `info`, or changed bytes; it does not say which.
    """
    key = MLKEM768X25519PrivateKey(*_expand(pair.seed))
    try:
        return _SUITE.decrypt(sealed, key, info)
    except (InvalidTag, ValueError):
        raise MalformedMessage("a seal does not open with this key in this context") from None


def new_content_key(entropy: Entropy) -> bytes:
    """Return a key for one stream: 32 bytes of `entropy`."""
    return entropy(CONTENT_KEY_BYTES)


def seal_stream(content_key: bytes, context: bytes, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield each of `chunks` sealed; an empty stream has one empty chunk.

    Each chunk is AES-256-GCM under HKDF-SHA256(content key, info=context), with its index
    as nonce (12 bytes, big-endian) and the context, the index and whether it is the last as
    associated data. One content key seals one plaintext.

    Source: Hoang, Reyhanitabar, Rogaway, Vizár, "Online Authenticated-Encryption and its
    Nonce-Reuse Misuse-Resistance", section 7 (STREAM).
    """
    sealer = StreamSealer(content_key, context)
    for _, last, chunk in _numbered(chunks):
        yield sealer.seal(chunk, last=last)


class StreamSealer:
    """Seals the chunks of a stream as they are made, as `seal_stream` does.

    For who knows which chunk is the last one, and makes several streams side by side.
    """

    def __init__(self, content_key: bytes, context: bytes) -> None:
        self._cipher = _stream_cipher(content_key, context)
        self._context = context
        self._index = 0

    def seal(self, chunk: bytes, *, last: bool) -> bytes:
        """Return the next chunk sealed."""
        index, self._index = self._index, self._index + 1
        associated = _associated(self._context, index, last=last)
        return self._cipher.encrypt(_nonce(index), chunk, associated)


class StreamOpener:
    """Opens the chunks of a sealed stream as they come, each at its place.

    Only a stream that was opened up to its last chunk is whole.
    """

    def __init__(self, content_key: bytes, context: bytes) -> None:
        self._cipher = _stream_cipher(content_key, context)
        self._context = context
        self._index = 0

    def unseal(self, chunk: bytes, *, last: bool) -> bytes:
        """Return the plaintext of the next chunk.

        Raises:
            MalformedMessage: another key or context, or a chunk missing, moved, added or changed.
        """
        index, self._index = self._index, self._index + 1
        return self.unseal_at(index, chunk, last=last)

    def unseal_at(self, index: int, chunk: bytes, *, last: bool) -> bytes:
        """Return the plaintext of one chunk, whichever was opened before; as `unseal`."""
        associated = _associated(self._context, index, last=last)
        try:
            return self._cipher.decrypt(_nonce(index), chunk, associated)
        except (InvalidTag, ValueError):
            raise MalformedMessage(f"sealed chunk {index} does not open at its place") from None


def open_stream(content_key: bytes, context: bytes, sealed: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the plaintext of each chunk of `sealed`; only a stream read to its end is whole.

    Raises:
        MalformedMessage: another key or context, or a chunk missing, moved, added or changed.
    """
    opener = StreamOpener(content_key, context)
    for _, last, chunk in _numbered(sealed):
        yield opener.unseal(chunk, last=last)


class CiphertextDigest:
    """The digest of a sealed stream whose chunks come in order: SHA-256 over their SHA-256."""

    def __init__(self) -> None:
        self._outer = hashlib.sha256()

    def update(self, chunk: bytes) -> None:
        """Take the next sealed chunk."""
        self._outer.update(hashlib.sha256(chunk).digest())

    def hexdigest(self) -> str:
        """Return the digest of the chunks so far, in lowercase hex."""
        return self._outer.hexdigest()


def ciphertext_digest(chunks: Iterable[bytes]) -> str:
    """Return the SHA-256 over the SHA-256 of each sealed chunk, in lowercase hex."""
    digest = CiphertextDigest()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _expand(seed: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    expanded = hashlib.shake_256(seed).digest(96)
    lattice = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
    return lattice, X25519PrivateKey.from_private_bytes(expanded[64:])


def _public_key(public: bytes) -> MLKEM768X25519PublicKey:
    try:
        lattice = MLKEM768PublicKey.from_public_bytes(public[:1184])
        return MLKEM768X25519PublicKey(lattice, X25519PublicKey.from_public_bytes(public[1184:]))
    except ValueError:
        raise _not_a_public_key() from None


def _not_a_public_key() -> MalformedMessage:
    return MalformedMessage(f"not an HPKE public key of {PUBLIC_KEY_BYTES} bytes (X-Wing)")


def _stream_cipher(content_key: bytes, context: bytes) -> AESGCM:
    if len(content_key) != CONTENT_KEY_BYTES:
        raise MalformedMessage(f"a content key has {CONTENT_KEY_BYTES} bytes")
    derivation = HKDF(hashes.SHA256(), CONTENT_KEY_BYTES, salt=None, info=context)
    return AESGCM(derivation.derive(content_key))


def _numbered(chunks: Iterable[bytes]) -> Iterator[tuple[int, bool, bytes]]:
    remaining = iter(chunks)
    index, held = 0, next(remaining, b"")
    for chunk in remaining:
        yield index, False, held
        index, held = index + 1, chunk
    yield index, True, held


def _nonce(index: int) -> bytes:
    return index.to_bytes(12, "big")


def _associated(context: bytes, index: int, *, last: bool) -> bytes:
    return transcript("veilsum/chunk/1", context, index.to_bytes(8, "big"), bytes([last]))
