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
        return _checked_root(chunk, self.decode(chunk, payload))

    def combine(self, chunk: int, payloads: Iterable[bytes]) -> bytes:
        """Add the same chunk of each contribution, one at a time.

        Raises:
            CohortTooSmall: there is nothing to add.
            UnsafeParameters: more contributions than the parameters hold for.
            MalformedMessage: one of them is not this chunk's container.
        """
        addition = self.begin(chunk)
        for payload in payloads:
            addition.add(payload)
        return addition.finish()

    def begin(self, chunk: int) -> "Addition":
        """Begin a sum of one chunk, for contributions that arrive one after another."""
        return Addition(self, chunk, self._parameters)

    def decode(self, chunk: int, payload: bytes, out: Words | None = None) -> Words:
        """Return the residues of one chunk, as the plan shapes it.

        Args:
            out: an array that an earlier call returned for this chunk, to be written over.

        Raises:
            MalformedMessage: not this chunk's container, or a residue not below its modulus.
        """
        count = self._parameters.ciphertexts_in(self._geometry.values_in(chunk))
        return decode_chunk(self._parameters.layout, chunk, count, payload, out)


class Addition:
    """The sum of one chunk in the making, in two arrays: the total, and what is added to it."""

    def __init__(self, combiner: CkksCombiner, chunk: int, parameters: CkksParameters) -> None:
        self._combiner, self._chunk, self._parameters = combiner, chunk, parameters
        self._moduli = np.array(parameters.layout.moduli, np.uint64)[:, np.newaxis]
        # Residues are reduced only when one more could leave 64 bits: after 15 additions to
        # the first for a prime of 60 bits.
        self._room = (2**64 - 1) // (max(parameters.layout.moduli) - 1)
        self._total: Words | None = None
        self._spare: Words | None = None
        self._added = self._held = 0

    def add(self, payload: bytes) -> None:
        """Add one contribution's chunk.

        Raises:
            UnsafeParameters: more contributions than the parameters hold for.
            MalformedMessage: it is not this chunk's container.
        """
        self._add(self._decode(payload))

    def check_and_add(self, payload: bytes) -> bytes:
        """Add one contribution's chunk, and return its Merkle root.

        Raises:
            UnsafeParameters, MalformedMessage: as for `add` and `CkksCombiner.check`; nothing
                is added then.
        """
        words = self._decode(payload)
        root = _checked_root(self._chunk, words)
        self._add(words)
        return root

    def total(self) -> Words:
        """Return the sum's residues, shape (ciphertexts, 2, moduli, degree), canonical.

        Raises:
            CohortTooSmall: nothing was added.
        """
        if self._total is None:
            raise CohortTooSmall(f"chunk {self._chunk}: there is no contribution to add")
        self._reduce(self._total)
        return self._total

    def finish(self) -> bytes:
        """Return the sum in its container.

        Raises:
            CohortTooSmall: nothing was added.
        """
        return encode_chunk(self._parameters.layout, self._chunk, self.total())

    def _decode(self, payload: bytes) -> Words:
        self._spare = self._combiner.decode(self._chunk, payload, self._spare)
        return self._spare

    def _add(self, words: Words) -> None:
        self._parameters.require_cohort(self._added + 1)
        self._added += 1
        if self._total is None:
            self._total, self._spare, self._held = words, None, 1
            return
        if self._held == self._room:
            self._reduce(self._total)
        self._total += words
        self._held += 1

    def _reduce(self, total: Words) -> None:
        # One contribution alone is canonical.
        if self._held > 1:
            _reduce(total, self._moduli)
            self._held = 1


def sum_root(chunk: int, words: Words) -> bytes:
    """Return the Merkle root of a chunk's residues, shape (ciphertexts, 2, moduli, degree)."""
    return chunk_root(chunk, words.reshape(-1, *words.shape[2:]))


def _checked_root(chunk: int, words: Words) -> bytes:
    if not np.all(np.any(words[:, 1], axis=(1, 2))):
        raise MalformedMessage(f"chunk {chunk} has a ciphertext that is not encrypted")
    return sum_root(chunk, words)


def _reduce(words: Words, moduli: Words) -> None:
    # Division by a constant is vectorised in numpy; the remainder is not.
    for at in range(moduli.size):
        residues = words[:, :, at, :]
        residues -= residues // moduli[at, 0] * moduli[at, 0]
