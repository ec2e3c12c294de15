"""What is asked about commits over a real channel: of the form and the number that is due."""

import pytest

from participant.wire.commits import Commits
from privacy import canonical
from privacy.errors import MalformedMessage, NotYet
from privacy.settlement.commitment import Slot
from privacy.settlement.payouts import Domain
from privacy.settlement.sum_tree import SumNode
from tests.participant import endpoint
from tests.participant.auditing.committed_round import commit
from veilsum.v1 import settlement_pb2, settlement_pb2_grpc

A, B, C, D = (letter * 32 for letter in (b"a", b"b", b"c", b"d"))
COMMIT = commit()


class Settling(settlement_pb2_grpc.SettlementServiceServicer):
    """Answers rightly in round 1, and in each other round in a way of its own."""

    async def GetCommit(self, request, context):  # noqa: N802
        if request.round == 2:
            await endpoint.refuse(context, NotYet("not committed"))
        body = b"{}" if request.round == 3 else canonical.encode(COMMIT)
        return settlement_pb2.GetCommitResponse(commit=body)

    async def GetReceipt(self, request, context):  # noqa: N802
        return settlement_pb2.GetReceiptResponse(
            slot_id=4,
            contribution=A[:31] if request.round == 2 else A,
            signature=b"s" * 65,
            programme=B[:5] if request.round == 3 else B,
            contract="0x" + "AB" * 20,
            chain_id=7,
        )

    async def GetSumPaths(self, request, context):  # noqa: N802
        own = settlement_pb2.OwnSlot(slot=1, slot_id=4, cohort_path=A + B)
        leaf = settlement_pb2.SumPath(digest=C, steps=A + B + C)
        if request.round != 2:
            yield settlement_pb2.GetSumPathsResponse(own=own)
        for _ in range({3: 1, 4: 3}.get(request.round, 2)):
            yield settlement_pb2.GetSumPathsResponse(leaf=leaf)
        if request.round == 5:
            yield settlement_pb2.GetSumPathsResponse(own=own)
        if request.round == 6:
            cut = settlement_pb2.SumPath(digest=C, steps=A[:31])
            yield settlement_pb2.GetSumPathsResponse(leaf=cut)
        while request.round == 7:
            yield settlement_pb2.GetSumPathsResponse(leaf=leaf)

    async def GetSumTree(self, request, context):  # noqa: N802
        named = (request.HasField("chunk"), request.HasField("leaf"))
        hashes = {
            (False, False): A + B,
            (True, False): A + B + C,
            (True, True): A + A + B + B + C + D,
        }[named]
        if request.round == 2:
            hashes = hashes[:-1]
        if request.round == 3:
            hashes = hashes[:-32]
        yield settlement_pb2.GetSumTreeResponse(hashes=hashes[:40])
        yield settlement_pb2.GetSumTreeResponse(hashes=hashes[40:])
        while request.round == 4:
            yield settlement_pb2.GetSumTreeResponse(hashes=hashes)


@pytest.fixture
async def calls():
    pair = (settlement_pb2_grpc.add_SettlementServiceServicer_to_server, Settling())
    async with endpoint.coordinator(pair) as coordinator:
        yield Commits(coordinator)


async def test_a_commit_is_read_whole(calls) -> None:
    assert await calls.commit(1) == COMMIT


async def test_what_is_no_commit_is_refused_and_what_is_not_there_yet_said(calls) -> None:
    with pytest.raises(NotYet):
        await calls.commit(2)
    with pytest.raises(MalformedMessage):
        await calls.commit(3)


async def test_a_receipt_names_its_chain_and_its_slot(calls) -> None:
    """Addresses are compared in one case."""
    promise = await calls.receipt(1)

    assert promise.domain == Domain(7, "0x" + "ab" * 20, B.hex())
    assert (promise.slot, promise.signature) == (Slot(4, A), b"s" * 65)


@pytest.mark.parametrize("number", [2, 3])
async def test_a_receipt_with_cut_roots_is_refused(calls, number: int) -> None:
    with pytest.raises(MalformedMessage, match="roots that are none"):
        await calls.receipt(number)


async def test_own_paths_are_the_slot_and_every_leaf(calls) -> None:
    paths = await calls.own_paths(1, 0, 2)

    assert (paths.slot, paths.slot_id, paths.cohort_path) == (1, 4, (A, B))
    assert paths.leaves == ((C, (A, B, C)),) * 2


@pytest.mark.parametrize("number", [2, 3, 4, 5, 6, 7])
async def test_paths_without_a_slot_or_of_another_number_are_refused(calls, number: int) -> None:
    """And one that sends for ever fills nobody's memory."""
    with pytest.raises(MalformedMessage):
        await calls.own_paths(number, 0, 2)


async def test_trees_come_in_parts_of_any_length(calls) -> None:
    """Of a sum tree over two slots three nodes: two leaves, and the sum."""
    assert await calls.chunk_roots(1, 2) == (A, B)
    assert await calls.tops(1, 0, 3) == (A, B, C)
    leaves = (SumNode(A, A), SumNode(B, B))
    assert await calls.levels(1, 0, 0, 2) == (leaves, (SumNode(C, D),))


@pytest.mark.parametrize("number", [2, 3, 4])
async def test_trees_of_another_size_are_refused(calls, number: int) -> None:
    """Cut, too short, or without an end."""
    with pytest.raises(MalformedMessage):
        await calls.chunk_roots(number, 2)
    with pytest.raises(MalformedMessage):
        await calls.levels(number, 0, 0, 2)
