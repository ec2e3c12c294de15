"""One sum under one key: what a coordinator, an opener and an attacker see of it.

The attacker on a key is given the masks, as every opener has them: a mask is no part of what
hides a key. Who does not have them, as the coordinator, sees the same under one uniform word
more in every place.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from privacy.limbs import Words, decode_chunk, encode_chunk
from privacy.schemes.base import Integers
from privacy.schemes.ckks import CkksProtector, CkksRevealer, CohortKey
from privacy.schemes.ckks_parameters import CkksParameters, fitting, largest_scale
from privacy.schemes.ckks_sum import CkksCombiner
from privacy.schemes.masks import MASK_SECRET_BYTES, Mask, take_off
from tests.attacks.slots import Slots, plus, secret_of

COHORT = 4
DEVIATION = 300
"""Of an update's values, in grid steps: clip 1 over a million values at a step of 2^-18."""

SETS = {
    "24 bits, one in a half": CkksParameters(largest_scale(value_bits=24, cohort_max=4), 24, 4),
    "16 bits, two in a half": fitting(value_bits=16, cohort_max=COHORT),
}
"""By name, parameters that plans may have: one value in each half of a slot, and two."""


@dataclass(frozen=True)
class Summed:
    """Contributions of one ciphertext each, and what becomes of them."""

    parameters: CkksParameters
    key: CohortKey
    payloads: Sequence[bytes]
    masks: Sequence[Mask]

    @cached_property
    def total(self) -> bytes:
        """What the coordinator makes."""
        return CkksCombiner(self.parameters, self.size).combine(0, self.payloads)

    @property
    def stored(self) -> Words:
        """The sum's two polynomials, in the transform's domain: shape (2, N)."""
        return decode_chunk(self.parameters.layout, 0, 1, self.total)[0, :, 0]

    @cached_property
    def ciphertext(self) -> Words:
        """The same without masks, as every opener has it."""
        words = self.stored
        take_off(self.parameters, words[:1], self.masks, 0)
        return words

    @property
    def size(self) -> int:
        """Values in a ciphertext."""
        return self.parameters.values_per_ciphertext

    @property
    def secret(self) -> Integers:
        """The key that is attacked, for comparison."""
        return secret_of(self.parameters, self.key.secret)

    def handed_on(self) -> Integers:
        """What an opener hands on."""
        return self.opener.reveal(0, self.total, COHORT)

    def floats(self) -> Slots:
        """What decryption gives inside the opener, which hands it on to nobody."""
        return complex_of(self.opener._open(self.ciphertext[:, np.newaxis]))

    @cached_property
    def opener(self) -> CkksRevealer:
        """Who opens it."""
        return CkksRevealer(self.parameters, self.size, self.key.secret, self.masks)

    def shifted(self, polynomial: Words) -> "Summed":
        """Return the sum whose first contribution has this added to its second polynomial.

        Args:
            polynomial: T, in the transform's domain: shape (N,).
        """
        words = decode_chunk(self.parameters.layout, 0, 1, self.payloads[0])
        words[0, 1, 0] = plus(words[0, 1, 0], polynomial, self.parameters.modulus)
        payload = encode_chunk(self.parameters.layout, 0, words)
        return Summed(self.parameters, self.key, [payload, *self.payloads[1:]], self.masks)


def summed(parameters: CkksParameters, key: CohortKey, updates: Sequence[Integers]) -> Summed:
    """Return the sum of what sites sent honestly."""
    size = parameters.values_per_ciphertext
    masks = [Mask(parameters, os.urandom(MASK_SECRET_BYTES), b"a plan") for _ in updates]
    payloads = [
        CkksProtector(parameters, size, key.public, mask).protect(0, update)
        for mask, update in zip(masks, updates, strict=True)
    ]
    return Summed(parameters, key, payloads, masks)


def drawn(parameters: CkksParameters, seed: int, sites: int = COHORT) -> list[Integers]:
    """Return updates of a usual size."""
    draw = np.random.default_rng(seed)
    size = parameters.values_per_ciphertext
    return [np.rint(draw.normal(0, DEVIATION, size)).astype(np.int64) for _ in range(sites)]


def slots_from(parameters: CkksParameters, handed_on: np.ndarray) -> Slots:
    """Return the slots that hold what was handed on, in grid steps, as an attacker joins them."""
    rows = np.asarray(handed_on, np.float64).reshape(parameters.values_per_half, -1)
    widths = 2.0 ** (parameters.field_bits * np.arange(parameters.values_per_half))
    return complex_of(widths @ rows)


def complex_of(halves: np.ndarray) -> Slots:
    """Return N/2 complex slots of their N halves."""
    return halves[: halves.size // 2] + 1j * halves[halves.size // 2 :]
