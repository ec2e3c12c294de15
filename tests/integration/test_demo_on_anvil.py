"""The demo settles on a real node, named by `--rpc`, as on its own embedded chain."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from privacy.errors import ChainUnavailable
from tests.missing_tools import missing
from tests.processes.alive import MARK, left_after, new_mark, wait_until
from veilsum.chain.endpoint import connect

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
DEMO = [sys.executable, "-P", "-m", "veilsum", "demo", "--json"]


@pytest.fixture
def url() -> Iterator[str]:
    found = sorted((ROOT / "contracts/node_modules/@foundry-rs").glob("anvil-*/bin/anvil"))
    if not found:
        missing("anvil is missing: run `make contracts-tools`, which needs the package npm")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    # Blocks come by themselves too, as on a real chain: its time is theirs, and windows end by it.
    mining = ["--mixed-mining", "--block-time", "1"]
    command = [str(found[0]), "--port", str(port), "--silent", "--enable-tx-gas-limit", *mining]
    with subprocess.Popen(command) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            wait_until(lambda: _answers(address), 20)
            yield address
        finally:
            process.kill()


@pytest.mark.timeout(300)
@pytest.mark.deep
def test_the_whole_demo_settles_on_a_node_of_the_operators_choice(url: str, tmp_path: Path) -> None:
    """Every check holds, all that was earned is paid, and the node has the transaction."""
    mark = new_mark()
    ended = subprocess.run(
        [*DEMO, "--rpc", url, "--state", str(tmp_path / "state")],
        env={**os.environ, MARK: mark},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )

    found = json.loads(ended.stdout)
    receipt = connect(url).web3.eth.get_transaction_receipt(found["settlement"]["transaction"])

    assert [claim for claim, held in found["checks"].items() if not held] == []
    assert ended.returncode == 0
    assert receipt["status"] == 1
    assert left_after(mark, 5) == {}


def test_a_node_that_does_not_answer_ends_the_demo(tmp_path: Path) -> None:
    """Status 5: whoever runs the node has to act; no hospital is started for nothing."""
    mark = new_mark()
    ended = subprocess.run(
        [*DEMO, "--rpc", "http://127.0.0.1:1", "--state", str(tmp_path / "state")],
        env={**os.environ, MARK: mark},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )

    assert ended.returncode == 5
    assert json.loads(ended.stdout)["code"] == "chain_unavailable"
    assert "Traceback" not in ended.stderr
    assert not list((tmp_path / "state" / "logs").glob("hospital-*"))
    assert left_after(mark, 5) == {}


def _answers(address: str) -> bool:
    try:
        connect(address)
    except ChainUnavailable:
        return False
    return True
