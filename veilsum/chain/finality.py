"""What is final on a chain: the same block, and the same answers, from every endpoint given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from eth_utils.abi import abi_to_signature
from hexbytes import HexBytes
from web3 import Web3
from web3.contract.contract import ContractFunction
from web3.exceptions import BadFunctionCallOutput, BlockNotFound
from web3.exceptions import Web3RPCError as RpcError
from web3.types import BlockIdentifier

from privacy.errors import ChainUnavailable, EndpointsDiffer

from .lines import Alone, host_of

DEPTH_WITHOUT_WORD: Final = 64
"""Blocks, on a chain that has no word for what is final."""

HEADS_APART: Final = 64
"""Blocks; an endpoint that is further behind another is not believed about what is final."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Block:
    """A block: its number and its hash in hex."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Finality:
    """Which blocks of a chain count as final, by the word of each of its endpoints.

    Attributes:
        each: the endpoints, each by itself.
        blocks: how many stand above a final block; the chain's own word, if None.
    """

    each: tuple[Web3, ...]
    blocks: int | None

    def newest(self) -> Block:
        """Return the newest block that every endpoint holds to be final.

        Raises:
            EndpointsDiffer: they have different ones under its number.
            ChainUnavailable: one is too far behind another.
        """
        heads = [int(web3.eth.block_number) for web3 in self.each]
        if max(heads) - min(heads) > HEADS_APART:
            raise ChainUnavailable(
                f"the endpoints {self._names()} are at blocks {_listed(heads)}; one of them is "
                "behind, and until it has caught up nothing counts as final"
            )
        pairs = zip(self.each, heads, strict=True)
        return self._same_block(min(self._final(web3, head) for web3, head in pairs))

    def holds(self, block: Block) -> bool:
        """Return whether a block is final, and on the chain that every endpoint has."""
        return block.number <= self.newest().number and self._same_block(block.number) == block

    def count(self, address: str) -> int:
        """Return how many transactions of a sender are final.

        Raises:
            EndpointsDiffer, ChainUnavailable: as for `newest`.
        """
        number = self.newest().number
        sender = Web3.to_checksum_address(address)
        ask = [_asking_count(web3, sender, number) for web3 in self.each]
        return self._same(f"the transactions of {address} up to block {number}", ask)

    def code(self, address: str) -> bytes:
        """Return the code at an address, as of the newest final block.

        Raises:
            EndpointsDiffer, ChainUnavailable: as for `newest`.
        """
        number, at = self.newest().number, Web3.to_checksum_address(address)
        ask = [_asking_code(web3, at, number) for web3 in self.each]
        return self._same(f"the code at {address} in block {number}", ask)

    def read(self, call: ContractFunction) -> Any:  # noqa: ANN401 (the ABI decides)
        """Return what `call` answers at the newest final block.

        Raises:
            EndpointsDiffer: two endpoints give different answers.
            ChainUnavailable: the contract is not final yet; or as for `newest`.
        """
        number = self.newest().number
        what = f"what {call.fn_name} answers at block {number}"
        try:
            return self._same(what, self.asking(call, number))
        except BadFunctionCallOutput:
            raise ChainUnavailable(
                f"there is no such contract at {call.address} in block {number}, the newest that "
                "is final; this is tried again"
            ) from None

    def asking(self, call: ContractFunction, at: BlockIdentifier) -> list[Callable[[], Any]]:
        """Return what asks each endpoint by itself what `call` answers at a block."""
        return [_asking(web3, call, at) for web3 in self.each]

    def _final(self, web3: Web3, head: int) -> int:
        if self.blocks is not None:
            return max(head - self.blocks, 0)
        try:
            return int(web3.eth.get_block("finalized")["number"])
        except BlockNotFound:
            return 0  # nothing is final yet
        except RpcError:
            return max(head - DEPTH_WITHOUT_WORD, 0)

    def _same_block(self, number: int) -> Block:
        ask = [_asking_hash(web3, number) for web3 in self.each]
        return Block(number, self._same(f"the hash of block {number}, which is final", ask))

    def _same(self, what: str, ask: Sequence[Callable[[], Answer]]) -> Answer:
        answers = [each() for each in ask]
        if any(answer != answers[0] for answer in answers):
            raise EndpointsDiffer(
                f"the endpoints {self._names()} differ in {what}: {_listed(answers)}; one of them "
                "is wrong, and nothing counts until the operator has found out which"
            )
        return answers[0]

    def _names(self) -> str:
        return " and ".join(name_of(web3) for web3 in self.each)


def name_of(web3: Web3) -> str:
    """Return the host and port of an endpoint that is asked by itself."""
    provider = web3.provider
    return host_of(provider.line.url) if isinstance(provider, Alone) else str(provider)


def _asking_hash(web3: Web3, number: int) -> Callable[[], str]:
    def ask() -> str:
        return HexBytes(web3.eth.get_block(number)["hash"]).to_0x_hex()

    return ask


def _asking_count(web3: Web3, sender: Any, number: BlockIdentifier) -> Callable[[], int]:  # noqa: ANN401
    return lambda: int(web3.eth.get_transaction_count(sender, number))


def _asking_code(web3: Web3, at: Any, number: BlockIdentifier) -> Callable[[], bytes]:  # noqa: ANN401
    return lambda: bytes(web3.eth.get_code(at, number))


def _asking(web3: Web3, call: ContractFunction, number: BlockIdentifier) -> Callable[[], Any]:
    contract = web3.eth.contract(address=call.address, abi=call.contract_abi)
    again = contract.get_function_by_signature(abi_to_signature(call.abi))
    return lambda: again(*call.args, **call.kwargs).call(block_identifier=number)


def _listed(values: Sequence[object]) -> str:
    return " and ".join(str(value)[:100] for value in values)
