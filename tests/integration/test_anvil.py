"""A settlement on a real node: mempool, nonces and crashes, which the embedded chain lacks."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from coordinator.adapters.chain import attach
from coordinator.settling.settle import Statement
from participant.settling.check import Offer
from participant.settling.claim import Claimed, claim, due
from privacy.errors import ChainUnavailable, IllegalEvent, WrongContext
from privacy.settlement.payouts import Entitlement
from tests.contracts.settlement_run import ESCROW, WINDOW_SECONDS, Run, settlement_run
from tests.missing_tools import missing
from veilsum.chain.endpoint import connect
from veilsum.chain.wallet import make_key

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
CHAIN_ID = 31337


@pytest.fixture
def url() -> Iterator[str]:
    found = sorted((ROOT / "contracts/node_modules/@foundry-rs").glob("anvil-*/bin/anvil"))
    if not found:
        missing("needs anvil (npm @foundry-rs/anvil; `make contracts-tools`)")
    port = _free_port()
    command = [found[0], "--port", str(port), "--silent", "--enable-tx-gas-limit"]
    with subprocess.Popen(command) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(address)
            yield address
        finally:
            process.kill()


def test_a_programme_is_settled_and_every_site_paid(url: str, tmp_path: Path) -> None:
    """Deploy, open, fund, commit, claim, all signed here."""
    run = settlement_run(url, tmp_path)
    made = run.statement()

    commitment = run.chain.commit(made)
    _mature(run)
    paid = [_claim(run, made, one).cumulative for one in made.entitlements]

    assert sum(paid) == ESCROW
    assert [run.balance(one.payee) for one in made.entitlements] == paid
    assert run.chain.commit(made) == commitment


@pytest.mark.parametrize("mined", [True, False])
def test_a_coordinator_killed_after_broadcasting_commits_once(
    url: str, tmp_path: Path, mined: bool
) -> None:
    """Its successor finds the commit on the chain, or the same bytes in the journal."""
    run = settlement_run(url, tmp_path)
    made = run.statement()
    nonce = _nonce(run, run.chain.key.address)
    _rpc(run, "evm_setAutomine", False)
    process = _in_another_process(COMMIT, url, run, made)
    _wait_until(lambda: _pending(run) == 1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    if mined:
        _rpc(run, "evm_mine")
    else:
        with pytest.raises(ChainUnavailable, match="not mined yet"):
            run.again(url, patience_seconds=0.5).commit(made)
        assert _pending(run) == 1
    _rpc(run, "evm_setAutomine", True)
    _rpc(run, "evm_mine")
    transaction = run.again(url).commit(made)

    assert run.chain.stands(run.programme, 3).commit == made.commit.digest()
    assert _nonce(run, run.chain.key.address) == nonce + 1
    assert transaction.startswith("0x")


def test_a_site_killed_after_broadcasting_is_paid_once(url: str, tmp_path: Path) -> None:
    """The claim is found again by its journal."""
    run = settlement_run(url, tmp_path)
    made = run.statement()
    run.chain.commit(made)
    _mature(run)
    one = made.entitlements[0]
    _rpc(run, "evm_setAutomine", False)
    process = _in_another_process(CLAIM, url, run, Offer(one, made.commit, None))
    _wait_until(lambda: _pending(run) == 1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    _rpc(run, "evm_setAutomine", True)
    _rpc(run, "evm_mine")
    claimed = _claim(run, made, one)

    assert (claimed.paid, claimed.cumulative) == (ESCROW // 4, ESCROW // 4)
    assert run.balance(one.payee) == ESCROW // 4
    assert _nonce(run, run.gas_key.address) == 1


def test_a_coordinator_that_finds_another_commit_stops(url: str, tmp_path: Path) -> None:
    """Two processes with one key: neither may write over the other's root."""
    run = settlement_run(url, tmp_path)
    ours, theirs = run.statement(), run.statement()
    run.chain.commit(theirs)

    with pytest.raises(IllegalEvent, match="who else commits with this key"):
        run.chain.commit(ours)

    assert run.chain.stands(run.programme, 3).commit == theirs.commit.digest()


