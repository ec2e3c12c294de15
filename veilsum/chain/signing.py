"""Who signs: a key in this process, or a signer of its own that is asked and then checked."""

import json
import socket
import stat
import time
from collections.abc import Callable, Mapping
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

from . import nesting  # noqa: F401  what answers may be nested without harm
from .access import SignerAccess
from .exchange import prompt_session

FIELDS: Final = (
    "type", "chainId", "nonce", "gas", "maxFeePerGas", "maxPriorityFeePerGas", "to", "value",
    "data", "accessList",
)  # fmt: skip
"""All that a transaction of EIP-1559 says, and a signature covers."""

LARGEST_ANSWER: Final = 1 << 20

_NO_SUCH_METHOD: Final = -32601
_WITH_AN_ERROR: Final = 400
"""The status with which web3signer says that it cannot read what it was asked."""

_PART: Final = 1 << 16
_SHORTEST_SECONDS: Final = 0.01
_SOCKET: Final = "unix://"
_TRANSACTION: Final = "a transaction"


class Raw(Protocol):
    """What signing gives: the bytes that are sent."""

    @property
    def raw_transaction(self) -> bytes:
        """Return them."""


class Said(Protocol):
    """What signing typed data gives: r, s and v, 65 bytes."""

    @property
    def signature(self) -> bytes:
        """Return them."""


class Signer(Protocol):
    """Signs transactions and typed data for one address; `eth_account`'s own keys do."""

    @property
    def address(self) -> str:
        """Return the address, with its checksum."""

    def sign_transaction(self, transaction_dict: dict[str, Any]) -> Raw:
        """Sign a transaction of EIP-1559."""

    def sign_typed_data(self, *, full_message: dict[str, Any]) -> Said:
        """Sign typed data of EIP-712: types, primaryType, domain and message."""


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
        what = f"no transaction of EIP-1559 ({type(error).__name__})"
        raise refused(key, _TRANSACTION, what) from None
    for name in FIELDS:
        if found[name] != asked[name]:
            what = f"{name} {_shown(found[name])} in place of {_shown(asked[name])}"
            raise refused(key, _TRANSACTION, what)
    if signer != key.address:
        raise refused(key, _TRANSACTION, f"one with the key of {signer}")
    return raw


def fields_of(raw: bytes) -> dict[str, Any]:
    """Return what the signed bytes of an EIP-1559 transaction say."""
    return _fields(TypedTransaction.from_bytes(HexBytes(raw)).as_dict())


def name_of(raw: bytes) -> str:
    """Return the hash by which a chain knows signed bytes."""
    return "0x" + keccak(raw).hex()


def refused(key: Signer, asked: str, gave: str) -> InvalidSignature:
    """Return the error for a signer that gave something else than it was asked for."""
    return InvalidSignature(
        f"the signer of {key.address} was asked for {asked} and gave {gave}; nothing is sent. "
        "Its operator must find out why"
    )


@dataclass(frozen=True, slots=True)
class _Signed:
    raw_transaction: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Said:
    signature: bytes = field(repr=False)


