"""What members are shown of commits: the commit, their own receipts and slots, and hashes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from coordinator.ports import Store
from coordinator.rounds.state import Phase, Round
from privacy.errors import (
    ChainUnavailable,
    ConfigError,
    ConflictingContribution,
    InvalidSignature,
    MalformedMessage,
    NotYet,
    WrongContext,
)
from privacy.merkle import inclusion_path, inclusion_paths
from privacy.plan import SHARES
from privacy.settlement.commitment import Commit, Slot, typed_receipt
from privacy.settlement.payouts import Domain
from privacy.settlement.sum_proof import Hashes
from privacy.settlement.sum_tree import pack_levels
from privacy.settlement.typed import SignTyped, TypedData

from .results import Results
from .settlement import Settlement
from .sums import Added

log = structlog.get_logger()

_RECEIPTS = "settlement-receipt"


@dataclass(frozen=True, slots=True)
class Receipt:
    """The promise that a contribution is in the cohort of a round, signed by the chain's key."""

    slot: Slot
    signature: bytes


@dataclass(frozen=True, slots=True)
class OwnSlot:
    """Where a contribution is in the cohort: its index there, and the way to the root."""

    index: int
    slot_id: int
    path: Hashes


@dataclass(frozen=True, slots=True)
class SumPath:
    """A leaf of a sum tree, and its steps to the committed root."""

    digest: bytes
    steps: Hashes


@dataclass(frozen=True)
class Shown:
    """Shows each member what is its own of a commit, and an auditor the hashes of all.

    Attributes:
        sign: signs with the programme's key, which may be far away, and slow.
    """

    domain: Domain
    round_of: Callable[[int], Round]
    store: Store
    results: Results
    settlement: Settlement
    sign: SignTyped = field(repr=False)

    def commit(self, number: int) -> Commit:
        """Return the commit of a round.

        Raises:
            NotYet: it is not on the chain yet.
        """
        return self.settlement.committed(number)

    def receipt(self, caller: str, number: int) -> Receipt:
        """Return the promise that the caller's contribution is in the cohort.

        It is made once, and stored before it is handed out.

        Raises:
            NotYet: the cohort is not frozen yet.
            WrongContext: the caller is not in it, or the round was aborted.
            ChainUnavailable: the key cannot sign now; whoever asks again finds out whether it can.
        """
        if (stored := self.signed_receipt(caller, number)) is not None:
            return stored
        slot = self._slot(caller, number)
        made = self._signed(number, typed_receipt(self.domain, number, slot))
        signature = self._stored(self._name(caller, number), made)
        log.info("receipt_issued", round=number, participant=caller)
        return Receipt(slot, signature)

    def signed_receipt(self, caller: str, number: int) -> Receipt | None:
        """Return what `receipt` does if it is stored, without a word to the signer.

        Raises:
            NotYet, WrongContext: as for `receipt`.
        """
        slot = self._slot(caller, number)
        try:
            return Receipt(slot, self.store.document(_RECEIPTS, self._name(caller, number)))
        except NotYet:
            return None

    def paths(self, caller: str, number: int, chunk: int) -> tuple[OwnSlot, list[SumPath]]:
        """Return the caller's slot, and of each leaf of a chunk how it leads to `sum_trees`.

        Raises:
            NotYet: the round's commit is not on the chain yet.
            WrongContext: the caller is not in the cohort, there are no sum trees, or what they
                are made from is gone.
            MalformedMessage: there is no such chunk.
            StoreUnavailable: the store does not answer.
        """
        commit, index = self.commit(number), self._place(caller, number)
        slots, added = self.results.slots(self.round_of(number)), self._added(number)
        over = self._over(added, commit, chunk)
        leaves = [self._path(added, chunk, leaf, index, over[leaf]) for leaf in range(len(over))]
        return OwnSlot(index, slots.slots[index].slot_id, slots.path(index)), leaves

    def tree(self, number: int, chunk: int | None, leaf: int | None) -> bytes:
        """Return hashes of a round's sum trees: of all chunks, of one, or the tree at a leaf.

        Raises:
            NotYet, WrongContext, MalformedMessage, StoreUnavailable: as for `paths`.
        """
        commit, added, trees = self.commit(number), self._added(number), self.results.trees
        if chunk is None:
            if leaf is not None:
                raise MalformedMessage("a leaf is of a chunk: name it, too")
            return b"".join(trees.chunk_roots(added, bytes.fromhex(commit.sum_trees)))
        if leaf is None:
            return b"".join(trees.tops(added, chunk))
        return pack_levels(trees.trees(added, chunk, leaf).levels(leaf))

    def _path(self, added: Added, chunk: int, leaf: int, slot: int, over: Hashes) -> SumPath:
        trees = self.results.trees.trees(added, chunk, leaf)
        return SumPath(trees.node(leaf, 0, slot).digest, (*trees.upwards(leaf, slot), *over))

    def _over(self, added: Added, commit: Commit, chunk: int) -> list[Hashes]:
        """Return the steps from the top of each leaf's tree to the committed root."""
        added.leaves_in(chunk)  # there is such a chunk
        trees = self.results.trees
        trees.trees(added, chunk, 0)  # which makes the tops as well
        inside = inclusion_paths(trees.tops(added, chunk))
        roots = trees.chunk_roots(added, bytes.fromhex(commit.sum_trees))
        above = inclusion_path(roots, chunk)
        return [(*path, *above) for path in inside]

    def _added(self, number: int) -> Added:
        added = self.results.added(self.round_of(number))
        if added.plan.arithmetic.scheme == SHARES:
            raise WrongContext(
                f"round {number}: under {SHARES} there are no sum trees, for nobody may be shown "
                "words"
            )
        if not self.settlement.holds(number):
            raise WrongContext(
                f"round {number} can be disputed no more, and what it was made from is gone"
            )
        return added

    def _name(self, caller: str, number: int) -> str:
        return f"{number:06d}-{self.domain.programme[:16]}-{caller}"

    def _slot(self, caller: str, number: int) -> Slot:
        return self._slots(caller, number)[self._place(caller, number)]

    def _slots(self, caller: str, number: int) -> Sequence[Slot]:
        current = self.round_of(number)
        if current.phase is Phase.ABORTED:
            raise WrongContext(f"round {number} was aborted: {caller} earned nothing in it")
        return self.results.slots(current).slots

    def _place(self, caller: str, number: int) -> int:
        members = self.results.added(self.round_of(number)).participants
        if caller not in members:
            raise WrongContext(f"{caller} is not in the cohort of round {number}")
        return members.index(caller)

    def _signed(self, number: int, said: TypedData) -> bytes:
        try:
            return self.sign(said)
        except (ChainUnavailable, ConfigError, InvalidSignature) as error:
            # Where the signer is, and what it did, is for the operator's eyes alone.
            log.error("receipt_not_signed", round=number, code=error.code, reason=str(error))
            raise ChainUnavailable(
                f"round {number}: this coordinator's key cannot sign a receipt now; its operator "
                "finds the reason in its log. Ask again"
            ) from None

    def _stored(self, name: str, signature: bytes) -> bytes:
        """Return the signature that counts: the first that was stored."""
        try:
            self.store.put_document(_RECEIPTS, name, signature)
        except ConflictingContribution:
            # The same caller asked twice at once, of a signer that never signs the same twice.
            return self.store.document(_RECEIPTS, name)
        return signature
