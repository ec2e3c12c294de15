"""Endpoints that are down, slow, behind, of another chain, or lie: what counts stays true."""

import time
from contextlib import suppress

import pytest

from privacy.errors import (
    ChainUnavailable,
    EndpointsDiffer,
    FeeAboveCeiling,
    VeilsumError,
    WrongContext,
)
from tests.chain.door import KEY, Door, transfer
from tests.chain.fake_node import CHAIN_ID, TOKEN, FakeBlock
from veilsum.chain.access import ChainAccess, SignerAccess
from veilsum.chain.compiled import load
from veilsum.chain.endpoint import Endpoint, connect, reach
from veilsum.chain.finality import HEADS_APART
from veilsum.chain.lines import pause_seconds
from veilsum.chain.logs import block_at, logged


def balance(endpoint: Endpoint):
    return endpoint.at(load("DemoToken"), TOKEN).functions.totalSupply()


def test_an_endpoint_of_another_chain_is_refused(door: Door) -> None:
    """Signatures for one chain must not be made on the word of another."""
    with pytest.raises(WrongContext, match=f"chain {CHAIN_ID}, not 1"):
        door.endpoint(chain_id=1)


def test_an_endpoint_that_changes_its_chain_is_noticed_before_anything_is_signed(
    door: Door,
) -> None:
    """Behind one URL there may be another node by now."""
    endpoint = door.endpoint(chain_id=CHAIN_ID)
    call = transfer(endpoint, 1)
    door.node.chain_id = 5

    with pytest.raises(WrongContext, match="chain 5, not"):
        endpoint.send(KEY, door.journal, "pay", call)

    assert door.node.seen == []


def test_an_endpoint_whose_first_block_changes_is_noticed(door: Door) -> None:
    """The number of a chain is easily copied."""
    endpoint = door.endpoint()
    door.node.blocks[0] = FakeBlock("0x" + "33" * 32)

    with pytest.raises(WrongContext, match="its operator must look"):
        endpoint.tend(KEY, door.journal)


def test_nothing_there_is_unavailable_after_some_attempts(door: Door) -> None:
    """With pauses that grow and are not exactly those of everybody else."""
    with pytest.raises(ChainUnavailable, match="does not answer"):
        connect("http://127.0.0.1:1", sleep=door.time.sleep, clock=door.time.now)

    assert 0.6 <= door.time.seconds <= 2.2
    assert len({pause_seconds(2) for _ in range(20)}) > 1
    assert all(0.4 <= pause_seconds(2) <= 1.2 for _ in range(20))


def test_an_endpoint_that_comes_back_between_attempts_is_enough(door: Door) -> None:
    """A node that restarts is away for a second."""
    endpoint = door.endpoint()
    door.node.down = True
    door.time.then = [lambda: setattr(door.node, "down", False)]

    assert endpoint.read(balance(endpoint)) == 5


def test_an_endpoint_that_is_slow_is_unavailable_in_the_time_given(door: Door) -> None:
    """However long it takes; and it is not asked again when that time is over."""
    door.node.seconds = 1.0
    began = time.monotonic()

    with pytest.raises(ChainUnavailable, match="does not answer"):
        connect(door.urls[0], answer_seconds=0.2)

    assert time.monotonic() - began < 1.0


def test_an_endpoint_that_dribbles_is_unavailable_in_the_time_given(door: Door) -> None:
    """Each byte comes in time, and all of them would take for ever."""
    door.node.drip_seconds = 0.02
    began = time.monotonic()

    with pytest.raises(ChainUnavailable, match="does not answer"):
        connect(door.urls[0], answer_seconds=0.2)

    assert time.monotonic() - began < 0.6