@dataclass(frozen=True)
class RemoteSigner:
    """A signer that holds the key elsewhere: web3signer, or clef; by HTTP or a Unix socket.

    What it returns is only believed after `signed_exactly`, or `sign_typed`, has read it.

    Attributes:
        answer_seconds: how long one question may take, until the last byte of its answer.
    """

    access: SignerAccess
    answer_seconds: float = 60.0
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)

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
        answer = self._ask("eth_signTransaction", [params])
        if _code(answer) == _NO_SUCH_METHOD:
            answer = self._ask("account_signTransaction", [params])
        return _Signed(self._bytes(_TRANSACTION, answer))

    def sign_typed_data(self, *, full_message: dict[str, Any]) -> Said:
        """Have typed data signed.

        web3signer takes an address and the JSON as a text; only its newer releases take the JSON
        as it is. clef takes an address and the JSON as it is, and never a text. Both take numbers
        in decimal text, the chain's in the domain as well, and answer with r, s, and 27 or 28.

        Raises:
            ChainUnavailable: the signer does not answer, or refuses.
            InvalidSignature: it answers something that is no bytes.

        Source: Consensys/web3signer, EthSignTypedDataResultProvider.java (since 23.9.0), and
            web3j's StructuredDataEncoder behind it; ethereum/go-ethereum, cmd/clef/README.md,
            "account_signTypedData", and signer/core/apitypes/types.go.
        """
        answer = self._ask("eth_signTypedData", [self.address, json.dumps(full_message)])
        if _code(answer) == _NO_SUCH_METHOD:
            answer = self._ask("account_signTypedData", [self.address, full_message])
        return _Said(self._bytes(f"a signature of {full_message['primaryType']}", answer))

    def _ask(self, method: str, params: list[Any]) -> dict[str, Any]:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        body, end = json.dumps(request).encode(), self.clock() + self.answer_seconds
        try:
            if self.access.url.startswith(_SOCKET):
                answer = self._over_socket(body, end)
            else:
                answer = json.loads(self._over_http(body, end))
        except (requests.RequestException, HTTPError, OSError, ValueError, RecursionError) as error:
            raise ChainUnavailable(
                f"the signer at {self.access.url} does not answer ({type(error).__name__}); its "
                "operator must look. Nothing was sent"
            ) from None
        if not isinstance(answer, dict):
            raise refused(self, method, "no answer to JSON-RPC")
        return answer

    def _over_http(self, body: bytes, end: float) -> bytes:
        access = self.access
        with prompt_session() as session:
            # Neither a proxy nor a password is taken from the environment.
            session.trust_env = False
            with session.post(
                access.url,
                data=body,
                headers={"Content-Type": "application/json"},
                timeout=self._left(end),
                verify=str(access.authority) if access.authority else True,
                cert=(str(access.certificate), str(access.key)) if access.certificate else None,
                allow_redirects=False,
                stream=True,
            ) as answer:
                if answer.status_code != _WITH_AN_ERROR:
                    answer.raise_for_status()
                return self._read(answer, end)

    def _read(self, answer: requests.Response, end: float) -> bytes:
        found = bytearray()
        while part := answer.raw.read1(_PART, decode_content=True):
            found += part
            if len(found) > LARGEST_ANSWER or self.clock() > end:
                raise requests.Timeout("a longer answer than any, or a slower one")
        return bytes(found)

    def _over_socket(self, body: bytes, end: float) -> Any:  # noqa: ANN401 (JSON)
        """Ask as geth's IPC does: one JSON value there, one back, on a stream."""
        path = self.access.url.removeprefix(_SOCKET)
        # It may have been made anew since the start, for everybody.
        require_unix_socket(Path(path))
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(self._left(end))
            line.connect(path)
            line.settimeout(self._left(end))
            line.sendall(body + b"\n")
            found = b""
            while len(found) < LARGEST_ANSWER:
                line.settimeout(self._left(end))
                part = line.recv(_PART)
                found += part
                try:
                    return json.loads(found)
                except ValueError:
                    if not part or self.clock() > end:
                        raise
        raise ValueError("a longer answer than any")

    def _left(self, end: float) -> float:
        return max(end - self.clock(), _SHORTEST_SECONDS)

    def _bytes(self, asked: str, answer: Mapping[str, Any]) -> bytes:
        if (error := answer.get("error")) is not None:
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
            raise refused(self, asked, "no bytes") from None


def require_unix_socket(path: Path) -> None:
    """Return if others than its owner and group cannot write to a socket, or none is there yet.

    Raises:
        ConfigError: something else is there, or anybody may ask it to sign.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return  # the signer is not started: whoever asks it finds nobody, and asks again
    except OSError as error:
        raise ConfigError(
            f"settlement.signer.url: {path} cannot be reached ({error.strerror}); correct it"
        ) from None
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"settlement.signer.url: {path} is no socket; correct it")
    if mode & stat.S_IWOTH:
        raise ConfigError(
            f"settlement.signer.url: {path} has mode {stat.S_IMODE(mode):04o}, so that anybody "
            "here may have things signed; the signer's operator must set 0660 or less"
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