def test_a_commit_by_another_key_is_refused_by_name(url: str, tmp_path: Path) -> None:
    """The node gives the custom error; it arrives as the contract worded it."""
    run = settlement_run(url, tmp_path)
    stranger = attach(run.endpoint, run.gas_key, run.journal, run.chain.contract.address)

    with pytest.raises(IllegalEvent, match="SettlementUnauthorized"):
        stranger.commit(run.statement())


def test_a_key_without_ether_is_told_so(url: str, tmp_path: Path) -> None:
    """The operator must send some, and can then run the same again."""
    run = settlement_run(url, tmp_path)
    poor = make_key(tmp_path / "poor.json", "word", work_factor=1 << 12)
    call = run.chain.contract.functions.fund(bytes.fromhex(run.programme), 0)

    with pytest.raises(ChainUnavailable, match="has no ether for gas; send it some"):
        run.endpoint.send(poor, run.journal, "poor", call)


def test_an_endpoint_on_another_chain_is_refused(url: str) -> None:
    """Signatures for one chain must not be made on the word of another."""
    with pytest.raises(WrongContext, match=f"chain {CHAIN_ID}, not 1"):
        connect(url, chain_id=1)


PRELUDE = """
import sys
from pathlib import Path
import msgspec
from veilsum.chain.endpoint import connect
from veilsum.chain.journal import FolderJournal
from tests.contracts.settlement_run import key
url, folder, address, body = sys.argv[1:]
folder, endpoint = Path(folder), connect(url)
journal, body = FolderJournal(folder), Path(body).read_bytes()
"""

COMMIT = """
from coordinator.adapters.chain import attach
from coordinator.settling.settle import Statement
made = msgspec.json.decode(body, type=Statement)
attach(endpoint, key(folder, "coordinator"), journal, address).commit(made)
"""

CLAIM = """
from participant.settling.check import Offer
from participant.settling.claim import claim, due
offer = msgspec.json.decode(body, type=Offer)
owed = due(endpoint, offer, payee=offer.entitlement.payee, contract=address)
claim(owed, key(folder, "gas"), journal)
"""


def _in_another_process(program: str, url: str, run: Run, value: object) -> subprocess.Popen[bytes]:
    body = run.folder / "argument.json"
    body.write_bytes(msgspec.json.encode(value))
    arguments = [url, str(run.folder), run.chain.contract.address, str(body)]
    command = [sys.executable, "-c", PRELUDE + program, *arguments]
    return subprocess.Popen(command, cwd=ROOT)


def _claim(run: Run, made: Statement, one: Entitlement) -> Claimed:
    contract, offer = run.chain.contract.address, Offer(one, made.commit, None)
    claimed = claim(
        due(run.endpoint, offer, payee=one.payee, contract=contract), run.gas_key, run.journal
    )
    assert isinstance(claimed, Claimed)
    return claimed


def _mature(run: Run) -> None:
    """Let the window of the newest round pass; no block comes here by itself."""
    _rpc(run, "evm_increaseTime", WINDOW_SECONDS)
    _rpc(run, "evm_mine")


def _rpc(run: Run, method: str, *params: object) -> dict:
    return run.endpoint.web3.provider.make_request(method, list(params))


def _pending(run: Run) -> int:
    return int(_rpc(run, "txpool_status")["result"]["pending"], 16)


def _nonce(run: Run, address: str) -> int:
    return run.endpoint.web3.eth.get_transaction_count(address, "latest")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _wait_for(url: str) -> None:
    _wait_until(lambda: _answers(url))


def _answers(url: str) -> bool:
    try:
        connect(url)
    except ChainUnavailable:
        return False
    return True


def _wait_until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)
