"""A cohort's contributions, added again and compared with what was signed. Pure.

Holds one contribution's chunk at a time, the running sum of that chunk, a digest for each chunk
of the sum, and for each site the few digests of a tree in the making.
"""

import numpy as np

from privacy.errors import MalformedMessage
from privacy.limbs import Words
from privacy.merkle import GrowingTree, piece_root
from privacy.plan import Plan
from privacy.records import Cohort, Fault
from privacy.schemes.ckks_sum import Addition, CkksCombiner, sum_root


class Audit:
    """One cohort's contributions as they arrive: chunk by chunk, in the order of its entries.

    Promises whoever signs on the strength of it that `root` is the root of the sum of exactly
    the bytes whose roots the sites have signed, if `spoiled` names none of them.
    """

    def __init__(self, plan: Plan, cohort: Cohort) -> None:
        self._round = plan.terms.round
        self._entries = cohort.entries
        self._parameters = plan.parameters()
        self._combiner = CkksCombiner(self._parameters, plan.arithmetic.dimension)
        self._trees = [GrowingTree() for _ in cohort.entries]
        self._sum_roots: list[bytes] = []
        self.chunks = plan.arithmetic.chunks
        self.length = 0
        self.drop_incomplete()

    @property
    def chunk(self) -> int:
        """The first chunk that is not added yet: where a stream that broke goes on."""
        return len(self._sum_roots)

    @property
    def complete(self) -> bool:
        """True once every chunk of every contribution is added."""
        return self.chunk == self.chunks

    def drop_incomplete(self) -> None:
        """Forget the part of a chunk that has arrived: its stream broke, and it comes again."""
        self._addition: Addition | None = None
        self._roots: list[bytes] = []
        self._pending = 0

    def take(self, chunk: int, participant: str, payload: bytes) -> Fault | None:
        """Add one contribution's chunk; return what is wrong with it, if it is not to be read.

        Raises:
            MalformedMessage: it is not the next one; the coordinator mixes them up.
        """
        if self.complete:
            raise MalformedMessage(f"round {self._round}: more contributions than the cohort has")
        due = (self.chunk, self._entries[len(self._roots)].participant)
        if (chunk, participant) != due:
            raise MalformedMessage(
                f"round {self._round}: chunk {chunk} of {participant} came where chunk {due[0]} "
                f"of {due[1]} was due"
            )
        if self._addition is None:
            self._addition = self._combiner.begin(chunk)
        try:
            self._roots.append(self._addition.check_and_add(payload))
        except MalformedMessage:
            return Fault(participant=participant, chunk=chunk)
        self._pending += len(payload)
        if len(self._roots) == len(self._entries):
            self._finish_chunk(self._addition)
        return None

    def spoiled(self) -> Fault | None:
        """Return whose contribution is not the one it signed, if one is not."""
        for entry, tree in zip(self._entries, self._trees, strict=True):
            if (tree.root().hex(),) != entry.roots:
                # One root stands for all chunks: it cannot say which of several is wrong.
                return Fault(participant=entry.participant, chunk=0 if self.chunks == 1 else None)
        return None

    def root(self) -> str:
        """Return the root of the sum, in hex, once it is complete."""
        return piece_root(self._sum_roots).hex()

    def differs(self, chunk: int, payload: bytes) -> bool:
        """Return whether a chunk is not the one that the contributions add up to."""
        try:
            words = self._combiner.decode(chunk, payload)
        except MalformedMessage:
            return True
        return sum_root(chunk, words) != self._sum_roots[chunk]

    def again(self, chunk: int) -> Addition:
        """Return an addition of one chunk alone, for contributions that come a second time."""
        return self._combiner.begin(chunk)

    def first_difference(self, chunk: int, payload: bytes, addition: Addition) -> Fault:
        """Return the first word in which a chunk is not what the contributions add up to.

        Raises:
            MalformedMessage: what came the second time is not what came the first time.
        """
        expected = addition.total()
        if sum_root(chunk, expected) != self._sum_roots[chunk]:
            raise MalformedMessage(f"round {self._round}: chunk {chunk} came again as another")
        try:
            found = self._combiner.decode(chunk, payload)
        except MalformedMessage:
            return Fault(participant="", chunk=chunk)
        return _first_word(chunk, expected, found)

    def _finish_chunk(self, addition: Addition) -> None:
        for tree, root in zip(self._trees, self._roots, strict=True):
            tree.add(root)
        self.length += self._pending
        self._sum_roots.append(sum_root(self.chunk, addition.total()))
        self.drop_incomplete()


def _first_word(chunk: int, expected: Words, found: Words) -> Fault:
    where = np.argwhere(expected != found)[0]
    ciphertext, polynomial, modulus, word = (int(at) for at in where)
    return Fault(
        participant="",
        chunk=chunk,
        ciphertext=ciphertext,
        polynomial=polynomial,
        modulus=modulus,
        word=word,
        expected=str(expected[tuple(where)]),
        found=str(found[tuple(where)]),
    )
