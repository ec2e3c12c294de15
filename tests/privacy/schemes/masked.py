"""CKKS roles under masks that the tests know: one mask for all sites, or none at all."""

import numpy as np

from privacy.limbs import Words
from privacy.schemes.base import Integers
from privacy.schemes.ckks import CkksProtector, CkksRevealer
from privacy.schemes.ckks_parameters import CkksParameters
from privacy.schemes.masks import Mask

SECRET, CONTEXT = bytes(range(32)), b"digest of a plan"


class Unmasked(Mask):
    """Zeros, for ciphertexts that a test makes or opens below the roles."""

    def __init__(self, parameters: CkksParameters) -> None:
        super().__init__(parameters, SECRET, CONTEXT)

    def words(self, chunk: int, ciphertexts: int, out: Words | None = None) -> Words:
        """Return zeros."""
        return np.zeros((ciphertexts, self._degree), np.uint64)


def one_mask(parameters: CkksParameters) -> Mask:
    """The mask that every site has here."""
    return Mask(parameters, SECRET, CONTEXT)


def protector(
    parameters: CkksParameters, dimension: int, public: bytes, mask: Mask | None = None
) -> CkksProtector:
    """A site of any cohort."""
    return CkksProtector(parameters, dimension, public, mask or one_mask(parameters))


class AnyCohort(CkksRevealer):
    """Takes the one mask off as often as there are sites, however many a test says."""

    def __init__(
        self, parameters: CkksParameters, dimension: int, secret: bytes, mask: Mask | None = None
    ) -> None:
        super().__init__(parameters, dimension, secret, ())
        self._each = mask or one_mask(parameters)

    def reveal(self, chunk: int, total: bytes, cohort: int) -> Integers:
        """Open a sum of `cohort` contributions under that mask."""
        self._masks = (self._each,) * cohort
        return super().reveal(chunk, total, cohort)
