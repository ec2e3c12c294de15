"""The door on a real node: mempool, fees, replacement, forks, finality, and nodes that go away."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from privacy.errors import ChainUnavailable, EndpointsDiffer, FeeAboveCeiling, WrongContext
from privacy.failpoints import PLACES, VARIABLE
from tests.chain.anvil import Anvil, anvil, free_port
from tests.chain.door import KEY
from tests.source_tree import ROOT
from veilsum.chain.compiled import load
from veilsum.chain.deployment import Wanted, deploy_all
from veilsum.chain.endpoint import Call, Endpoint, Receipt, checksummed, connect
from veilsum.chain.fees import GWEI
from veilsum.chain.journal import Entry, FolderJournal
from veilsum.chain.signing import fields_of, name_of

pytestmark = pytest.mark.integration

SUPPLY = 10**6
PAYEE = "0x" + "aB" * 20
OF_A_SEND = tuple(each for each in PLACES["sender"] if each.startswith("chain."))
FINAL_SOON = ("--slots-in-an-epoch", "1")

CHILD = """
import os, signal, sys
from pathlib import Path
from privacy.failpoints import VARIABLE, parse
from tests.chain.test_anvil import Payer
from tests.chain.door import KEY
url, folder, token = sys.argv[1:]
points = parse(os.environ[VARIABLE], {"kill": lambda _: os.kill(os.getpid(), signal.SIGKILL)})
payer = Payer(url, Path(folder), token)
payer.pay("pay", 1, patience_seconds=1.0, step=points.hit)
payer.endpoint(step=points.hit).tend(KEY, payer.journal)
"""


@dataclass
class Payer:
    """A key with tokens, which it pays out one purpose at a time."""

    url: str
    folder: Path
    token: str

    @property
    def journal(self) -> FolderJournal:
        return FolderJournal(self.folder)

    def endpoint(self, **other: object) -> Endpoint:
        given = {"patience_seconds": 20.0, "finality_blocks": 2, **other}
        return connect(self.url, **given)

    def pay(self, purpose: str, units: int, **other: object) -> Receipt:
        endpoint = self.endpoint(**other)
        return endpoint.send(KEY, self.journal, purpose, self.transfer(endpoint, units))

    def transfer(self, endpoint: Endpoint, units: int) -> Call:
        return endpoint.at(load("DemoToken"), self.token).functions.transfer(
            checksummed(PAYEE), units
        )

    def paid(self) -> int:
        endpoint = self.endpoint()
        call = endpoint.at(load("DemoToken"), self.token).functions.balanceOf(checksummed(PAYEE))
        return int(endpoint.read(call))

    def entry(self, purpose: str) -> Entry:
        found = self.journal.find(self.endpoint().chain, purpose)
        assert found is not None
        return found


def payer_on(node: Anvil, folder: Path) -> Payer:
    node.give(KEY.address)
    endpoint = connect(node.url, finality_blocks=0)
    (token,) = deploy_all(endpoint, KEY, FolderJournal(folder), (Wanted("DemoToken", (SUPPLY,)),))
    endpoint.tend(KEY, FolderJournal(folder))
    return Payer(node.url, folder, token.address)


@pytest.fixture
def node() -> Iterator[Anvil]:
    with anvil() as running:
        yield running


@pytest.fixture
def payer(node: Anvil, tmp_path: Path) -> Payer:
    return payer_on(node, tmp_path)


@pytest.mark.parametrize("place", [each for each in OF_A_SEND if "replace" not in each])
def test_a_sender_killed_anywhere_pays_once(node: Anvil, payer: Payer, place: str) -> None:
    """Before, between and after all that a send does."""
    node.automine(False)
    if "mined" in place or "final" in place:
        node.automine(True)
    environment = {**os.environ, VARIABLE: f"{place}:1=kill", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", CHILD, node.url, str(payer.folder), payer.token]
    ended = subprocess.Popen(command, cwd=ROOT, env=environment)
    if "final" in place:
        _until_paid(payer)
        node.mine(3)
    code = ended.wait(timeout=60)
    if code != -signal.SIGKILL:  # it looked before the blocks came; the next life is killed
        ended = subprocess.run(command, cwd=ROOT, env=environment, check=False, timeout=60)
        assert ended.returncode == -signal.SIGKILL
    node.automine(True)
    node.mine()

    receipt = payer.pay("pay", 1)
    node.mine(3)
    payer.endpoint().tend(KEY, payer.journal)

    assert payer.paid() == 1
    assert node.nonce(KEY.address) == 2
    assert receipt.transaction == name_of(payer.entry("pay").newest.bytes())


def _until_paid(payer: Payer) -> None:
    end = time.monotonic() + 30
    while payer.paid() == 0:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_base_fee_above_what_was_offered_is_followed_with_the_same_nonce(
    node: Anvil, payer: Payer
) -> None:
    """The older version can never be mined then, and is gone for good once the newer one is."""
    node.automine(False)
    with pytest.raises(ChainUnavailable, match="not mined yet"):
        payer.pay("pay", 1, patience_seconds=0.2)
    node.base_fee(40 * GWEI)
    assert payer.paid() == 0

    with pytest.raises(ChainUnavailable, match="not mined yet"):
        payer.pay("pay", 1, patience_seconds=0.2)
    node.mine()
    receipt = payer.pay("pay", 1)

    older, newer = payer.entry("pay").versions
    assert receipt.transaction == name_of(newer.bytes())
    assert fields_of(older.bytes())["nonce"] == fields_of(newer.bytes())["nonce"] == 1
    assert payer.paid() == 1
    assert node.ask("eth_getTransactionByHash", name_of(older.bytes())) is None


def test_above_the_ceiling_it_waits_and_pays_nothing(node: Anvil, payer: Payer) -> None:
    """When fees fall, the transaction that was signed is mined."""
    node.automine(False)
    with pytest.raises(ChainUnavailable):
        payer.pay("pay", 1, patience_seconds=0.2)
    # The next block asks an eighth less, at most.
    node.base_fee(300 * GWEI)

    for purpose in ("pay", "another"):
        with pytest.raises(FeeAboveCeiling, match=r"at most 100\.000 is paid"):
            payer.pay(purpose, 1)
    while int(node.ask("eth_getBlockByNumber", "latest", False)["baseFeePerGas"], 16) > GWEI // 2:
        node.mine()
    node.automine(True)
    node.mine()
    payer.pay("pay", 1)

    assert len(payer.entry("pay").versions) == 1
    assert payer.paid() == 1


def test_one_that_a_node_does_not_mine_is_replaced_after_some_blocks(
    node: Anvil, payer: Payer
) -> None:
    """A higher fee and a higher tip, or the node would keep the older one."""
    node.automine(False)
    with pytest.raises(ChainUnavailable):
        payer.pay("pay", 1, patience_seconds=0.2)
    raw = payer.entry("pay").newest.bytes()
    node.ask("anvil_dropTransaction", name_of(raw))
    node.mine(10)
    node.ask("eth_sendRawTransaction", "0x" + raw.hex())

    with pytest.raises(ChainUnavailable):
        payer.pay("pay", 1, patience_seconds=0.2)
    versions = payer.entry("pay").versions
    node.mine()

    assert len(versions) == 2
    assert payer.pay("pay", 1).transaction == name_of(versions[1].bytes())
    assert payer.paid() == 1


def test_a_fork_of_depth_four_is_answered_with_all_that_it_undid(node: Anvil, payer: Payer) -> None:
    """In nonce order: the last one alone would wait behind a gap for ever."""
    sent = [payer.pay(f"pay-{units}", units) for units in (1, 2, 4)]
    node.mine()
    node.ask("anvil_reorg", 4, [])
    assert payer.paid() == 0
    assert node.nonce(KEY.address) == 1

    standing = payer.endpoint().tend(KEY, payer.journal)

    assert standing.pending == 0
    assert payer.paid() == 7
    names = [name_of(payer.entry(f"pay-{units}").newest.bytes()) for units in (1, 2, 4)]
    assert names == [each.transaction for each in sent]
    assert node.nonce(KEY.address) == 4


def test_what_a_fork_undid_is_sent_again_by_whoever_asks_for_it(node: Anvil, payer: Payer) -> None:
    """A commit that was dropped is committed again, and those before it."""
    for units in (1, 2, 4):
        payer.pay(f"pay-{units}", units)
    node.mine()
    node.ask("anvil_reorg", 4, [])

    payer.pay("pay-4", 4)

    assert payer.paid() == 7


def test_nothing_is_final_before_the_chain_says_so(tmp_path: Path) -> None:
    """By its own word, which comes two blocks late here."""
    with anvil(*FINAL_SOON) as node:
        payer = payer_on(node, tmp_path)
        receipt = payer.pay("pay", 1, finality_blocks=None)
        endpoint = payer.endpoint(finality_blocks=None)

        with pytest.raises(ChainUnavailable, match="run this again"):
            endpoint.require_final(receipt)
        node.mine(2)

        endpoint.require_final(receipt)
        assert endpoint.final_block().number == receipt.block.number


def test_an_endpoint_that_hangs_in_the_middle_is_unavailable(node: Anvil, payer: Payer) -> None:
    """And what was asked for is done once it answers."""
    endpoint = payer.endpoint(answer_seconds=0.5)
    call = payer.transfer(endpoint, 1)
    node.pause()
    with pytest.raises(ChainUnavailable, match="does not answer"):
        endpoint.send(KEY, payer.journal, "pay", call)
    node.go_on()

    endpoint.send(KEY, payer.journal, "pay", call)

    assert payer.paid() == 1


def test_a_node_that_died_and_forgot_everything_is_told_again(tmp_path: Path) -> None:
    """All that was not final, in order, from the journal."""
    port = free_port()
    with anvil(port=port) as node:
        node.give(KEY.address)
        endpoint = connect(node.url, finality_blocks=64)
        plan = (Wanted("DemoToken", (SUPPLY,)),)
        (token,) = deploy_all(endpoint, KEY, FolderJournal(tmp_path), plan)
        payer = Payer(node.url, tmp_path, token.address)
        for units in (1, 2):
            payer.pay(f"pay-{units}", units, finality_blocks=64)
    with pytest.raises(ChainUnavailable, match="does not answer"):
        endpoint.tend(KEY, payer.journal)

    with anvil(port=port) as node:
        node.give(KEY.address)
        payer.pay("pay-2", 2, finality_blocks=64)

        assert payer.paid() == 3
        assert node.nonce(KEY.address) == 3


def test_two_endpoints_that_differ_are_refused_by_name(node: Anvil, payer: Payer) -> None:
    """Both had the same first block; then each made its own."""
    with anvil() as other:
        other.give(KEY.address)
        other.mine(2)
        endpoint = payer.endpoint(second=other.url, finality_blocks=0)

        with pytest.raises(EndpointsDiffer, match=r"127\.0\.0\.1:\d+ and 127\.0\.0\.1:\d+ differ"):
            endpoint.final_block()


def test_two_endpoints_of_different_chains_are_refused(payer: Payer) -> None:
    """By their numbers, and by their first blocks."""
    with anvil("--chain-id", "5") as other, pytest.raises(EndpointsDiffer, match="of chain 5"):
        payer.endpoint(second=other.url)
    with anvil(genesis_seconds=5) as other, pytest.raises(EndpointsDiffer, match="first block"):
        payer.endpoint(second=other.url)


def test_a_node_that_lies_about_its_chain_signs_nothing(node: Anvil, payer: Payer) -> None:
    """It is asked again before each send."""
    endpoint = payer.endpoint(chain_id=31337)
    call = payer.transfer(endpoint, 1)
    node.ask("anvil_setChainId", 1)

    with pytest.raises(WrongContext, match="chain 1, not 31337"):
        endpoint.send(KEY, payer.journal, "pay", call)

    assert payer.journal.find(endpoint.chain, "pay") is None
