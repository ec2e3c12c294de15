"""Who signs: a key in this process, or a signer of its own that is asked and then checked."""

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import requests
from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from hexbytes import HexBytes
from urllib3.exceptions import HTTPError

from privacy.errors import ChainUnavailable, ConfigError, InvalidSignature

from .access import SignerAccess

FIELDS: Final = (
    "type", "chainId", "nonce", "gas", "maxFeePerGas", "maxPriorityFeePerGas", "to", "value",
    "data", "accessList",
)  # fmt: skip
"""All that a transaction of EIP-1559 says, and a signature covers."""

LARGEST_ANSWER: Final = 1 << 20

_NO_SUCH_METHOD: Final = -32601
_SOCKET: Final = "unix://"


class Raw(Protocol):
    """What signing gives: the bytes that are sent."""

    @property
    def raw_transaction(self) -> bytes:
        """Return them."""


class Signer(Protocol):
    """Signs transactions for one address; `eth_account`'s own keys do."""

    @property
    def address(self) -> str:
        """Return the address, with its checksum."""

    def sign_transaction(self, transaction_dict: dict[str, Any]) -> Raw:
        """Sign a transaction of EIP-1559."""


def signed_exactly(key: Signer, transaction: Mapping[str, Any]) -> bytes:
    """Return `transaction` signed by `key`: all of it, and nothing else.

    Raises:
        InvalidSignature: what came back is signed by another key, or says something else.
        ChainUnavailable: a signer elsewhere does not answer, or refuses.
    """
    asked = _fields(transaction)
    given = {name: value for name, value in asked.items() if name != "accessList"}
    raw = bytes(key.sign_transaction(given).raw_transaction)
    try:
        found = fields_of(raw)
        signer = Account.recover_transaction(raw)
    except Exception as error:  # whatever a decoder makes of bytes that are none
        raise _refused(key, f"no transaction of EIP-1559 ({type(error).__name__})") from None
    for name in FIELDS:
        if found[name] != asked[name]:
            raise _refused(key, f"{name} {_shown(found[name])} in place of {_shown(asked[name])}")
    if signer != key.address:
        raise _refused(key, f"with the key of {signer}")
    return raw


def fields_of(raw: bytes) -> dict[str, Any]:
    """Return what the signed bytes of an EIP-1559 transaction say."""
    return _fields(TypedTransaction.from_bytes(HexBytes(raw)).as_dict())


def name_of(raw: bytes) -> str:
    """Return the hash by which a chain knows signed bytes."""
    return "0x" + keccak(raw).hex()


@dataclass(frozen=True, slots=True)
class _Signed:
    raw_transaction: bytes = field(repr=False)


