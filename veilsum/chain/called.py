"""What a transaction has called a contract with, read as the contract reads it.

Whoever sends it may fill what stands between its parts with anything: no contract looks there.
"""

from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import (
    abi_to_signature,
    function_signature_to_4byte_selector,
    get_abi_input_types,
)
from hexbytes import HexBytes
from web3.exceptions import TransactionNotFound

from privacy.errors import MalformedMessage

from .endpoint import Contract, Endpoint, translated


def called_with(
    endpoint: Endpoint, contract: Contract, name: str, transaction: str
) -> tuple[Any, ...]:
    """Return the arguments with which a transaction has called a function, in its order.

    Raises:
        MalformedMessage: it has called something else, as another contract that called this one;
            or there is no such transaction.
        ChainUnavailable: the endpoint does not answer.
    """
    with translated():
        try:
            sent = endpoint.web3.eth.get_transaction(HexBytes(transaction))
        except TransactionNotFound:
            raise MalformedMessage(f"there is no transaction {transaction[:18]}…") from None
    if sent["to"] != contract.address:
        raise MalformedMessage(f"a transaction to {sent['to']}, whose words are its own")
    return arguments_of(contract, name, bytes(sent["input"]))


def arguments_of(contract: Contract, name: str, called: bytes) -> tuple[Any, ...]:
    """Return the arguments that a call of a function carries, in its order.

    Raises:
        MalformedMessage: it is no call of that function.
    """
    entry = contract.get_function_by_name(name).abi
    if called[:4] != function_signature_to_4byte_selector(abi_to_signature(entry)):
        raise MalformedMessage(f"a transaction that calls something else than {name}")
    return _read(get_abi_input_types(entry), called[4:])


def struct_in(forms: list[str], body: bytes) -> tuple[Any, ...]:
    """Return the fields of one struct, alone in `body`, that has fields without fixed length.

    Raises:
        MalformedMessage: this is not its encoding.
    """
    # Not as one type: inside of a struct the library insists on padding in any case.
    (start,) = _read(["uint256"], body)
    return _read(forms, body[start:])


def _read(forms: list[str], body: bytes) -> tuple[Any, ...]:
    try:
        return decode(forms, body, strict=False)
    except (DecodingError, OverflowError) as error:
        raise MalformedMessage(f"no ABI encoding: {type(error).__name__}") from None
