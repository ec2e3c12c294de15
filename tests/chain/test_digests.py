"""Typed data is signed as a contract takes it, wherever the key is, and else refused."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from privacy.errors import ChainUnavailable, InvalidSignature
from privacy.settlement.commitment import Slot, typed_receipt, typed_seat_sum, typed_verdict
from privacy.settlement.payouts import Domain
from privacy.settlement.typed import TypedData
from tests.chain.door import KEY
from tests.chain.fake_signer import FakeSigner, over_http, over_socket, twin
from veilsum.chain.access import SignerAccess
from veilsum.chain.digests import sign_typed, signer_of_digest
from veilsum.chain.signing import RemoteSigner, Signer

HERE = Domain(31337, "0x" + "5e" * 20, "70" * 32)
RECEIPT = typed_receipt(HERE, 7, Slot(13, b"\x22" * 32))
OTHER = typed_receipt(HERE, 7, Slot(14, b"\x22" * 32))
EACH = (
    RECEIPT,
    typed_seat_sum(HERE, 7, 2, b"\x33" * 32),
    typed_verdict(HERE, 7, "0x" + "ab" * 20, b"\x44" * 32),
)
HOLDERS = ("here", "web3signer", "clef")


@contextmanager
def held(by: str, folder: Path, **does: Any) -> Iterator[Signer]:
    """The key, here or with a signer elsewhere."""
    signer = FakeSigner(clef=by == "clef", **does)
    if by == "here":
        yield KEY
    elif by == "clef":
        with over_socket(signer, folder) as remote:
            yield remote
    else:
        with over_http(signer) as remote:
            yield remote


@pytest.mark.parametrize("by", HOLDERS)
@pytest.mark.parametrize("said", EACH, ids=lambda said: said.message.name)
def test_who_holds_the_key_makes_no_difference(by: str, said: TypedData, tmp_path: Path) -> None:
    """The 65 bytes of `ECDSA.recover`, over the digest that contracts make."""
    with held(by, tmp_path) as key:
        signature = sign_typed(key, said)

    assert signer_of_digest(said.digest(), signature) == KEY.address.lower()
    assert signature == bytes(KEY.unsafe_sign_hash(said.digest()).signature)


def test_a_signature_over_another_digest_is_another_signers() -> None:
    """Recovery always finds somebody; whoever asks must compare."""
    signature = sign_typed(KEY, RECEIPT)

    assert signer_of_digest(OTHER.digest(), signature) != KEY.address.lower()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda signature: signature[:64],
        lambda signature: signature + b"\0",
        lambda signature: signature[:64] + b"\x00",
        lambda signature: signature[:64] + b"\x1d",
        lambda _: bytes(64) + b"\x1b",
        lambda _: b"\xff" * 64 + b"\x1b",
        lambda _: b"",
        twin,
    ],
    ids=["short", "long", "parity", "v", "zeros", "ones", "nothing", "twin"],
)
def test_what_a_contract_refuses_is_refused(spoil) -> None:
    """A verdict that reverts would cost gas; the twin of a signature counts nowhere twice."""
    with pytest.raises(InvalidSignature, match="no signature by a key of the chain"):
        signer_of_digest(RECEIPT.digest(), spoil(sign_typed(KEY, RECEIPT)))
    with (
        over_http(FakeSigner(spoil=spoil)) as remote,
        pytest.raises(InvalidSignature, match=r"asked for a signature of Receipt .* operator"),
    ):
        sign_typed(remote, RECEIPT)


def changed(where: str, name: str, value: str):
    return lambda document: {**document, where: {**document[where], name: value}}


@pytest.mark.parametrize("by", ["web3signer", "clef"])
@pytest.mark.parametrize(
    "lies",
    [
        {"say": changed("message", "contribution", "0x" + "99" * 32)},
        {"say": changed("message", "round", "8")},
        {"say": changed("domain", "chainId", "1")},
        {"say": changed("domain", "verifyingContract", "0x" + "00" * 20)},
    ],
    ids=["contribution", "round", "chain", "contract"],
)
def test_a_signer_that_signs_something_else_is_refused(by: str, lies: dict, tmp_path: Path) -> None:
    """It would be a promise that nobody here has made."""
    with (
        held(by, tmp_path, **lies) as key,
        pytest.raises(InvalidSignature, match=r"by another key, or of something else .* operator"),
    ):
        sign_typed(key, RECEIPT)


def test_a_signer_with_another_key_is_refused() -> None:
    """Whoever is shown it would look for the bond of another account."""
    other = Account.from_key(b"\x08" * 32)

    class Other:
        address = KEY.address
        sign_typed_data = staticmethod(other.sign_typed_data)

    with pytest.raises(InvalidSignature, match=f"another key.*{other.address.lower()}"):
        sign_typed(Other(), RECEIPT)


@pytest.mark.parametrize(
    ("does", "error", "says"),
    [
        ({"answer": {"error": {"code": -32000, "message": "denied"}}}, ChainUnavailable, "denied"),
        ({"answer": {"result": "<html>"}}, InvalidSignature, "no bytes"),
        ({"answer": {"result": None}}, InvalidSignature, "no bytes"),
        ({"answer": ["0x"]}, InvalidSignature, "no answer to JSON-RPC"),
        ({"page": b"<html>busy</html>"}, ChainUnavailable, "does not answer"),
        ({"page": b""}, ChainUnavailable, "does not answer"),
        ({"page": b"[" * 100_000}, ChainUnavailable, "does not answer"),
        ({"page": b"1" * (2 << 20)}, ChainUnavailable, "does not answer"),
        ({"typed": False}, ChainUnavailable, "refuses.*let it sign"),
        ({"key": Account.from_key(b"\x08" * 32)}, ChainUnavailable, "refuses"),
    ],
    ids=[
        "denied", "html", "null", "list", "page", "empty", "deep", "long", "unknown", "no-account",
    ],
)  # fmt: skip
def test_a_signer_that_gives_no_signature_is_named(does: dict, error: type, says: str) -> None:
    """With whoever must look; what may pass by itself is told apart from what does not."""
    with over_http(FakeSigner(**does)) as remote, pytest.raises(error, match=says):
        sign_typed(remote, RECEIPT)


def test_web3signer_is_given_a_text_and_clef_what_it_says(tmp_path: Path) -> None:
    """Releases of web3signer from 23.9.0 on take a text; clef never does."""
    web3signer, clef = FakeSigner(), FakeSigner(clef=True)
    with over_http(web3signer) as remote:
        sign_typed(remote, RECEIPT)
    with over_socket(clef, tmp_path) as remote:
        sign_typed(remote, RECEIPT)

    (text,) = [each["params"][1] for each in web3signer.asked]
    methods = [each["method"] for each in clef.asked]
    assert isinstance(text, str)
    assert clef.asked[-1]["params"] == [KEY.address, RECEIPT.document()]
    assert methods == ["eth_signTypedData", "account_signTypedData"]


def test_a_signer_that_is_down_is_asked_again_the_next_time(tmp_path: Path) -> None:
    """No failure is remembered."""
    with over_socket(FakeSigner(clef=True), tmp_path) as remote:
        pass
    with pytest.raises(ChainUnavailable, match="does not answer"):
        sign_typed(remote, RECEIPT)

    with over_socket(FakeSigner(clef=True), tmp_path):
        signature = sign_typed(remote, RECEIPT)

    assert signature == sign_typed(KEY, RECEIPT)


@pytest.mark.parametrize("by", ["http", "socket"])
@pytest.mark.parametrize("drips", [0.0, 0.05], ids=["nothing", "a byte now and then"])
def test_a_signer_that_hangs_is_waited_for_so_long_and_no_longer(
    by: str, drips: float, tmp_path: Path
) -> None:
    """Whoever waits for it has other things to do."""
    waits = threading.Event()
    signer = FakeSigner(clef=by == "socket", waits=None if drips else waits, drips=drips)
    way = over_http(signer, 0.2) if by == "http" else over_socket(signer, tmp_path, 0.2)

    with way as remote:
        with pytest.raises(ChainUnavailable, match="does not answer"):
            sign_typed(remote, RECEIPT)
        waits.set()


def test_a_signer_that_is_nowhere_is_unavailable() -> None:
    remote = RemoteSigner(SignerAccess("http://127.0.0.1:1", KEY.address))

    with pytest.raises(ChainUnavailable, match="does not answer"):
        sign_typed(remote, RECEIPT)