def test_an_answer_longer_than_any_is_not_kept(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint does not say how much memory this process has."""
    monkeypatch.setattr("veilsum.chain.lines.LARGEST_ANSWER", 1000)
    door.node.garbage = b" " * 1001

    with pytest.raises(ChainUnavailable, match="does not answer"):
        door.endpoint()


def test_what_settings_say_of_a_chain_is_held_to(door: Door) -> None:
    """The ceiling in gwei, and how deep a block is final."""
    signer = SignerAccess("https://signer.example.org", KEY.address)
    access = ChainAccess(
        rpc=door.urls[0],
        chain_id=CHAIN_ID,
        signer=signer,
        fee_ceiling_gwei="1.5",
        finality_blocks=3,
    )
    door.node.mine(5)
    endpoint = reach(access)
    call = transfer(endpoint, 1)

    assert endpoint.final_block().number == 2
    with pytest.raises(FeeAboveCeiling, match=r"at most 1\.500 is paid"):
        endpoint.send(KEY, door.journal, "pay", call)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"3", b'{"jsonrpc": "2.0", "id": 1}', b'{"result":' + b"[" * 100_000],
    ids=["empty", "html", "list", "number", "nothing", "deep"],
)
def test_an_endpoint_that_answers_nonsense_is_unavailable(door: Door, body: bytes) -> None:
    """A proxy's page, or nothing."""
    door.node.garbage = body

    with pytest.raises(ChainUnavailable):
        door.endpoint()


ASKED_OF_IT = ("blockNumber", "getBlockByNumber", "getCode", "getLogs", "call")


@pytest.mark.parametrize("wrong", [None, "hello", {}, 5, [], [5], True], ids=str)
def test_an_answer_of_another_form_is_no_error_of_ours(door: Door, wrong: object) -> None:
    """Whoever runs an endpoint must not end every process that asks it."""
    endpoint = door.endpoint(chain_id=CHAIN_ID)
    contract = endpoint.at(load("Settlement"), TOKEN)
    state = contract.functions.headOf(bytes(32))
    for name in ASKED_OF_IT:
        setattr(door.node, f"eth_{name}", lambda *_: wrong)
    door.node.eth_getTransactionReceipt = lambda *_: wrong

    for ask in (
        endpoint.final_block,
        lambda: endpoint.read(state),
        lambda: endpoint.read_final(state),
        lambda: endpoint.deployed("Settlement", TOKEN),
        lambda: block_at(endpoint, 5),
        lambda: logged(endpoint, contract, "Demanded", {"programme": bytes(32)}, 0),
        lambda: endpoint.tend(KEY, door.journal),
        lambda: endpoint.send(KEY, door.journal, "pay", transfer(endpoint, 1)),
    ):
        with suppress(VeilsumError):
            ask()


def test_events_of_another_form_are_not_read(door: Door) -> None:
    endpoint = door.endpoint()
    contract = endpoint.at(load("Settlement"), TOKEN)
    door.node.eth_getLogs = lambda *_: [{"topics": 3}]

    with pytest.raises(ChainUnavailable, match="no endpoint tells"):
        logged(endpoint, contract, "Demanded", {"programme": bytes(32)}, 0)


def test_an_answer_that_cannot_be_read_says_who_gave_it(door: Door) -> None:
    endpoint = door.endpoint()
    door.node.eth_blockNumber = lambda *_: "hello"

    with pytest.raises(ChainUnavailable, match="the endpoint's answer cannot be read"):
        endpoint.final_block()


def test_a_chain_whose_blocks_carry_signatures_is_read(door: Door) -> None:
    """Clique, QBFT and IBFT have more than 32 bytes of `extraData`: chains of a consortium."""
    mined = door.node.eth_getBlockByNumber

    def signed(*which: object) -> dict | None:
        block = mined(*which)
        return block and {**block, "extraData": "0x" + "ab" * 97}

    door.node.eth_getBlockByNumber = signed
    endpoint = door.endpoint(finality_blocks=0)

    assert endpoint.final_block().number == 0
    assert block_at(endpoint, 0) == 0
    assert door.send(finality_blocks=0).block.number == 1


# -- two of them -----------------------------------------------------------------------


def test_two_endpoints_of_different_chains_are_refused_by_name(pair: Door) -> None:
    """Whichever of them is right: nothing is sent to either."""
    pair.nodes[1].chain_id = 5

    with pytest.raises(EndpointsDiffer, match=r"is of chain 31337 .* of chain 5 "):
        pair.endpoint()


def test_two_endpoints_with_different_first_blocks_are_refused(pair: Door) -> None:
    """A private copy of a chain has its number."""
    pair.nodes[1].blocks[0] = FakeBlock("0x" + "44" * 32)

    with pytest.raises(EndpointsDiffer, match=r"first block 0x1111.*first block 0x4444"):
        pair.endpoint()


def test_two_endpoints_that_agree_tell_what_is_final(pair: Door) -> None:
    """The older of what both hold to be final counts."""
    for node, blocks in zip(pair.nodes, (5, 3), strict=True):
        node.mine(blocks)
    endpoint = pair.endpoint()

    assert endpoint.final_block().number == 3
    assert endpoint.read_final(balance(endpoint)) == 5


def test_two_endpoints_that_answer_differently_about_what_is_final_are_refused(
    pair: Door,
) -> None:
    """Nothing is counted as paid on the word of one of them."""
    pair.nodes[1].answer = 6
    endpoint = pair.endpoint()

    with pytest.raises(EndpointsDiffer, match="totalSupply answers at block 0: 5 and 6"):
        endpoint.read_final(balance(endpoint))


def test_two_endpoints_with_different_final_blocks_are_refused(pair: Door) -> None:
    """One of them is on a fork, or makes blocks up."""
    pair.nodes[1].fork = 9
    for node in pair.nodes:
        node.mine(2)

    with pytest.raises(EndpointsDiffer, match="the hash of block 2, which is final"):
        pair.endpoint().final_block()


def test_an_endpoint_far_behind_is_waited_for(pair: Door) -> None:
    """It is not wrong yet, and what it holds to be final is old."""
    pair.nodes[0].mine(HEADS_APART)
    endpoint = pair.endpoint()
    assert endpoint.final_block().number == 0

    pair.nodes[0].mine()

    with pytest.raises(ChainUnavailable, match="are at blocks 65 and 0; one of them is behind"):
        endpoint.final_block()


def test_a_transaction_that_one_endpoint_made_up_is_never_final(pair: Door) -> None:
    """It shows a receipt, and the other one has no such block."""
    pair.nodes[1].automine = False
    receipt = pair.send()
    pair.nodes[1].forget()
    pair.nodes[1].mine()

    with pytest.raises(EndpointsDiffer, match="the hash of block 1, which is final"):
        pair.endpoint().require_final(receipt)


def test_what_is_sent_is_given_to_both(pair: Door) -> None:
    """One that keeps it for itself holds up nothing."""
    pair.send()

    assert pair.nodes[0].seen == pair.nodes[1].seen
    assert len(pair.nodes[0].seen) == 1


def test_with_one_of_two_down_sending_goes_on_and_nothing_is_final(pair: Door) -> None:
    """Both are asked again when it is back."""
    endpoint = pair.endpoint()
    pair.nodes[0].down = True

    receipt = endpoint.send(KEY, pair.journal, "pay", transfer(endpoint, 1))

    assert [one.name for one in pair.nodes[1].mined()] == [receipt.transaction]
    assert [entry.purpose for entry in pair.journal.open(endpoint.chain, KEY.address)] == ["pay"]
    with pytest.raises(ChainUnavailable, match="does not answer"):
        endpoint.final_block()


def test_one_that_was_down_is_looked_at_before_it_is_believed(pair: Door) -> None:
    """What comes back may be another machine."""
    pair.nodes[1].down = True
    endpoint = pair.endpoint()
    pair.nodes[1].down, pair.nodes[1].chain_id = False, 5
    pair.nodes[0].down = True

    with pytest.raises(EndpointsDiffer, match="chain 5"):
        endpoint.read(balance(endpoint))
