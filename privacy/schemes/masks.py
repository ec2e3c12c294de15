"""Masks that bind a sum to its cohort: each site's own, known to the openers only.

CKKS ciphertexts can be added and negated by anyone. Without more, a trainer who is shown the
others' ciphertexts could send minus their sum, all but one, and that one would be opened as the
sum. So a site adds to the first polynomial of every ciphertext a mask, uniform residues from a
secret of its own that is sealed to the openers. Openers take exactly the masks of the cohort
off the sum. What holds any other combination of honest ciphertexts keeps a uniform residue in
every coefficient, opens to nothing but noise, and is refused by the guard.

A mask hides nothing that the encryption does not hide already; it needs to be unpredictable,
not perfectly uniform: a 60-bit word modulo the 60-bit prime is within 2^-45 of it.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from privacy.limbs import Words

from .ckks_parameters import CkksParameters
from .keystream import SECRET_BYTES, Use, WordStream, derive_key

MASK_SECRET_BYTES: Final = SECRET_BYTES


class Mask:
    """One site's mask in one round.

    Args:
        parameters: of the round.
        secret: 32 bytes from the operating system, fresh for the round.
        context: digest of the plan; the same secret under another plan is another mask.
    """

    def __init__(self, parameters: CkksParameters, secret: bytes, context: bytes) -> None:
        self._width = parameters.modulus.bit_length()
        self._degree = parameters.degree
        self._stream = WordStream(derive_key(secret, Use.CKKS_MASK, context))

    def words(self, chunk: int, ciphertexts: int, out: Words | None = None) -> Words:
        """Return the mask of one chunk, shape (ciphertexts, degree), below 2^bits of the modulus.

        Args:
            out: an array of that shape to write to; a new one by default.
        """
        words = self._stream.words(chunk, (ciphertexts, self._degree), out)
        words &= np.uint64((1 << self._width) - 1)
        return words


def put_on(parameters: CkksParameters, first: Words, words: Words) -> None:
    """Add a mask to a chunk's first polynomials, in place; both shape (ciphertexts, degree)."""
    first += words
    _reduce(first, parameters.modulus)


def take_off(parameters: CkksParameters, first: Words, masks: Sequence[Mask], chunk: int) -> None:
    """Subtract all masks of a cohort from the first polynomials of a sum, in place.

    Args:
        first: shape (ciphertexts, degree), canonical residues.
    """
    total, spare = np.zeros_like(first), np.empty_like(first)
    # So many words below 2^bits, and a residue, fit into 64 bits.
    room = (1 << (64 - parameters.modulus.bit_length())) - 1
    for at, mask in enumerate(masks, start=1):
        total += mask.words(chunk, len(first), spare)
        if at % room == 0:
            _reduce(total, parameters.modulus)
    _reduce(total, parameters.modulus)
    first += np.uint64(parameters.modulus) - total
    _reduce(first, parameters.modulus)


def _reduce(words: NDArray[np.uint64], modulus: int) -> None:
    # Division by a constant is vectorised in numpy; the remainder is not.
    words -= words // np.uint64(modulus) * np.uint64(modulus)
