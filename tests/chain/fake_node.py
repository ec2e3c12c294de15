"""A node in this process that mines, forks, forgets and lies when it is told to; no EVM."""

# ruff: noqa: N802 (JSON-RPC gives methods their names)

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from eth_account import Account
from eth_utils.crypto import keccak

from veilsum.chain.signing import fields_of, name_of

GWEI = 10**9
TOKEN = "0x" + "70" * 20
CHAIN_ID = 31337


@dataclass(frozen=True)
class Mined:
    sender: str
    nonce: int
    name: str
    raw: bytes
    status: int = 1


@dataclass(frozen=True)
class FakeBlock:
    hash: str
    transactions: tuple[Mined, ...] = ()


class Refused(Exception):
    pass


@dataclass
class FakeNode:
    """What a node knows. Every method of JSON-RPC that the door uses is a method here."""

    chain_id: int = CHAIN_ID
    genesis: str = "0x" + "11" * 32
    base: int = GWEI
    tip: int = GWEI
    automine: bool = True
    finalized: int | str | None = "head"
    answer: int = 5
    balance: int = 10**18
    succeeds: bool = True
    fork: int = 0
    down: bool = False
    seconds: float = 0.0
    drip_seconds: float = 0.0
    garbage: bytes | None = None
    asked: list[str] = field(default_factory=list)
    seen: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self.blocks = [FakeBlock(self.genesis)]
        self.pool: dict[tuple[str, int], bytes] = {}

    # -- what a test does to it -----------------------------------------------------------

    def mine(self, blocks: int = 1) -> None:
        with self.lock:
            for _ in range(blocks):
                self._mine_one()

    def reorganise(self, depth: int, keep: int = 0) -> None:
        """Undo blocks; the first `keep` of their transactions are in the pool again."""
        with self.lock:
            lost = [one for block in self.blocks[-depth:] for one in block.transactions]
            del self.blocks[-depth:]
            self.fork += 1
            for one in lost[:keep]:
                self.pool[one.sender, one.nonce] = one.raw
            for _ in range(depth):
                self.blocks.append(FakeBlock(self._hash()))

    def forget(self) -> None:
        self.pool.clear()

    def mined(self) -> list[Mined]:
        return [one for block in self.blocks for one in block.transactions]

    def use_nonce(self, sender: str, nonce: int) -> None:
        """Mine a transaction of somebody else who has the same key."""
        stranger = Mined(sender, nonce, "0x" + "ee" * 32, b"")
        self.blocks.append(FakeBlock(self._hash((stranger,)), (stranger,)))

    # -- JSON-RPC -------------------------------------------------------------------------

    def respond(self, request: dict) -> dict:
        method = request["method"]
        with self.lock:
            self.asked.append(method)
            try:
                result = getattr(self, method)(*request.get("params", []))
            except Refused as error:
                return {"error": {"code": -32000, "message": str(error)}}
            except AttributeError:
                return {"error": {"code": -32601, "message": f"no method {method}"}}
        return {"result": result}

    def eth_chainId(self) -> str:
        return hex(self.chain_id)

    def eth_blockNumber(self) -> str:
        return hex(len(self.blocks) - 1)

    def eth_maxPriorityFeePerGas(self) -> str:
        return hex(self.tip)

    def eth_getBalance(self, *_: object) -> str:
        return hex(self.balance)

    def eth_getCode(self, *_: object) -> str:
        return "0x"

    def eth_estimateGas(self, *_: object) -> str:
        return hex(40_000)

    def eth_call(self, *_: object) -> str:
        return "0x" + self.answer.to_bytes(32, "big").hex()

    def eth_getBlockByNumber(self, which: str, *_: object) -> dict | None:
        if which == "finalized" and self.finalized is None:
            raise Refused("invalid block tag")
        number = {"latest": len(self.blocks) - 1, "finalized": self._final()}.get(which)
        number = int(which, 16) if number is None else number
        if number >= len(self.blocks):
            return None
        return {
            "number": hex(number),
            "hash": self.blocks[number].hash,
            "baseFeePerGas": hex(self.base),
            "timestamp": hex(number),
        }

    def eth_getTransactionCount(self, address: str, which: str) -> str:
        last = len(self.blocks) - 1 if which == "latest" else int(which, 16)
        used = [
            one.nonce + 1
            for block in self.blocks[: last + 1]
            for one in block.transactions
            if one.sender.lower() == address.lower()
        ]
        return hex(max(used, default=0))

    def eth_getTransactionReceipt(self, name: str) -> dict | None:
        for number, block in enumerate(self.blocks):
            for one in block.transactions:
                if one.name == name:
                    return self._receipt(number, block, one)
        return None

    def eth_sendRawTransaction(self, text: str) -> str:
        raw = bytes.fromhex(text.removeprefix("0x"))
        self.seen.append(raw)
        sender, fields = Account.recover_transaction(raw), fields_of(raw)
        place = (sender, fields["nonce"])
        if fields["nonce"] < int(self.eth_getTransactionCount(sender, "latest"), 16):
            raise Refused("nonce too low")
        if self.pool.get(place) == raw:
            raise Refused("already known")
        if fields["maxFeePerGas"] < self.base:
            raise Refused("max fee per gas less than block base fee")
        if place in self.pool and not _outbids(fields, fields_of(self.pool[place])):
            raise Refused("replacement transaction underpriced")
        self.pool[place] = raw
        if self.automine:
            self._mine_one()
        return name_of(raw)

    def _final(self) -> int:
        return len(self.blocks) - 1 if self.finalized == "head" else int(self.finalized or 0)

    def _hash(self, transactions: tuple[Mined, ...] = ()) -> str:
        names = [one.name for one in transactions]
        seed = f"{self.fork} {len(self.blocks)} {self.genesis} {names}".encode()
        return "0x" + keccak(seed).hex()

    def _mine_one(self) -> None:
        taken: list[Mined] = []
        for sender in {sender for sender, _ in self.pool}:
            nonce = int(self.eth_getTransactionCount(sender, "latest"), 16)
            while (raw := self.pool.get((sender, nonce))) is not None:
                if fields_of(raw)["maxFeePerGas"] < self.base:
                    break
                taken.append(Mined(sender, nonce, name_of(raw), raw, int(self.succeeds)))
                del self.pool[sender, nonce]
                nonce += 1
        self.blocks.append(FakeBlock(self._hash(tuple(taken)), tuple(taken)))

    def _receipt(self, number: int, block: FakeBlock, one: Mined) -> dict:
        return {
            "transactionHash": one.name,
            "blockHash": block.hash,
            "blockNumber": hex(number),
            "transactionIndex": "0x0",
            "status": hex(one.status),
            "gasUsed": hex(40_000),
            "cumulativeGasUsed": hex(40_000),
            "effectiveGasPrice": hex(self.base),
            "contractAddress": None,
            "logs": [],
            "from": one.sender,
            "to": TOKEN,
            "type": "0x2",
            "logsBloom": "0x" + "00" * 256,
        }


def _outbids(fields: dict, before: dict) -> bool:
    parts = ("maxFeePerGas", "maxPriorityFeePerGas")
    return all(10 * fields[part] >= 11 * before[part] for part in parts)


@contextmanager
def served(node: FakeNode) -> Iterator[str]:
    """The node on loopback, at the URL that is given."""
    handler = type("Handler", (_Handler,), {"node": node})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    node: FakeNode

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.node.down:
            self.close_connection = True
            return
        if self.node.seconds:
            time.sleep(self.node.seconds)
        request = json.loads(body)
        answer = {"jsonrpc": "2.0", "id": request["id"], **self.node.respond(request)}
        garbage = self.node.garbage
        text = json.dumps(answer).encode() if garbage is None else garbage
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        for at in range(len(text) if self.node.drip_seconds else 0):
            self.wfile.write(text[at : at + 1])
            self.wfile.flush()
            time.sleep(self.node.drip_seconds)
        if not self.node.drip_seconds:
            self.wfile.write(text)

    def log_message(self, *args: object) -> None:
        pass
