"""Commits, receipts and hashes of sum trees as they travel: who is told what, over real calls."""

import asyncio
import threading
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace

import grpc
import pytest
from grpc_health.v1._async import HealthServicer

from coordinator.build import Built
from coordinator.server import _server
from coordinator.wire import codec
from coordinator.wire.credits import Transfers
from coordinator.wire.servicer import SettlementServicer
from coordinator.wire.threads import CALLS, SIGNING, Signing, bound_calls
from coordinator.wire.tls import server_credentials
from privacy import canonical
from privacy.settlement.commitment import Commit
from privacy.settlement.sum_tree import Served, unpack_levels
from tests import fakes
from tests.coordinator.served import channel_of
from tests.coordinator.settling.settled_round import DOMAIN, settled_round
from tests.fakes import AUDITOR, SITES
from tests.loopback import make_federation
from veilsum.v1 import settlement_pb2

LEAVES, CHUNKS = 32, 2


@pytest.fixture(scope="module")
def certified():
    return make_federation()


@pytest.fixture(scope="module")
def done():
    """Three sites of four have contributed."""
    return settled_round(SITES[:3])


@asynccontextmanager
async def served(settled, certified, shown=True):
    """Serve what is settled, as the process does."""
    made = Built(
        fakes.make_settings(),
        settled.federation.service,
        settled.settlement,
        -1,
        shown=settled.shown if shown else None,
    )
    server = _server(made, HealthServicer())
    pair = (certified.server.certificate_pem, certified.server.key_pem)
    credentials = server_credentials(*pair, certified.authority.certificate_pem)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def call(settled, certified, caller, method, shown=True, **fields):
    """Return the answers of one call by `caller`; or the refusal's status and code."""
    request = getattr(settlement_pb2, f"{method}Request")(**fields)
    read = getattr(settlement_pb2, f"{method}Response").FromString
    is_stream = method in ("GetSumPaths", "GetSumTree")
    async with (
        served(settled, certified, shown) as address,
        channel_of(address, certified, f"spiffe://oncology/participant/{caller}") as channel,
    ):
        kind = channel.unary_stream if is_stream else channel.unary_unary
        started = kind(f"/veilsum.v1.SettlementService/{method}")(
            request.SerializeToString(), timeout=20
        )
        try:
            if is_stream:
                return [read(part) async for part in started]
            return [read(await started)]
        except grpc.aio.AioRpcError as error:
            return error.code(), dict(error.trailing_metadata() or ()).get("veilsum-error")


@pytest.mark.parametrize("caller", [SITES[0], SITES[3], AUDITOR])
async def test_a_commit_is_told_to_whoever_may_check_it(certified, done, caller):
    [answer] = await call(done, certified, caller, "GetCommit", round=1)

    assert canonical.decode(answer.commit, Commit) == done.commit()
    assert (answer.contract, answer.chain_id) == (DOMAIN.contract, DOMAIN.chain_id)


async def test_a_site_is_told_its_own_receipt_by_its_certificate(certified, done):
    """There is no field by which it could ask for another's."""
    [answer] = await call(done, certified, SITES[1], "GetReceipt", round=1)

    slot = done.slots().slots[1]
    assert (answer.slot_id, answer.contribution) == (slot.slot_id, slot.contribution)
    assert len(answer.signature) == 65
    assert answer.programme.hex() == DOMAIN.programme


