"""The demonstration's own chain: on loopback, worded as a node, gone with its parent."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from privacy.errors import IllegalEvent
from veilsum.chain.endpoint import connect
from veilsum.chain.journal import FolderJournal
from veilsum.chain.wallet import make_key
from veilsum.demo.chain import GAS_MONEY, LARGEST_REQUEST, deploy_token, embedded_chain, give_gas


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with embedded_chain() as address:
        yield address


def ask(url: str, method: str, *params: object) -> dict:
    body = json.dumps({"jsonrpc": "2.0", "id": 5, "method": method, "params": params}).encode()
    with urllib.request.urlopen(url, body, timeout=10) as answer:
        return json.load(answer)


def test_it_speaks_json_rpc_on_loopback(url: str) -> None:
    """Any client can use it, not only ours."""
    answer = ask(url, "eth_chainId")

    assert url.startswith("http://127.0.0.1:")
    assert answer["id"] == 5
    assert answer["result"] == hex(connect(url).chain_id)


def test_an_unknown_method_is_an_error_and_the_chain_goes_on(url: str) -> None:
    """A client may probe for what a node can do."""
    answer = ask(url, "eth_noSuchThing")

    assert answer["error"]["code"] == -32601
    assert "result" in ask(url, "eth_blockNumber")


def test_a_request_beyond_the_limit_is_refused(url: str) -> None:
    """Memory is bounded by what a transaction can be."""
    request = urllib.request.Request(url, b"{}")
    request.add_header("Content-Length", str(LARGEST_REQUEST + 1))

    with pytest.raises(urllib.error.HTTPError, match="413"):
        urllib.request.urlopen(request, timeout=10)


def test_gas_money_arrives(url: str, tmp_path) -> None:
    """Keys made for a run have nothing until they are given some."""
    account = make_key(tmp_path / "key.json", "word", work_factor=1 << 12)
    endpoint = connect(url)

    give_gas(endpoint, [account.address])

    assert endpoint.web3.eth.get_balance(account.address) == GAS_MONEY


def test_a_refusal_comes_with_the_contracts_own_name_for_it(url: str, tmp_path) -> None:
    """The embedded chain loses custom errors; the server puts them back."""
    account = make_key(tmp_path / "key.json", "word", work_factor=1 << 12)
    endpoint, journal = connect(url), FolderJournal(tmp_path)
    give_gas(endpoint, [account.address])
    token = endpoint.deployed("DemoToken", deploy_token(endpoint, account, journal, 10))

    with pytest.raises(IllegalEvent, match=r"ERC20InsufficientBalance\(sender=0x.*needed=11\)"):
        endpoint.send(account, journal, "send", token.functions.transfer(token.address, 11))


_PARENT = (
    "import time\n"
    "from veilsum.demo.chain import embedded_chain\n"
    "with embedded_chain() as url:\n"
    "    print(url, flush=True)\n"
    "    time.sleep(60)\n"
)


def test_it_ends_when_its_parent_is_killed() -> None:
    """No process is left behind by a demonstration that dies."""
    parent = subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    url = parent.stdout.readline().strip()
    assert "result" in ask(url, "eth_chainId")

    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()

    assert _goes_quiet(url, seconds=10)
    parent.stdout.close()


def test_it_ends_with_its_parent_at_ctrl_c_and_says_nothing() -> None:
    """The terminal interrupts the whole group: one traceback is the parent's own, or none."""
    # Tests that a shell has put in the background ignore SIGINT, and so would all they start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    command = [sys.executable, "-c", _PARENT]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    parent = subprocess.Popen(command, start_new_session=True, **pipes)
    signal.signal(signal.SIGINT, before)
    url = parent.stdout.readline().strip()

    os.killpg(parent.pid, signal.SIGINT)
    _, said = parent.communicate(timeout=20)

    assert said.count("Traceback") == 1
    assert "in serve" not in said
    assert _goes_quiet(url, seconds=10)


def _goes_quiet(url: str, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            ask(url, "eth_chainId")
        except OSError:
            return True
        time.sleep(0.05)
    return False
