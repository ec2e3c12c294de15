"""The contract that judges proofs, called without a chain, a block or a transaction."""

from functools import cached_property

from eth_tester import EthereumTester
from eth_utils.abi import abi_to_signature, function_signature_to_4byte_selector

from privacy.settlement.abi import Tail, blob, struct, uint
from privacy.settlement.commitment import domain_separator
from privacy.settlement.payouts import address_word
from privacy.settlement.sum_proof import Node, Opening, Proof
from privacy.settlement.sum_verdict import Context
from veilsum.chain.compiled import load

_CODE_AT = b"\x51" * 20
_CALLER = b"\x52" * 20
_GAS = 16_000_000


def context_words(context: Context) -> bytes:
    """The contract's `Context`, which has no tails."""
    return b"".join(
        (
            uint(context.domain.chain_id),
            address_word(context.domain.contract),
            domain_separator(context.domain),
            address_word(context.coordinator),
            context.arithmetic,
            uint(context.leaves_per_chunk),
            uint(context.last_chunk_leaves),
            context.payouts_before,
            context.commit.encode(),
        )
    )


def node_words(node: Node) -> bytes:
    return b"".join(map(uint, (node.tree, node.chunk, node.leaf, node.level, node.index)))


class Verifier:
    """The compiled artefact on the embedded machine; a call that reverts answers None."""

    def __init__(self) -> None:
        artefact = load("SumVerifier")
        self._selectors = {
            entry["name"]: function_signature_to_4byte_selector(abi_to_signature(entry))
            for entry in artefact.abi
            if entry["type"] == "function"
        }
        self._code = bytes.fromhex(artefact.deployed_bytecode.removeprefix("0x"))

    @cached_property
    def _machine(self):
        return EthereumTester().backend.chain.get_vm()

    def verdict_call(self, context: Context, kind: int, proof: bytes) -> bytes:
        return self._call_data("verdict", context_words(context), uint(kind), blob(proof))

    def verdict(self, context: Context, proof: Proof) -> bool | None:
        return self.run(self.verdict_call(context, proof.kind, proof.encode()))

    def exists(self, context: Context, node: Node, arithmetic: bytes) -> bool | None:
        words = (context_words(context), node_words(node), blob(arithmetic))
        return self.run(self._call_data("exists", *words))

    def opens(self, context: Context, node: Node, opening: Opening) -> bool | None:
        words = (context_words(context), node_words(node), blob(opening.encode()))
        return self.run(self._call_data("opens", *words))

    def run(self, data: bytes) -> bool | None:
        done = self.execute(data)
        return None if done.is_error else bool(int.from_bytes(done.output, "big"))

    def execute(self, data: bytes, code: bytes | None = None):
        # The state is never written: nothing has to be put back.
        return self._machine.execute_bytecode(
            origin=_CALLER,
            gas_price=0,
            gas=_GAS,
            to=_CODE_AT,
            sender=_CALLER,
            value=0,
            data=data,
            code=code or self._code,
        )

    def _call_data(self, name: str, *parts: bytes | Tail) -> bytes:
        return self._selectors[name] + struct(*parts).body
