"""The reference: CKKS as other frameworks use it, through TenSEAL's `ckks_vector`.

Degree 8192, primes of 60, 40 and 40 bits, scale 2^40, TenSEAL's own serialisation. A chunk is
one vector, as a tensor is with others. Only measured against; no protocol of ours uses it.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
import tenseal  # type: ignore[import-untyped]

from privacy.errors import CohortTooSmall
from privacy.schemes.base import Integers

DEGREE: Final = 8192
PRIME_BITS: Final = (60, 40, 40)
SCALE_LOG2: Final = 40
NAME: Final = f"TenSEAL ckks_vector, {DEGREE}/{list(PRIME_BITS)}/2^{SCALE_LOG2}, public key"

# An object of TenSEAL, which has no types.
_Native: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class ReferenceKeys:
    """Serialised contexts: without the secret, and with it."""

    public: bytes
    secret: bytes = field(repr=False)


def make_keys(*, symmetric: bool = False) -> ReferenceKeys:
    """Make a context; a symmetric one has no public half, so that each site holds the secret."""
    kind = tenseal.ENCRYPTION_TYPE.SYMMETRIC if symmetric else tenseal.ENCRYPTION_TYPE.ASYMMETRIC
    context = tenseal.context(
        tenseal.SCHEME_TYPE.CKKS,
        DEGREE,
        coeff_mod_bit_sizes=list(PRIME_BITS),
        encryption_type=kind,
    )
    context.global_scale = 2**SCALE_LOG2
    return ReferenceKeys(_saved(context, secret=symmetric), _saved(context, secret=True))


class ReferenceProtector:
    """Encrypts a site's values, and serialises them."""

    def __init__(self, keys: bytes) -> None:
        self._context = tenseal.context_from(keys)

    def protect(self, chunk: int, values: Integers) -> bytes:  # noqa: ARG002 - others number none
        """Encrypt one chunk into TenSEAL's bytes."""
        encrypted: bytes = tenseal.ckks_vector(self._context, values.astype(np.float64)).serialize()
        return encrypted


class ReferenceCombiner:
    """Reads vectors and adds them."""

    def __init__(self, keys: bytes) -> None:
        self._context = tenseal.context_from(keys)

    def check(self, chunk: int, payload: bytes) -> bytes:  # noqa: ARG002
        """Return the SHA-256 of the bytes; nothing else is checked elsewhere."""
        return hashlib.sha256(payload).digest()

    def combine(self, chunk: int, payloads: Iterable[bytes]) -> bytes:
        """Add vectors, one at a time.

        Raises:
            CohortTooSmall: there is nothing to add.
        """
        total: _Native = None
        for payload in payloads:
            vector = tenseal.ckks_vector_from(self._context, payload)
            total = vector if total is None else total.add_(vector)
        if total is None:
            raise CohortTooSmall(f"chunk {chunk}: there is no contribution to add")
        added: bytes = total.serialize()
        return added


class ReferenceRevealer:
    """Reads a sum and opens it."""

    def __init__(self, keys: bytes) -> None:
        self._context = tenseal.context_from(keys)

    def reveal(self, chunk: int, total: bytes, cohort: int) -> Integers:  # noqa: ARG002
        """Open one chunk of a sum, rounded to the grid."""
        opened = np.rint(tenseal.ckks_vector_from(self._context, total).decrypt())
        values: Integers = opened.astype(np.int64)
        return values


def _saved(context: _Native, *, secret: bool) -> bytes:
    saved: bytes = context.serialize(
        save_public_key=True,
        save_secret_key=secret,
        save_galois_keys=False,
        save_relin_keys=False,
    )
    return saved
