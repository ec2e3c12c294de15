"""What a chain and its contracts refuse, in errors that say who must act."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import requests
import structlog
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import abi_to_signature, function_signature_to_4byte_selector
from eth_utils.exceptions import ValidationError
from hexbytes import HexBytes
from web3.exceptions import BadFunctionCallOutput, ContractLogicError, Web3Exception
from web3.exceptions import Web3RPCError as RpcError

from privacy.errors import ChainUnavailable, IllegalEvent

from .compiled import load, names

log = structlog.get_logger()

# Each node has words of its own: geth, anvil, Besu, Erigon, Nethermind.
_SEEN_BEFORE: Final = re.compile(
    r"already known|alreadyknown|already imported|\bknown transaction|nonce (is )?too low|oldnonce"
)
_TOO_CHEAP: Final = re.compile(
    r"underpriced|fee too low|feetoolow|less than block base fee|gas price (too low|below)"
    r"|below (the )?current base fee"
)
_TOO_POOR: Final = re.compile(r"insufficient funds|insufficientfunds|exceeds account balance")

_UNREADABLE: Final = (
    TypeError, ValueError, LookupError, AttributeError, ArithmeticError, DecodingError,
    ValidationError,
)  # fmt: skip
"""What the chain's library raises at JSON that has not the form which it expects."""


def is_seen_before(error: RpcError) -> bool:
    """Return whether a node says that it has a transaction, or something under its nonce."""
    return _says(error, _SEEN_BEFORE)


def is_too_cheap(error: RpcError) -> bool:
    """Return whether a node refuses a transaction for what it offers for its gas."""
    return _says(error, _TOO_CHEAP)


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the chain's library raises into errors that say who must act."""
    try:
        yield
    except ContractLogicError as error:
        raise IllegalEvent(f"the contract refused: {refusal(error)}") from None
    except RpcError as error:
        advice = "; send its key some ether" if _says(error, _TOO_POOR) else ""
        raise ChainUnavailable(f"the chain's endpoint answered: {_reason(error)}{advice}") from None
    except BadFunctionCallOutput:
        raise ChainUnavailable(
            "the chain's endpoint answered nothing for the contract; it may be behind, or of "
            "another chain"
        ) from None
    except (Web3Exception, requests.RequestException, OSError) as error:
        raise ChainUnavailable(
            f"the chain's endpoint does not answer ({type(error).__name__})"
        ) from None
    except _UNREADABLE as error:
        # With its trace: it may be a mistake of ours.
        log.warning("chain_answer_unreadable", reason=type(error).__name__, exc_info=error)
        raise ChainUnavailable(
            f"the endpoint's answer cannot be read ({type(error).__name__}); its operator must "
            "look, or the settings name another endpoint"
        ) from None


def refusal(error: ContractLogicError) -> str:
    """Return the contract's own name for why it refused, with its arguments."""
    try:
        data = HexBytes(error.data) if isinstance(error.data, str) else HexBytes(b"")
        entry = _errors().get(bytes(data[:4]))
        return _reason(error) if entry is None else _described(entry, bytes(data[4:]))
    except _UNREADABLE:  # the data is the endpoint's word
        return _reason(error)


@cache
def _errors() -> dict[bytes, dict[str, Any]]:
    entries = (entry for name in names() for entry in load(name).abi)
    return {_selector(entry): entry for entry in entries if entry["type"] == "error"}


def _selector(entry: dict[str, Any]) -> bytes:
    return function_signature_to_4byte_selector(abi_to_signature(entry))  # type: ignore[arg-type]


def _described(entry: dict[str, Any], body: bytes) -> str:
    inputs: list[dict[str, str]] = entry["inputs"]
    values = decode([one["type"] for one in inputs], body)
    shown = [value.hex() if isinstance(value, bytes) else str(value) for value in values]
    pairs = zip(inputs, shown, strict=True)
    return f"{entry['name']}({', '.join(one['name'] + '=' + value for one, value in pairs)})"


def _says(error: RpcError, words: re.Pattern[str]) -> bool:
    return words.search(str(error).lower()) is not None


def _reason(error: Web3Exception) -> str:
    response = getattr(error, "rpc_response", None) or {}
    said = getattr(error, "message", None) or str(error)
    message = response.get("error", {}).get("message") or said
    return str(message).partition("\n")[0][:200]
