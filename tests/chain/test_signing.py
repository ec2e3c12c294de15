"""Signers: whatever signs, what is sent says what was asked for and nothing else."""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from eth_account import Account

from privacy.errors import ChainUnavailable, ConfigError, InsecureKeyFile, InvalidSignature
from tests.chain.door import KEY, Door, transfer
from tests.chain.fake_signer import FakeSigner, over_http, over_socket
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
    """Anybody on that machine could have things signed; also if it was changed since the start."""
    settings = access(signer=SignerAccess(f"unix://{tmp_path}/signer.ipc", KEY.address))
    with over_socket(FakeSigner(), tmp_path):
        key = signer_of(settings)
        (tmp_path / "signer.ipc").chmod(0o666)

        with pytest.raises(ConfigError, match="anybody here may have things signed"):
            signer_of(settings)
        with pytest.raises(ConfigError, match="anybody here may have things signed"):
            signed_exactly(key, ASKED)


def test_a_socket_that_is_not_there_yet_is_a_signer_that_is_down(tmp_path: Path) -> None:
    """It is started again, and nothing here had to be."""
    settings = access(signer=SignerAccess(f"unix://{tmp_path}/signer.ipc", KEY.address))
    key = signer_of(settings)
    with pytest.raises(ChainUnavailable, match="does not answer"):
        signed_exactly(key, ASKED)

    with over_socket(FakeSigner(clef=True), tmp_path):
        raw = signed_exactly(key, ASKED)

    assert fields_of(raw)["nonce"] == 3


@pytest.mark.parametrize(
    ("kept", "says"), [("file/signer.ipc", "cannot be reached"), ("file", "is no socket")]
)
def test_a_path_at_which_no_socket_can_be_is_refused(kept: str, says: str, tmp_path: Path) -> None:
    """No signer that is started makes it right."""
    (tmp_path / "file").write_text("")
    settings = access(signer=SignerAccess(f"unix://{tmp_path}/{kept}", TO))

    with pytest.raises(ConfigError, match=says):
        signer_of(settings)


def test_no_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process is started with can be read by others on its machine."""
    for name in ("PRIVATE_KEY", "ETH_PRIVATE_KEY", "VEILSUM_PRIVATE_KEY"):
        monkeypatch.setenv(name, KEY.key.hex())

    with pytest.raises(ConfigError):
        access()
