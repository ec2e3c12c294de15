"""Leaves of a contribution under `ckks`, by its plan: their words, their moduli, their number."""

from privacy.limbs import Words
from privacy.merkle import WORDS_PER_LEAF
from privacy.plan import Plan
from privacy.schemes.ckks_sum import CkksCombiner

from .sum_tree import GrowingSums, Place, Seen, unseen


class ChunkReader:
    """Reads chunks of contributions as a plan has them."""

    def __init__(self, plan: Plan) -> None:
        self._parameters = plan.parameters()
        self._layout = self._parameters.layout
        self._geometry = self._parameters.geometry(plan.arithmetic.dimension)
        self._combiner = CkksCombiner(self._parameters, plan.arithmetic.dimension)

    def begin(self, chunk: int, seen: Seen = unseen) -> GrowingSums:
        """Begin the sum trees of a chunk; `seen` is told of each sum."""
        return GrowingSums(chunk, self._layout.moduli, seen)

    def words(self, chunk: int, payload: bytes) -> Words:
        """Return a chunk's words, shape (polynomials, moduli, words per residue).

        Raises:
            MalformedMessage: it is no chunk of this plan.
        """
        words = self._combiner.decode(chunk, payload)
        return words.reshape(-1, *words.shape[2:])

    def place(self, chunk: int, leaf: int) -> Place:
        """Return what the words of one leaf are residues of."""
        moduli = self._layout.moduli
        index = leaf // (self._layout.degree // WORDS_PER_LEAF) % len(moduli)
        return Place(chunk, leaf, index, moduli[index])

    def leaves(self, chunk: int) -> int:
        """Return how many leaves a contribution has in a chunk."""
        ciphertexts = self._parameters.ciphertexts_in(self._geometry.values_in(chunk))
        residues = ciphertexts * self._layout.polynomials * len(self._layout.moduli)
        return residues * (self._layout.degree // WORDS_PER_LEAF)
