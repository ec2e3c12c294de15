"""Adding CKKS ciphertexts with integer addition only, as the coordinator does.

A sum of ciphertexts is the sum of their residues, each modulo its prime. This takes numpy and
our own container: no ciphertext library, no key, nothing that opens anything.
"""

from collections.abc import Iterable

import numpy as np

from privacy.errors import CohortTooSmall, MalformedMessage
from privacy.limbs import Words, decode_chunk, encode_chunk
from privacy.merkle import chunk_root

from .ckks_parameters import CkksParameters


class CkksCombiner:
    """Checks and adds chunks of ciphertexts it cannot open.

    Promises the coordinator, and whoever re-adds, that the sum is a function of the bytes
    added and nothing else: any order and any interruption give identical bytes.
    """

    def __init__(self, parameters: CkksParameters, dimension: int) -> None:
        self._parameters = parameters
        self._geometry = parameters.geometry(dimension)

    def check(self, chunk: int, payload: bytes) -> bytes:
        """Refuse a chunk that the plan does not ask for, and return its Merkle root.

        Raises:
            MalformedMessage: not this chunk's container, a residue not below its modulus, or
                a ciphertext whose second polynomial is zero, which would hide nothing.
        """
        words = self._decode(chunk, payload)
        if not np.all(np.any(words[:, 1], axis=(1, 2))):
            raise MalformedMessage(f"chunk {chunk} has a ciphertext that is not encrypted")
        return chunk_root(chunk, words.reshape(-1, *words.shape[2:]))

    def combine(self, chunk: int, payloads: Iterable[bytes]) -> bytes:
        """Add the same chunk of each contribution, one at a time.

        Raises:
            CohortTooSmall: there is nothing to add.
            UnsafeParameters: more contributions than the parameters hold for.
            MalformedMessage: one of them is not this chunk's container.
        """
        moduli = np.array(self._parameters.layout.moduli, np.uint64)[:, np.newaxis]
        # Residues are reduced only when one more could leave 64 bits: after 15 additions to
        # the first for a prime of 60 bits.
        room = (2**64 - 1) // (max(self._parameters.layout.moduli) - 1)
        total: Words | None = None
        added = held = 0
        for payload in payloads:
            added += 1
            self._parameters.require_cohort(added)
            words = self._decode(chunk, payload)
            if total is None:
                total, held = words, 1
                continue
            if held == room:
                _reduce(total, moduli)
                held = 1
            total += words
            held += 1
        if total is None:
            raise CohortTooSmall(f"chunk {chunk}: there is no contribution to add")
        _reduce(total, moduli)
        return encode_chunk(self._parameters.layout, chunk, total)

    def _decode(self, chunk: int, payload: bytes) -> Words:
        count = self._parameters.ciphertexts_in(self._geometry.values_in(chunk))
        return decode_chunk(self._parameters.layout, chunk, count, payload)


def _reduce(words: Words, moduli: Words) -> None:
    # Division by a constant is vectorised in numpy; the remainder is not.
    for at in range(moduli.size):
        residues = words[:, :, at, :]
        residues -= residues // moduli[at, 0] * moduli[at, 0]
