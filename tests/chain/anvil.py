"""A real node for one test: anvil, with what the test asks of it."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests

from tests.missing_tools import missing
from tests.source_tree import ROOT

GENESIS_SECONDS = 1_760_000_000
START_SECONDS = 20.0


@dataclass
class Anvil:
    """A running node, and what can be done to it that no real chain allows."""

    url: str
    process: subprocess.Popen[bytes]

    def ask(self, method: str, *params: object) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = requests.post(self.url, json=body, timeout=10).json()
        assert "error" not in answer, answer
        return answer["result"]

    def automine(self, wanted: bool) -> None:
        self.ask("evm_setAutomine", wanted)

    def mine(self, blocks: int = 1) -> None:
        self.ask("anvil_mine", hex(blocks))

    def give(self, address: str, wei: int = 10**20) -> None:
        self.ask("anvil_setBalance", address, hex(wei))

    def base_fee(self, wei: int) -> None:
        """Set what the next block asks for, and mine it."""
        self.ask("anvil_setNextBlockBaseFeePerGas", hex(wei))
        self.mine()

    def pending(self) -> int:
        return int(self.ask("txpool_status")["pending"], 16)

    def nonce(self, address: str) -> int:
        return int(self.ask("eth_getTransactionCount", address, "latest"), 16)

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def anvil(
    *options: str, port: int | None = None, genesis_seconds: int = GENESIS_SECONDS
) -> Iterator[Anvil]:
    """Run a node whose first block is always the same; it ends with this block."""
    found = sorted((ROOT / "contracts/node_modules/@foundry-rs").glob("anvil-*/bin/anvil"))
    if not found:
        missing("needs anvil (npm @foundry-rs/anvil; `make contracts-tools`)")
    port = port or free_port()
    fixed = ["--port", str(port), "--timestamp", str(genesis_seconds)]
    command = [str(found[0]), *fixed, "--silent", "--enable-tx-gas-limit", *options]
    with subprocess.Popen(command) as process:
        node = Anvil(f"http://127.0.0.1:{port}", process)
        try:
            _wait_for(node)
            yield node
        finally:
            node.go_on()
            process.kill()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for(node: Anvil) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            node.ask("eth_chainId")
        except requests.RequestException:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("anvil does not start")
