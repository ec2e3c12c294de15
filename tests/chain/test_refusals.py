"""What nodes say in words of their own, and what contracts say by name."""

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from web3.exceptions import ContractLogicError
from web3.exceptions import Web3RPCError as RpcError

from privacy.errors import ChainUnavailable, IllegalEvent
from veilsum.chain.refusals import is_seen_before, is_too_cheap, translated


@pytest.mark.parametrize(
    "says",
    [
        "already known",
        "transaction already imported",
        "Known transaction",
        "AlreadyKnown",
        "nonce too low: next nonce 5, tx nonce 4",
        "Nonce too low",
        "OldNonce",
    ],
)
def test_a_node_that_has_it_is_understood(says: str) -> None:
    """Whichever node it is: the chain is asked then."""
    assert is_seen_before(RpcError(says))
    assert not is_too_cheap(RpcError(says))


@pytest.mark.parametrize(
    "says",
    [
        "replacement transaction underpriced",
        "transaction underpriced",
        "max fee per gas less than block base fee: maxFeePerGas: 1, baseFee: 2",
        "Gas price below current base fee",
        "FeeTooLow, MaxFeePerGas too low.",
    ],
)
def test_a_node_that_wants_more_is_understood(says: str) -> None:
    """The nonce is not used; a higher fee under it is taken."""
    assert is_too_cheap(RpcError(says))
    assert not is_seen_before(RpcError(says))


@pytest.mark.parametrize("says", ["unknown transaction type", "exceeds block gas limit", ""])
def test_another_refusal_is_neither(says: str) -> None:
    """It is passed on, and nothing is taken for sent."""
    assert not is_seen_before(RpcError(says))
    assert not is_too_cheap(RpcError(says))


@pytest.mark.parametrize(
    "says", ["insufficient funds for gas * price + value", "Upfront cost exceeds account balance"]
)
def test_too_little_ether_is_said_to_be_that(says: str) -> None:
    """Its operator sends some."""
    with pytest.raises(ChainUnavailable, match="send its key some ether"), translated():
        raise RpcError(says)


def test_a_contract_refuses_by_its_own_name_for_it() -> None:
    """With the arguments, in the contract's own words."""
    selector = keccak(text="ERC20InsufficientBalance(address,uint256,uint256)")[:4]
    data = selector + encode(["address", "uint256", "uint256"], ["0x" + "12" * 20, 1, 2])
    error = ContractLogicError("execution reverted", data="0x" + data.hex())

    with (
        pytest.raises(IllegalEvent, match=r"ERC20InsufficientBalance\(.*balance=1, needed=2\)"),
        translated(),
    ):
        raise error


def test_a_refusal_that_nobody_knows_is_passed_on() -> None:
    """Of a token, say, that is not ours."""
    error = ContractLogicError("execution reverted: no", data="0x12345678")

    with pytest.raises(IllegalEvent, match="refused: execution reverted: no"), translated():
        raise error


def test_a_refusal_whose_arguments_cannot_be_read_is_still_one() -> None:
    """Its data is the endpoint's word."""
    named = keccak(b"SettlementEnded(uint64)")[:4]

    with pytest.raises(IllegalEvent, match="the contract refused: it says"), translated():
        raise ContractLogicError("it says", data="0x" + named.hex() + "00")


@pytest.mark.parametrize("error", [TypeError, ValueError, KeyError, AttributeError, IndexError])
def test_what_cannot_be_read_is_the_endpoints_fault(error: type[Exception]) -> None:
    with pytest.raises(ChainUnavailable, match="cannot be read"), translated():
        raise error("of no form")
