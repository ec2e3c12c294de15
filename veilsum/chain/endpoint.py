"""A chain's JSON-RPC endpoint: contracts called, transactions signed here and waited for."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import requests
from eth_abi.abi import decode
from eth_account.signers.local import LocalAccount
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils.abi import abi_to_signature, function_signature_to_4byte_selector
from eth_utils.crypto import keccak
from hexbytes import HexBytes
from web3 import HTTPProvider, Web3
from web3.contract.contract import Contract, ContractConstructor, ContractFunction
from web3.exceptions import ContractLogicError, TimeExhausted, TransactionNotFound, Web3Exception
from web3.exceptions import Web3RPCError as RpcError
from web3.types import TxParams, TxReceipt

from privacy.errors import ChainUnavailable, IllegalEvent, WrongContext

from .compiled import Artefact, load
from .journal import Journal

Call = ContractFunction | ContractConstructor
"""What can be sent: a function of a contract, or a contract's deployment."""

_SEEN_BEFORE = ("already known", "already imported", "nonce too low")
_KNOWN = ("Settlement", "DemoToken")


@dataclass(frozen=True, slots=True)
class Receipt:
    """A mined transaction that succeeded: its hash, gas used and new contract, if any."""

    transaction: str
    gas: int
    contract: str | None
    mined: TxReceipt = field(repr=False)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A connected endpoint whose chain is the one that was asked for."""

    web3: Web3
    chain_id: int
    patience_seconds: float

    def deployed(self, name: str, address: str) -> Contract:
        """Return the contract `name` at `address`.

        Raises:
            WrongContext: the code there is not that of this version's `name`.
            ChainUnavailable: the endpoint does not answer.
        """
        artefact = load(name)
        with translated():
            code = self.web3.eth.get_code(Web3.to_checksum_address(address))
        if code != HexBytes(artefact.deployed_bytecode):
            raise WrongContext(
                f"the code at {address} on chain {self.chain_id} is not that of {name}; "
                "whoever configured the address must correct it"
            )
        return self.at(artefact, address)

    def at(self, artefact: Artefact, address: str) -> Contract:
        """Return the contract at `address`, taken to have the interface of `artefact`."""
        checksummed = Web3.to_checksum_address(address)
        return self.web3.eth.contract(address=checksummed, abi=artefact.abi)

    def constructor(self, name: str, *arguments: object) -> ContractConstructor:
        """Return the deployment of the contract `name`, to be sent."""
        artefact = load(name)
        factory = self.web3.eth.contract(abi=artefact.abi, bytecode=HexBytes(artefact.bytecode))
        return factory.constructor(*arguments)

    def read(self, call: ContractFunction) -> Any:  # noqa: ANN401 (the ABI decides)
        """Return what `call` answers at the newest block.

        Raises:
            IllegalEvent: the contract refuses.
            ChainUnavailable: the endpoint does not answer.
        """
        with translated():
            return call.call()

    def send(
        self,
        key: LocalAccount,
        journal: Journal,
        purpose: str,
        call: Call,
    ) -> Receipt:
        """Sign `call`, journal it, broadcast it, and return its receipt once it is mined.

        After a crash the journalled bytes are sent again, so that one purpose has one
        effect; they are signed anew only when they failed, or can never be mined.

        Raises:
            IllegalEvent: the contract refuses; nothing was changed.
            ChainUnavailable: no answer, or not mined within `patience_seconds`.
        """
        with translated():
            signed = journal.get(purpose)
            if signed is None or self._is_spent(key, signed):
                signed = self._sign(key, call)
                journal.put(purpose, signed)
            self._broadcast(signed)
            return self._wait(signed)

    def recall(self, journal: Journal, purpose: str) -> Receipt | None:
        """Return the receipt of what was sent for `purpose`, if this journal knows it.

        Raises:
            ChainUnavailable: the endpoint does not answer.
        """
        signed = journal.get(purpose)
        if signed is None:
            return None
        with translated():
            return None if self._find(signed) is None else self._wait(signed)

    def _sign(self, key: LocalAccount, call: Call) -> bytes:
        eth = self.web3.eth
        if eth.get_balance(key.address) == 0:
            raise ChainUnavailable(
                f"{key.address} has no ether for gas; send it some, and run again"
            )
        # A fork's pending count may hold transactions that vanish: the mined count is the truth.
        nonce = eth.get_transaction_count(key.address, "latest")
        base = eth.get_block("latest").get("baseFeePerGas", 0)
        tip = eth.max_priority_fee
        options: TxParams = {
            "from": key.address,
            "nonce": nonce,
            "chainId": self.chain_id,
            "maxFeePerGas": Web3.to_wei(2 * base + tip, "wei"),
            "maxPriorityFeePerGas": tip,
        }
        transaction = call.build_transaction(options)
        return bytes(key.sign_transaction(cast(dict[str, Any], transaction)).raw_transaction)

    def _is_spent(self, key: LocalAccount, signed: bytes) -> bool:
        receipt = self._find(signed)
        if receipt is not None:
            return receipt["status"] != 1
        nonce: int = TypedTransaction.from_bytes(HexBytes(signed)).as_dict()["nonce"]
        return nonce < self.web3.eth.get_transaction_count(key.address, "latest")

    def _find(self, signed: bytes) -> TxReceipt | None:
        try:
            return self.web3.eth.get_transaction_receipt(HexBytes(keccak(signed)))
        except TransactionNotFound:
            return None

    def _broadcast(self, signed: bytes) -> None:
        try:
            self.web3.eth.send_raw_transaction(signed)
        except RpcError as error:
            if not any(words in str(error).lower() for words in _SEEN_BEFORE):
                raise

    def _wait(self, signed: bytes) -> Receipt:
        mined = self.web3.eth.wait_for_transaction_receipt(
            HexBytes(keccak(signed)), timeout=self.patience_seconds, poll_latency=0.05
        )
        name = HexBytes(mined["transactionHash"]).to_0x_hex()
        if mined["status"] != 1:
            raise IllegalEvent(f"transaction {name} was mined and failed; nothing was changed")
        return Receipt(name, mined["gasUsed"], mined.get("contractAddress"), mined)


def connect(
    url: str,
    *,
    chain_id: int | None = None,
    answer_seconds: float = 10.0,
    patience_seconds: float = 60.0,
) -> Endpoint:
    """Return the endpoint at `url`.

    Args:
        chain_id: of the chain it must be on; None takes the chain it is on.
        answer_seconds: how long one request may take.
        patience_seconds: how long a transaction may take to be mined.

    Raises:
        ChainUnavailable: nothing answers there.
        WrongContext: it is on another chain.
    """
    provider = HTTPProvider(
        url, request_kwargs={"timeout": answer_seconds}, exception_retry_configuration=None
    )
    web3 = Web3(provider)
    with translated():
        found = web3.eth.chain_id
    if chain_id is not None and found != chain_id:
        raise WrongContext(
            f"the endpoint is on chain {found}, not {chain_id}; its operator must correct the URL"
        )
    return Endpoint(web3, found, patience_seconds)


@contextmanager
def translated() -> Iterator[None]:
    """Turn what web3 raises into errors that say who must act."""
    try:
        yield
    except ContractLogicError as error:
        raise IllegalEvent(f"the contract refused: {refusal(error)}") from None
    except TimeExhausted:
        raise ChainUnavailable("the transaction is not mined yet; run this again") from None
    except RpcError as error:
        raise ChainUnavailable(f"the chain's endpoint answered: {_reason(error)}") from None
    except (Web3Exception, requests.RequestException, OSError) as error:
        raise ChainUnavailable(
            f"the chain's endpoint does not answer ({type(error).__name__})"
        ) from None


def refusal(error: ContractLogicError) -> str:
    """Return the contract's own name for why it refused, with its arguments."""
    data = HexBytes(error.data) if isinstance(error.data, str) else HexBytes(b"")
    for name in _KNOWN:
        for entry in load(name).abi:
            if entry["type"] == "error" and _selector(entry) == data[:4]:
                return _described(entry, bytes(data[4:]))
    return _reason(error)


def _selector(entry: dict[str, Any]) -> bytes:
    return function_signature_to_4byte_selector(abi_to_signature(entry))  # type: ignore[arg-type]


def _described(entry: dict[str, Any], body: bytes) -> str:
    inputs: list[dict[str, str]] = entry["inputs"]
    values = decode([one["type"] for one in inputs], body)
    shown = [value.hex() if isinstance(value, bytes) else str(value) for value in values]
    pairs = zip(inputs, shown, strict=True)
    return f"{entry['name']}({', '.join(one['name'] + '=' + value for one, value in pairs)})"


def _reason(error: Web3Exception) -> str:
    response = getattr(error, "rpc_response", None) or {}
    message = response.get("error", {}).get("message") or str(error)
    return str(message).partition("\n")[0][:200]
