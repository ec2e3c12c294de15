"""A chain of the demonstration's own: py-evm served as JSON-RPC on loopback.

It lives in a process of its own, in memory, and ends with the process that
started it. Its accounts are unlocked and rich: it is worth nothing to anybody.
"""

import ast
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import eth_tester
from eth_tester.exceptions import TransactionFailed, ValidationError

from veilsum.chain.embedded import Embedded, Unanswered
from veilsum.chain.endpoint import Endpoint, transfer
from veilsum.chain.journal import Journal
from veilsum.chain.signing import Signer

LOOPBACK = "127.0.0.1"
LARGEST_REQUEST = 1 << 20
GAS_MONEY = 10**18
"""Wei; one ether pays for some hundred transactions."""

_REVERTED = 3
_REFUSED = -32000


class _Chain:
    """The chain behind the server: one request at a time, errors as nodes word them."""

    def __init__(self) -> None:
        self._tester = eth_tester.EthereumTester()
        self._ask = Embedded(self._tester).ask
        self._lock = threading.Lock()

    def answer(self, body: bytes) -> bytes:
        """Return the JSON-RPC response to the request in `body`."""
        request = json.loads(body)
        with self._lock:
            self._keep_time()
            reply = self._outcome(request["method"], request.get("params", []))
        reply = {"jsonrpc": "2.0", "id": request.get("id"), **reply}
        return json.dumps(reply).encode()

    def _keep_time(self) -> None:
        """Mine a block where seconds have passed without one: windows end on quiet chains too."""
        now = int(time.time())
        # The next block is a second later than the newest anyway, however fast they follow.
        if self._tester.get_block_by_number("latest")["timestamp"] + 1 < now:
            self._tester.time_travel(now)

    def _outcome(self, method: str, params: list[Any]) -> dict[str, Any]:
        try:
            response = self._ask(method, params)
        except TransactionFailed as error:
            return _error(_REVERTED, "execution reverted", _revert_data(error))
        except (ValidationError, Unanswered, ValueError, TypeError) as error:
            text = str(error)
            return _error(_REFUSED, "nonce too low" if "nonce" in text else text)
        if "error" in response:
            return {"error": response["error"]}
        return {"result": _wire(response["result"])}


class _Handler(BaseHTTPRequestHandler):
    """Answers one JSON-RPC request per POST."""

    protocol_version = "HTTP/1.1"
    # Head and body leave in one segment: two would wait for a delayed acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True
    chain: _Chain

    def do_POST(self) -> None:
        """Answer a request."""
        length = int(self.headers.get("Content-Length", "0"))
        if length > LARGEST_REQUEST:
            self.send_error(413)
            return
        body = self.chain.answer(self.rfile.read(length))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it)
        """Log nothing."""


def serve() -> None:
    """Serve a new chain on a free port, print its URL, and end when stdin ends."""
    handler = type("Handler", (_Handler,), {"chain": _Chain()})
    server = ThreadingHTTPServer((LOOPBACK, 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"http://{LOOPBACK}:{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()
    os._exit(0)


@contextmanager
def embedded_chain() -> Iterator[str]:
    """Run a chain in a process of its own and give its URL; it ends with this block.

    It also ends if this process is killed, since that closes the pipe to it.
    """
    command = [sys.executable, "-m", "veilsum.demo.chain"]
    # In a session of its own Ctrl-C does not reach it: it ends with us, and without a traceback.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().decode().strip()
        finally:
            process.kill()


def give_gas(endpoint: Endpoint, addresses: Sequence[str], wei: int = GAS_MONEY) -> None:
    """Send `wei` to each of `addresses` from the node's first unlocked account."""
    eth = endpoint.web3.eth
    giver = eth.accounts[0]
    for address in addresses:
        sent = eth.send_transaction(transfer(giver, address, wei))
        eth.wait_for_transaction_receipt(sent, poll_latency=0.02)


def deploy_token(endpoint: Endpoint, key: Signer, journal: Journal, supply: int) -> str:
    """Deploy the demonstration's token, all of it minted to `key`, and return its address."""
    constructor = endpoint.constructor("DemoToken", supply)
    receipt = endpoint.send(key, journal, f"token-{endpoint.chain_id}", constructor)
    return str(receipt.contract).lower()


def _error(code: int, message: str, data: str | None = None) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "message": message}
    return {"error": error if data is None else {**error, "data": data}}


def _revert_data(error: TransactionFailed) -> str | None:
    # py-evm gives a custom error as the repr of its bytes, behind web3's own words.
    text = str(error.args[0]).removeprefix("execution reverted: ")
    try:
        data = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None
    return "0x" + data.hex() if isinstance(data, bytes) else None


def _wire(value: Any) -> Any:  # noqa: ANN401 (JSON)
    """Return `value` as JSON-RPC writes it: quantities and bytes in hexadecimal."""
    match value:
        case bool() | str() | None:
            return value
        case int():
            return hex(value)
        case bytes():
            return "0x" + bytes(value).hex()
        case Mapping():
            return {name: _wire(one) for name, one in value.items()}
        case _:
            return [_wire(one) for one in value]


if __name__ == "__main__":
    serve()
