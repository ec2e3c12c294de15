"""Signers elsewhere: one that answers as web3signer does, one as clef does, and what they do wrong.

What they sign they read with eth-account, and not with any code of ours.
"""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from eth_keys.backends.native.jacobian import fast_multiply
from eth_keys.constants import SECPK1_G
from hexbytes import HexBytes

from tests.chain.door import KEY
from veilsum.chain.access import SignerAccess
from veilsum.chain.signing import RemoteSigner

METHOD_NOT_FOUND, INVALID_PARAMS = -32601, -32602
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def twin(signature: bytes) -> bytes:
    """The other signature of the same key over the same: with the larger s."""
    s = ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])


def with_nonce(key: Any, digest: bytes, nonce: int) -> bytes:
    """A signature over a digest that is as good as the usual one, and other bytes.

    Keys in a machine of their own sign with a nonce by chance. Source: SEC 1, 4.1.3.
    """
    x, y = fast_multiply(SECPK1_G, nonce)
    secret, hashed = (int.from_bytes(each, "big") for each in (bytes(key.key), digest))
    s = pow(nonce, -1, ORDER) * (hashed + x * secret) % ORDER
    made = x.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([27 + y % 2])
    return twin(made) if s > ORDER // 2 else made


class Refused(Exception):
    """What JSON-RPC calls an error."""


@dataclass
class FakeSigner:
    """A signer that holds `key`, and does what a test has it do.

    Attributes:
        change: what it makes of a transaction before it signs it, and
        say: of typed data.
        spoil: what it makes of a signature.
        clef: it answers as clef does.
        typed: it knows of typed data at all.
        answer: what it says in place of an answer, JSON.
        page: what it says in place of JSON.
        waits: it answers nothing before that.
        drips: seconds between two bytes of its answer.
    """

    key: Any = KEY
    change: Callable[[dict], dict] = dict
    say: Callable[[dict], dict] = dict
    spoil: Callable[[bytes], bytes] = bytes
    clef: bool = False
    typed: bool = True
    answer: object = None
    page: bytes | None = None
    waits: threading.Event | None = None
    drips: float = 0.0
    asked: list[dict] = field(default_factory=list)

    def respond(self, request: dict) -> tuple[int, bytes]:
        """The status of HTTP, and the answer."""
        self.asked.append(request)
        if self.waits is not None:
            self.waits.wait(30)
        if self.page is not None:
            return 200, self.page
        if self.answer is not None:
            return 200, json.dumps(self.answer).encode()
        said: dict[str, object] = {"jsonrpc": "2.0", "id": request["id"]}
        try:
            said["result"] = self._result(request["method"], request["params"])
        except Refused as error:
            code = error.args[0]
            said["error"] = {"code": code, "message": "as JSON-RPC has it"}
            # Source: Consensys/web3signer, ResponseCodeSelector.java.
            return 400 if code == INVALID_PARAMS else 200, json.dumps(said).encode()
        return 200, json.dumps(said).encode()

    def send(self, text: bytes, by: Callable[[bytes], object]) -> None:
        """Send an answer, in more than one piece, until nobody listens."""
        length = 1 if self.drips else 9
        with suppress(OSError):
            for at in range(0, len(text), length) if self.drips else (0,):
                by(text[at : at + length])
                time.sleep(self.drips)
            by(b"" if self.drips else text[length:])

    def _result(self, method: str, params: list[Any]) -> object:
        space = "account" if self.clef else "eth"
        if method == f"{space}_signTransaction":
            raw = "0x" + self._transaction(params[0]).hex()
            return {"raw": raw, "tx": {}} if self.clef else raw
        if method == f"{space}_signTypedData" and self.typed:
            return "0x" + self.spoil(self._typed(*params)).hex()
        raise Refused(METHOD_NOT_FOUND)

    def _transaction(self, params: dict) -> bytes:
        found = {name: value for name, value in params.items() if name != "from"}
        found["data"] = HexBytes(found["data"])
        return bytes(self.key.sign_transaction(self.change(found)).raw_transaction)

    def _typed(self, address: str, given: object) -> bytes:
        # web3signer takes a text, and clef what it says.
        if address.lower() != self.key.address.lower() or isinstance(given, str) is self.clef:
            raise Refused(INVALID_PARAMS)
        document = json.loads(given) if isinstance(given, str) else given
        return bytes(self.key.sign_typed_data(full_message=self.say(document)).signature)


@contextmanager
def served(signer: FakeSigner) -> Iterator[str]:
    """Serve it by HTTP, as web3signer is; give the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, text = signer.respond(json.loads(body))
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            signer.send(text, self.wfile.write)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def listening(signer: FakeSigner, folder: Path) -> Iterator[str]:
    """Serve it on a Unix socket, as clef is; give the URL."""
    path = folder / "signer.ipc"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen()
        threading.Thread(target=_answer, args=(listener, signer), daemon=True).start()
        yield f"unix://{path}"
    path.unlink()


@contextmanager
def over_http(signer: FakeSigner, answer_seconds: float = 5.0) -> Iterator[RemoteSigner]:
    with served(signer) as url:
        yield RemoteSigner(SignerAccess(url, KEY.address.lower()), answer_seconds=answer_seconds)


@contextmanager
def over_socket(
    signer: FakeSigner, folder: Path, answer_seconds: float = 5.0
) -> Iterator[RemoteSigner]:
    with listening(signer, folder) as url:
        yield RemoteSigner(SignerAccess(url, KEY.address), answer_seconds=answer_seconds)


def _answer(listener: socket.socket, signer: FakeSigner) -> None:
    while True:
        try:
            line, _ = listener.accept()
        except OSError:
            return
        with line:
            _, text = signer.respond(json.loads(line.makefile().readline()))
            signer.send(text, line.sendall)
