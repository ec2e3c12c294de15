"""The coordinator, as those talk to it who check what it has committed to a chain.

Bytes become values here; whether they lead to a commit is checked by whoever uses them.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

from privacy import canonical
from privacy.errors import MalformedMessage
from privacy.settlement.commitment import Commit, Slot
from privacy.settlement.payouts import Domain
from privacy.settlement.sum_proof import Hashes
from privacy.settlement.sum_tree import Levels, unpack_levels, width
from veilsum.v1 import settlement_pb2, settlement_pb2_grpc

from .coordinator import Coordinator

_DIGEST_BYTES: Final = 32
_MOST_STEPS: Final = 128
"""More than any path has: two for each level over 10,000 slots, and one for each over leaves."""


@dataclass(frozen=True, slots=True)
class Promise:
    """A receipt as it comes: what the coordinator's key has signed about the caller's slot.

    Attributes:
        signature: EIP-712, 65 bytes, unchecked.
    """

    domain: Domain
    slot: Slot
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class OwnPaths:
    """Of one chunk, where the caller's own leaves are said to be, unchecked.

    Attributes:
        slot: index in the cohort, from 0.
        cohort_path: siblings from that slot to `cohort`.
        leaves: of each leaf in order its digest in the sum tree, and its steps to `sum_trees`.
    """

    slot: int
    slot_id: int
    cohort_path: Hashes
    leaves: tuple[tuple[bytes, Hashes], ...]


@dataclass
class Commits:
    """What a coordinator answers about commits, over the channel of `coordinator`."""

    coordinator: Coordinator

    def __post_init__(self) -> None:
        self._calls = settlement_pb2_grpc.SettlementServiceStub(self.coordinator.channel)
        self._long = settlement_pb2_grpc.SettlementServiceStub(self.coordinator.bulk)

    async def commit(self, number: int) -> Commit:
        """Return the commit of a round.

        Raises:
            NotYet: it is not on the chain.
            MalformedMessage: what comes is none.
        """
        request = settlement_pb2.GetCommitRequest(round=number)
        answer = await self.coordinator.call(self._calls.GetCommit(request))
        return canonical.decode(answer.commit, Commit)

    async def receipt(self, number: int) -> Promise:
        """Return the promise that the caller's contribution is in the cohort of a round.

        Raises:
            NotYet: the cohort is not frozen.
            WrongContext: the caller is not in it.
            MalformedMessage: what comes has another form.
        """
        request = settlement_pb2.GetReceiptRequest(round=number)
        answer = await self.coordinator.call(self._calls.GetReceipt(request))
        if len(answer.contribution) != _DIGEST_BYTES or len(answer.programme) != _DIGEST_BYTES:
            raise MalformedMessage(f"round {number}: a receipt with roots that are none")
        domain = Domain(answer.chain_id, answer.contract.lower(), answer.programme.hex())
        return Promise(domain, Slot(answer.slot_id, answer.contribution), answer.signature)

    async def own_paths(self, number: int, chunk: int, leaves: int) -> OwnPaths:
        """Return where the caller's own leaves of one chunk are under a commit.

        Args:
            leaves: how many the chunk has.

        Raises:
            NotYet, IllegalEvent: the round is not committed, or its trees are shown no more.
            MalformedMessage: it is not that many leaves.
        """
        request = settlement_pb2.GetSumPathsRequest(round=number, chunk=chunk)
        call = self._long.GetSumPaths(request)
        try:
            parts = self.coordinator.stream(call)
            first = await anext(parts, None)
            if first is None or first.WhichOneof("part") != "own":
                raise MalformedMessage(f"round {number}: paths without their slot")
            own = first.own
            found = await _paths(parts, leaves)
        finally:
            call.cancel()
        return OwnPaths(own.slot, own.slot_id, _hashes(own.cohort_path, _MOST_STEPS), found)

    async def chunk_roots(self, number: int, chunks: int) -> Hashes:
        """Return the roots of a round's chunks under `sum_trees`, of which there are `chunks`.

        Raises:
            NotYet, IllegalEvent: the round is not committed, or its trees are shown no more.
            MalformedMessage: it is not that many.
        """
        return await self._tree(settlement_pb2.GetSumTreeRequest(round=number), chunks)

    async def tops(self, number: int, chunk: int, leaves: int) -> Hashes:
        """Return the roots of the sum trees of one chunk, of which there are `leaves`.

        Raises:
            NotYet, IllegalEvent, MalformedMessage: as for `chunk_roots`.
        """
        return await self._tree(settlement_pb2.GetSumTreeRequest(round=number, chunk=chunk), leaves)

    async def levels(self, number: int, chunk: int, leaf: int, slots: int) -> Levels:
        """Return the sum tree at one leaf, over so many slots.

        Raises:
            NotYet, IllegalEvent, MalformedMessage: as for `chunk_roots`.
        """
        nodes = sum(width(slots, height) for height in range((slots - 1).bit_length() + 1))
        request = settlement_pb2.GetSumTreeRequest(round=number, chunk=chunk, leaf=leaf)
        return unpack_levels(b"".join(await self._tree(request, 2 * nodes)), slots)

    async def _tree(self, request: settlement_pb2.GetSumTreeRequest, count: int) -> Hashes:
        call, found = self._long.GetSumTree(request), bytearray()
        try:
            async for part in self.coordinator.stream(call):
                found += part.hashes
                if len(found) > count * _DIGEST_BYTES:
                    break
        finally:
            call.cancel()
        hashes = _hashes(bytes(found), count)
        if len(hashes) != count:
            raise MalformedMessage(
                f"round {request.round}: {len(hashes)} hashes of a tree where {count} were due"
            )
        return hashes


async def _paths(parts: AsyncIterator[Any], leaves: int) -> tuple[tuple[bytes, Hashes], ...]:
    found: list[tuple[bytes, Hashes]] = []
    async for part in parts:
        if part.WhichOneof("part") != "leaf" or len(found) == leaves:
            raise MalformedMessage(f"something beside the paths of {leaves} leaves")
        (digest,) = _hashes(part.leaf.digest, 1) or (b"",)
        found.append((digest, _hashes(part.leaf.steps, _MOST_STEPS)))
    if len(found) != leaves:
        raise MalformedMessage(f"the paths of {len(found)} leaves where {leaves} were due")
    return tuple(found)


def _hashes(body: bytes, most: int) -> Hashes:
    if len(body) % _DIGEST_BYTES or len(body) > most * _DIGEST_BYTES:
        raise MalformedMessage(f"{len(body)} bytes where at most {most} hashes were due")
    return tuple(body[at : at + _DIGEST_BYTES] for at in range(0, len(body), _DIGEST_BYTES))