@dataclass(frozen=True)
class RemoteSigner:
    """A signer that holds the key elsewhere: web3signer, or clef; by HTTP or a Unix socket.

    What it returns is only believed after `signed_exactly` has read it.
    """

    access: SignerAccess
    answer_seconds: float = 60.0

    @property
    def address(self) -> str:
        """Return the address, with its checksum."""
        return str(to_checksum_address(self.access.address))

    def sign_transaction(self, transaction_dict: dict[str, Any]) -> Raw:
        """Have a transaction signed.

        Raises:
            ChainUnavailable: the signer does not answer, or refuses.
            InvalidSignature: it answers something that is no signed transaction.
        """
        asked = {name: _quantity(value) for name, value in transaction_dict.items()}
        params = {"from": self.address, **asked}
        if not transaction_dict["to"]:
            del params["to"]  # a new contract
        answer = self._ask("eth_signTransaction", params)
        if _code(answer) == _NO_SUCH_METHOD:
            answer = self._ask("account_signTransaction", params)
        return _Signed(self._bytes(answer))

    def _ask(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": [params]}
        body = json.dumps(request).encode()
        try:
            if self.access.url.startswith(_SOCKET):
                answer = self._over_socket(body)
            else:
                answer = json.loads(self._over_http(body))
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise ChainUnavailable(
                f"the signer at {self.access.url} does not answer ({type(error).__name__}); its "
                "operator must look. Nothing was sent"
            ) from None
        if not isinstance(answer, dict):
            raise _refused(self, "no answer to JSON-RPC")
        return answer

    def _over_http(self, body: bytes) -> bytes:
        access = self.access
        with requests.Session() as session:
            # Neither a proxy nor a password is taken from the environment.
            session.trust_env = False
            answer = session.post(
                access.url,
                data=body,
                headers={"Content-Type": "application/json"},
                timeout=self.answer_seconds,
                verify=str(access.authority) if access.authority else True,
                cert=(str(access.certificate), str(access.key)) if access.certificate else None,
                allow_redirects=False,
                stream=True,
            )
            answer.raise_for_status()
            return bytes(answer.raw.read(LARGEST_ANSWER, decode_content=True))

    def _over_socket(self, body: bytes) -> Any:  # noqa: ANN401 (JSON)
        """Ask as geth's IPC does: one JSON value there, one back, on a stream."""
        path = self.access.url.removeprefix(_SOCKET)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(self.answer_seconds)
            line.connect(path)
            line.sendall(body + b"\n")
            found = b""
            while len(found) < LARGEST_ANSWER:
                part = line.recv(1 << 16)
                found += part
                try:
                    return json.loads(found)
                except ValueError:
                    if not part:
                        raise
        raise ValueError("a longer answer than any")

    def _bytes(self, answer: Mapping[str, Any]) -> bytes:
        if "error" in answer:
            error = answer["error"]
            said = error.get("message") if isinstance(error, dict) else error
            raise ChainUnavailable(
                f"the signer at {self.access.url} refuses: {str(said)[:200]}; its operator must "
                "let it sign, and this is tried again"
            )
        result = answer.get("result")
        raw = result.get("raw") if isinstance(result, dict) else result  # clef, or web3signer
        try:
            return bytes.fromhex(str(raw).removeprefix("0x"))
        except ValueError:
            raise _refused(self, "no bytes") from None


def require_unix_socket(path: Path) -> None:
    """Return if there is a socket that others than its owner and group cannot write to.

    Raises:
        ConfigError: there is none, or anybody may ask it to sign.
    """
    if not path.is_socket():
        raise ConfigError(f"settlement.signer.url: {path} is no socket; start the signer")
    mode = path.stat().st_mode & 0o777
    if mode & 0o002:
        raise ConfigError(
            f"settlement.signer.url: {path} has mode {mode:04o}, so that anybody here may have "
            "things signed; the signer's operator must set 0660 or less"
        )


def _fields(transaction: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a transaction in one form, however a library writes them."""
    found = {"type": 2, "accessList": (), "value": 0, **transaction}
    numbers = ("type", "chainId", "nonce", "gas", "maxFeePerGas", "maxPriorityFeePerGas", "value")
    access = tuple(found["accessList"])
    return {
        **{name: _number(found[name]) for name in numbers},
        "to": bytes(HexBytes(found.get("to") or b"")),
        "data": bytes(HexBytes(found.get("data") or b"")),
        "accessList": access,
    }


def _number(value: Any) -> int:  # noqa: ANN401 (either form)
    return int(value, 16) if isinstance(value, str) else int(value)


def _quantity(value: int | bytes) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else hex(value)


def _shown(value: object) -> str:
    return "0x" + value.hex()[:80] if isinstance(value, bytes) else str(value)


def _code(answer: Mapping[str, Any]) -> int | None:
    error = answer.get("error")
    return error.get("code") if isinstance(error, dict) else None


def _refused(key: Signer, what: str) -> InvalidSignature:
    return InvalidSignature(
        f"the signer of {key.address} was asked for a transaction and gave {what}; nothing is "
        "sent. Its operator must find out why"
    )