async def test_a_signer_that_hangs_holds_up_receipts_and_nothing_else(certified):
    """More sites ask than there are threads for calls; the next call is answered all the same."""
    bound_calls()
    settled, answers = settled_round(), threading.Event()
    signs = settled.shown.sign
    object.__setattr__(settled.shown, "sign", lambda said: answers.wait(20) and signs(said))
    async with served(settled, certified) as address, AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(
                channel_of(address, certified, f"spiffe://oncology/participant/{name}")
            )
            for name in SITES
        ]
        waiting = [receipt(channel) for channel in channels for _ in range(CALLS // 2)]
        await asyncio.sleep(0.3)
        begun = settled.signed[:]
        request = settlement_pb2.GetCommitRequest(round=1).SerializeToString()
        method = "/veilsum.v1.SettlementService/GetCommit"

        await asyncio.wait_for(channels[0].unary_unary(method)(request), 5)

        assert (begun, any(each.done() for each in waiting)) == ([], False)
        answers.set()
        found = await asyncio.gather(*waiting)
    assert len(set(found)) == len(SITES)


async def test_a_receipt_that_is_signed_waits_behind_no_signer(certified):
    """It is the proof against a coordinator that would rather not show it again."""
    settled, answers = settled_round(), threading.Event()
    kept = settled.shown.receipt(SITES[0], 1)
    signs = settled.shown.sign
    object.__setattr__(settled.shown, "sign", lambda said: answers.wait(20) and signs(said))
    async with served(settled, certified) as address, AsyncExitStack() as stack:
        mine, other = [
            await stack.enter_async_context(
                channel_of(address, certified, f"spiffe://oncology/participant/{name}")
            )
            for name in SITES[:2]
        ]
        waiting = [receipt(other) for _ in range(2 * SIGNING)]
        await asyncio.sleep(0.2)

        found = await asyncio.wait_for(receipt(mine), 5)

        assert not any(each.done() for each in waiting)
        answers.set()
        await asyncio.gather(*waiting)
    told = settlement_pb2.GetReceiptResponse.FromString(found)
    assert told.signature == kept.signature


def receipt(channel):
    """Ask for the caller's own."""
    request = settlement_pb2.GetReceiptRequest(round=1).SerializeToString()
    call = channel.unary_unary("/veilsum.v1.SettlementService/GetReceipt")(request, timeout=30)
    return asyncio.ensure_future(_answer(call))


async def _answer(call):
    return await call


async def test_a_site_is_told_its_payout_of_the_round_that_it_asks_for(certified, done):
    """Who asks for none is told the newest, as before there was anything to ask for."""
    (newest,) = await call(done, certified, SITES[0], "GetPayout")
    (asked,) = await call(done, certified, SITES[0], "GetPayout", round=1)
    status, code = await call(done, certified, SITES[0], "GetPayout", round=1 << 63)

    assert asked == newest
    assert canonical.decode(asked.commit, Commit) == done.commit()
    assert (status, code) == (grpc.StatusCode.NOT_FOUND, "not_yet")


async def test_a_site_is_told_how_its_own_leaves_lead_to_the_root(certified, done):
    own, *leaves = await call(done, certified, SITES[2], "GetSumPaths", round=1, chunk=1)

    expected_own, expected = done.shown.paths(SITES[2], 1, 1)
    assert (own.own.slot, own.own.slot_id) == (expected_own.index, expected_own.slot_id)
    assert own.own.cohort_path == b"".join(expected_own.path)
    assert [each.leaf.digest for each in leaves] == [each.digest for each in expected]
    assert [each.leaf.steps for each in leaves] == [b"".join(each.steps) for each in expected]


async def test_an_auditor_is_told_all_that_leads_to_the_root(certified, done):
    async def hashes(**place):
        parts = await call(done, certified, AUDITOR, "GetSumTree", round=1, **place)
        return b"".join(part.hashes for part in parts)

    roots, tops = split(await hashes()), split(await hashes(chunk=1))
    levels = unpack_levels(await hashes(chunk=1, leaf=0), done.commit().slots)

    assert (len(roots), len(tops)) == (CHUNKS, LEAVES)
    Served(1, 0, roots, tops, levels).check(bytes.fromhex(done.commit().sum_trees))


def split(packed):
    return tuple(packed[at : at + 32] for at in range(0, len(packed), 32))


DENIED = (grpc.StatusCode.PERMISSION_DENIED, "wrong_identity")


@pytest.mark.parametrize(
    ("caller", "method"),
    [
        (AUDITOR, "GetReceipt"),
        (AUDITOR, "GetSumPaths"),
        (SITES[0], "GetSumTree"),
        ("hospital-z", "GetCommit"),
    ],
)
async def test_who_has_another_role_is_told_nothing(certified, done, caller, method):
    """Whole trees are for the auditor: a site's own leaves are all that it needs."""
    assert await call(done, certified, caller, method, round=1) == DENIED


@pytest.mark.parametrize("method", ["GetReceipt", "GetSumPaths"])
async def test_a_site_outside_the_cohort_is_told_so(certified, done, method):
    answer = await call(done, certified, SITES[3], method, round=1)

    assert answer == (grpc.StatusCode.FAILED_PRECONDITION, "wrong_context")


@pytest.mark.parametrize(
    ("caller", "method"),
    [(SITES[0], "GetCommit"), (SITES[0], "GetSumPaths"), (AUDITOR, "GetSumTree")],
)
async def test_before_there_is_a_commit_it_is_waited_for(certified, done, caller, method):
    answer = await call(done, certified, caller, method, round=2)

    assert answer == (grpc.StatusCode.NOT_FOUND, "not_yet")


@pytest.mark.parametrize(("caller", "method"), [(SITES[0], "GetReceipt"), (AUDITOR, "GetSumTree")])
async def test_where_nothing_is_settled_nothing_is_told(certified, done, caller, method):
    answer = await call(done, certified, caller, method, shown=False, round=1)

    assert answer == (grpc.StatusCode.NOT_FOUND, "not_yet")


def test_hashes_of_a_large_cohort_come_in_messages_that_a_channel_lets_through():
    """10,000 slots are 1.3 MB of nodes."""
    packed = bytes(64 * 20_000 + 64)

    parts = [each.hashes for each in codec.hashes_to_wire(packed)]

    assert b"".join(parts) == packed
    assert [len(part) % 32 for part in parts] == [0] * len(parts)
    assert max(map(len, parts)) <= codec.MOST_AT_ONCE


async def test_trees_are_built_one_at_a_time_whoever_asks(done):
    """A hundred sites ask at once after a commit; threads that add up are all that chunks have."""
    most, now = [0], [0]
    transfers = Transfers(8)
    run = transfers.run

    async def counting(work, *arguments):
        now[0] += 1
        most[0] = max(most[0], now[0])
        try:
            return await run(work, *arguments)
        finally:
            now[0] -= 1

    transfers.run = counting
    servicer = SettlementServicer(None, done.settlement, done.shown, transfers, Signing())

    async def ask(name):
        request = settlement_pb2.GetSumPathsRequest(round=1, chunk=0)
        uri = f"spiffe://oncology/participant/{name}".encode()
        context = SimpleNamespace(auth_context=lambda: {"peer_uri": [uri]})
        return [part async for part in servicer.GetSumPaths(request, context)]

    answers = await asyncio.gather(*(ask(name) for name in SITES[:3] * 3))

    assert [len(parts) for parts in answers] == [LEAVES + 1] * 9
    assert most == [1]
    transfers.close()
