"""Signers: whatever signs, what is sent says what was asked for and nothing else."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
from eth_account import Account
from hexbytes import HexBytes

from privacy.errors import ChainUnavailable, ConfigError, InsecureKeyFile, InvalidSignature
from tests.chain.door import KEY, Door, transfer
from veilsum.chain.access import ChainAccess, SignerAccess
from veilsum.chain.endpoint import signer_of
from veilsum.chain.signing import RemoteSigner, fields_of, signed_exactly
from veilsum.chain.wallet import make_key

TO = "0x" + "70" * 20
ASKED = {
    "chainId": 31337, "nonce": 3, "gas": 50_000, "maxFeePerGas": 9, "maxPriorityFeePerGas": 2,
    "to": TO, "value": 1, "data": b"\x01\x02",
}  # fmt: skip
OTHERS = {
    "chainId": 1, "nonce": 4, "gas": 50_001, "maxFeePerGas": 10, "maxPriorityFeePerGas": 3,
    "to": "0x" + "71" * 20, "value": 2, "data": b"\x01\x03",
    "accessList": [{"address": TO, "storageKeys": []}],
}  # fmt: skip


@dataclass
class FakeSigner:
    """A signer that holds KEY, and does what a test has it do."""

    key: object = KEY
    change: Callable[[dict], dict] = dict
    clef: bool = False
    answer: object = None
    asked: list[dict] = field(default_factory=list)

    def respond(self, request: dict) -> object:
        self.asked.append(request)
        if self.answer is not None:
            return self.answer
        method = "account_signTransaction" if self.clef else "eth_signTransaction"
        if request["method"] != method:
            return {"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "no such"}}
        raw = "0x" + self._signed(request["params"][0]).hex()
        return {"jsonrpc": "2.0", "id": 1, "result": {"raw": raw, "tx": {}} if self.clef else raw}

    def _signed(self, params: dict) -> bytes:
        found = {name: value for name, value in params.items() if name != "from"}
        found["data"] = HexBytes(found["data"])
        return bytes(self.key.sign_transaction(self.change(found)).raw_transaction)


@contextmanager
def over_http(signer: FakeSigner) -> Iterator[RemoteSigner]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            text = json.dumps(signer.respond(json.loads(body))).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    yield RemoteSigner(SignerAccess(url, KEY.address.lower()), answer_seconds=5.0)
    server.shutdown()
    server.server_close()


@contextmanager
def over_socket(signer: FakeSigner, folder: Path) -> Iterator[RemoteSigner]:
    path = folder / "signer.ipc"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen()
        threading.Thread(target=_answer, args=(listener, signer), daemon=True).start()
        yield RemoteSigner(SignerAccess(f"unix://{path}", KEY.address), answer_seconds=5.0)


def _answer(listener: socket.socket, signer: FakeSigner) -> None:
    while True:
        try:
            line, _ = listener.accept()
        except OSError:
            return
        with line:
            request = json.loads(line.makefile().readline())
            text = json.dumps(signer.respond(request)).encode()
            line.sendall(text[:9])
            line.sendall(text[9:])


@dataclass(frozen=True)
class Lying:
    """A key that signs something else than it is asked to."""

    change: dict
    address: str = KEY.address

    def sign_transaction(self, transaction_dict: dict):
        return KEY.sign_transaction({**transaction_dict, **self.change})


def test_what_was_asked_is_signed() -> None:
    """By a key in this process."""
    raw = signed_exactly(KEY, ASKED)

    assert fields_of(raw)["nonce"] == 3
    assert Account.recover_transaction(raw) == KEY.address


@pytest.mark.parametrize("name", OTHERS)
def test_a_signer_that_changes_any_field_is_refused(name: str) -> None:
    """One changed word of the data pays somebody else."""
    with pytest.raises(InvalidSignature, match=f"gave {name} .* in place of"):
        signed_exactly(Lying({name: OTHERS[name]}), ASKED)


def test_a_signer_with_another_key_is_refused() -> None:
    """Its transaction would come from another account."""
    other = Account.from_key(b"\x08" * 32)

    class Other:
        address = KEY.address
        sign_transaction = staticmethod(other.sign_transaction)

    with pytest.raises(InvalidSignature, match=f"with the key of {other.address}"):
        signed_exactly(Other(), ASKED)


@pytest.mark.parametrize("raw", [b"", b"\x02", b"\x02\xc0", b"\xf8\x6b", b"\x03" + bytes(80)])
def test_bytes_that_are_no_transaction_are_refused(raw: bytes) -> None:
    """Nor may an older kind of transaction pass, whose price has no ceiling."""

    class Odd:
        address = KEY.address

        def sign_transaction(self, _: dict):
            return type("Raw", (), {"raw_transaction": raw})

    with pytest.raises(InvalidSignature, match=r"no transaction of EIP-1559"):
        signed_exactly(Odd(), ASKED)


def test_a_signer_over_http_is_asked_as_web3signer_is() -> None:
    """All quantities in hex, and from whom."""
    signer = FakeSigner()
    with over_http(signer) as remote:
        raw = signed_exactly(remote, ASKED)

    assert raw == signed_exactly(KEY, ASKED)
    (params,) = signer.asked[0]["params"]
    assert params["from"] == KEY.address
    assert (params["nonce"], params["data"], params["to"]) == ("0x3", "0x0102", TO)


def test_a_new_contract_has_no_receiver() -> None:
    """Signers refuse an empty address."""
    signer = FakeSigner(change=lambda found: {**found, "to": ""})
    with over_http(signer) as remote:
        raw = signed_exactly(remote, {**ASKED, "to": b""})

    assert fields_of(raw)["to"] == b""
    assert "to" not in signer.asked[0]["params"][0]


def test_a_signer_over_a_socket_is_asked_as_clef_is(tmp_path: Path) -> None:
    """It knows another method, and answers with more than the bytes."""
    signer = FakeSigner(clef=True)
    with over_socket(signer, tmp_path) as remote:
        raw = signed_exactly(remote, ASKED)

    assert raw == signed_exactly(KEY, ASKED)
    methods = [request["method"] for request in signer.asked]
    assert methods == ["eth_signTransaction", "account_signTransaction"]


def test_a_remote_signer_that_lies_sends_nothing(door: Door) -> None:
    """Neither to a node nor into the journal."""
    signer = FakeSigner(change=lambda found: {**found, "value": 10**18})
    endpoint = door.endpoint()
    call = transfer(endpoint, 1)

    with over_http(signer) as remote, pytest.raises(InvalidSignature, match="value 1000"):
        endpoint.send(remote, door.journal, "pay", call)

    assert door.node.seen == []
    assert door.open() == ()


def test_a_remote_signer_sends_and_replaces(door: Door) -> None:
    """As a key in this process does."""
    door.node.automine = False
    with over_http(FakeSigner()) as remote:
        endpoint = door.endpoint(patience_seconds=0.1)
        call = transfer(endpoint, 1)
        with pytest.raises(ChainUnavailable):
            endpoint.send(remote, door.journal, "pay", call)
        door.node.base *= 20
        door.time.then = [door.node.mine]
        door.endpoint().send(remote, door.journal, "pay", call)

    assert [one.sender for one in door.node.mined()] == [KEY.address]
    assert len(door.node.seen) == 3


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        ({"error": {"code": -32000, "message": "denied by rule"}}, ChainUnavailable, "denied"),
        ({"result": "0xzz"}, InvalidSignature, "no bytes"),
        ({"result": None}, InvalidSignature, "no bytes"),
        ([1], InvalidSignature, "no answer to JSON-RPC"),
    ],
)
def test_a_signer_that_gives_no_signature_is_named(answer: object, error: type, says: str) -> None:
    """Whoever runs it must look; nothing was sent."""
    with over_http(FakeSigner(answer=answer)) as remote, pytest.raises(error, match=says):
        signed_exactly(remote, ASKED)


def test_a_signer_that_is_down_is_unavailable() -> None:
    """Time heals it."""
    remote = RemoteSigner(SignerAccess("http://127.0.0.1:1", KEY.address))

    with pytest.raises(ChainUnavailable, match="does not answer"):
        signed_exactly(remote, ASKED)


# -- which one the settings name ---------------------------------------------------------


def access(**other: object) -> ChainAccess:
    return ChainAccess(rpc="http://127.0.0.1:1", chain_id=1, **other)


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"keystore": Path("k")},
        {"passphrase": Path("p")},
        {"keystore": Path("k"), "signer": SignerAccess("https://x", TO)},
        {"keystore": Path("k"), "passphrase": Path("p"), "signer": SignerAccess("https://x", TO)},
    ],
)
def test_settings_name_a_keystore_or_a_signer(other: dict) -> None:
    """Two would leave open which one signs."""
    with pytest.raises(ConfigError, match="keystore and passphrase, or the table signer"):
        access(**other)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"finality_blocks": -1}, "finality_blocks"),
        ({"second_rpc": "http://127.0.0.1:1"}, "another endpoint"),
    ],
)
def test_settings_that_protect_nothing_are_refused(other: dict, says: str) -> None:
    """One endpoint compared with itself never differs."""
    with pytest.raises(ConfigError, match=says):
        access(keystore=Path("k"), passphrase=Path("p"), **other)


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("https://signer.example.org:9000", True),
        ("http://127.0.0.1:9000", True),
        ("unix:///run/clef/clef.ipc", True),
        ("http://signer.example.org:9000", False),
        ("http://127.0.0.1.example.org", False),
        ("https://somebody:secret@signer.example.org", False),
        ("unix://clef.ipc", False),
        ("/run/clef.ipc", False),
    ],
)
def test_a_signer_is_reached_where_nobody_listens(url: str, fine: bool) -> None:
    """Whoever can change what is asked of it on the way could have anything signed."""
    try:
        msgspec.convert({"url": url, "address": TO}, SignerAccess)
    except msgspec.ValidationError:
        assert not fine
    else:
        assert fine


def test_a_certificate_for_a_signer_needs_its_key() -> None:
    """One without the other shows nothing."""
    with pytest.raises(ConfigError, match="set both, or neither"):
        SignerAccess("https://x", TO, certificate=Path("c"))


def test_a_keystore_signs(tmp_path: Path) -> None:
    """Its passphrase is a file that only the owner reads."""
    made = make_key(tmp_path / "key.json", "word", work_factor=1 << 12)
    (tmp_path / "word").write_text("word\n")
    (tmp_path / "word").chmod(0o600)
    settings = access(keystore=tmp_path / "key.json", passphrase=tmp_path / "word")

    assert signer_of(settings).address == made.address
    (tmp_path / "word").chmod(0o644)
    with pytest.raises(InsecureKeyFile):
        signer_of(settings)


def test_a_socket_that_anybody_may_write_to_is_refused(tmp_path: Path) -> None:
    """Anybody on that machine could have things signed."""
    settings = access(signer=SignerAccess(f"unix://{tmp_path}/signer.ipc", TO))
    with pytest.raises(ConfigError, match="is no socket; start the signer"):
        signer_of(settings)
    with over_socket(FakeSigner(), tmp_path):
        assert signer_of(settings).address.lower() == TO
        (tmp_path / "signer.ipc").chmod(0o666)

        with pytest.raises(ConfigError, match="anybody here may have things signed"):
            signer_of(settings)


def test_no_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process is started with can be read by others on its machine."""
    for name in ("PRIVATE_KEY", "ETH_PRIVATE_KEY", "VEILSUM_PRIVATE_KEY"):
        monkeypatch.setenv(name, KEY.key.hex())

    with pytest.raises(ConfigError):
        access()
