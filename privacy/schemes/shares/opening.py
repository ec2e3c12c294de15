"""What a trainer does under `shares`: it opens the sum from any two seats, or nothing.

Two seats hold all three components between them and one of them twice. A sum opens only if
both holders of that one say the same; if not, the error names the pair, of whom one is wrong.
With the roots of the third seat, which cost 64 bytes a chunk, every component is compared. If
the third seat is dead, the component that each of the two holds with it stands on the word of
one seat.
"""

from collections.abc import Sequence
from hashlib import sha256
from itertools import combinations

from privacy.errors import NotYet, SeatsDisagree
from privacy.schemes.base import Integers
from privacy.signing import transcript

from .layout import COMPONENTS, WORD_BYTES, WORDS_PER_LEAF, SharesParameters, Words, flat, shared_by
from .seat_total import SeatTotal, decode_totals


class SharesRevealer:
    """Opens a sum from what two seats or all three say of it.

    Promises a trainer that where the roots of all three seats are there, one seat that lies
    cannot change what opens without being noticed; and with two, not in what both hold.
    """

    def __init__(self, parameters: SharesParameters, dimension: int) -> None:
        self._parameters = parameters
        self._geometry = parameters.geometry(dimension)

    def decode(self, chunk: int, payload: bytes) -> list[SeatTotal]:
        """Read the statements of seats about one chunk, and check words against their roots.

        Raises:
            MalformedMessage: not whole containers of this chunk.
            RootMismatch: a seat's words are not those of its roots.
        """
        leaves = self._parameters.leaves_in(self._geometry.values_in(chunk))
        totals = decode_totals(payload, chunk, leaves)
        for total in totals:
            total.require_roots()
        return totals

    def reveal(self, chunk: int, total: bytes, cohort: int) -> Integers:
        """Open one chunk of the sum of `cohort` updates, shape (values_in(chunk),).

        Args:
            total: the containers of two seats or three (`SeatTotal.encode`), joined.

        Raises:
            NotYet: fewer than two seats, or a component that none of them gives.
            SeatsDisagree: two seats say different things about one component.
            MalformedMessage, RootMismatch: as for `decode`.
            SumOffGrid: a value that so many sites cannot reach.
        """
        return self.open(chunk, self.decode(chunk, total), cohort)

    def open(self, chunk: int, totals: Sequence[SeatTotal], cohort: int) -> Integers:
        """Open one chunk from statements that `decode` has checked; as `reveal`."""
        self._parameters.require_cohort(cohort)
        require_agreement(totals)
        count = self._geometry.values_in(chunk)
        first, second, third = (_given(component, totals) for component in range(COMPONENTS))
        words = first + second
        words += third
        found = flat(words, self._parameters.words_in(count))
        return self._parameters.from_words(found, count, cohort)


def sum_root(roots: Sequence[bytes]) -> bytes:
    """Return the one root that stands for the roots of components 0, 1 and 2 of a sum.

    Args:
        roots: of each component, the tree over its chunk roots.
    """
    assert len(roots) == COMPONENTS  # a sum has three
    return sha256(transcript("veilsum/shares-sum/1", *roots)).digest()


def sum_length(parameters: SharesParameters, dimension: int) -> int:
    """Bytes that the three components of a sum have together, blinding words included."""
    geometry = parameters.geometry(dimension)
    last = geometry.chunks - 1
    leaves = last * parameters.leaves_in(geometry.values_per_chunk)
    leaves += parameters.leaves_in(geometry.values_in(last))
    return COMPONENTS * WORD_BYTES * WORDS_PER_LEAF * leaves


def require_agreement(totals: Sequence[SeatTotal]) -> None:
    """Refuse statements unless two seats or more make them, and all pairs say the same.

    Raises:
        NotYet: fewer than two seats; one alone could say anything.
        MalformedMessage: two statements of one seat.
        SeatsDisagree: names the pair and the component.
    """
    if len(totals) < 2:
        raise NotYet(f"{len(totals)} seat has shown its sum, two are needed")
    for one, other in combinations(totals, 2):
        component = shared_by(one.seat, other.seat)
        if one.root_of(component) != other.root_of(component):
            raise SeatsDisagree(
                f"seats {one.seat} and {other.seat} disagree on component {component} of chunk "
                f"{one.chunk}; one of them is wrong"
            )


def _given(component: int, totals: Sequence[SeatTotal]) -> Words:
    for total in totals:
        if component in total.blocks:
            return total.blocks[component]
    raise NotYet(f"no seat has given the words of component {component}")
