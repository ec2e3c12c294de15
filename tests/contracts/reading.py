"""Calls of the contract, read back with another ABI library than the one that made them."""

from dataclasses import fields

import eth_abi

from privacy.settlement.commitment import Commit, Slot
from privacy.settlement.payouts import Domain
from privacy.settlement.sum_proof import (
    BadLeaf,
    BadPayout,
    BadSum,
    BadTop,
    Fault,
    Kind,
    Layer,
    Malformed,
    Omitted,
    Payout,
    Proof,
    Tree,
)
from privacy.settlement.sum_verdict import Context
from tests.privacy.example_sums import signer_of

ROOTS = "bytes32,bytes32,bytes32,bytes32,bytes32,bytes32"
COMMIT = f"(bytes32,uint64,bytes32,uint32,{ROOTS},uint128,uint128,uint128)"
CONTEXT = f"(uint256,address,bytes32,address,bytes32,uint32,uint32,bytes32,{COMMIT})"
PAYOUT = "(uint256,bytes32,bytes32,bytes32[])"
PROOFS = {
    Kind.BAD_SUM: "(uint32,uint32,uint32,uint32,uint32,uint32,bytes,bytes,bytes32[],bytes)",
    Kind.BAD_LEAF: "(uint32,uint32,uint32,uint32,bytes32,bytes32,bytes32[],bytes)",
    Kind.BAD_TOP: "(uint32,uint32,bytes32,bytes32[],bytes)",
    Kind.MALFORMED: "(uint8,uint8,uint32,uint32,uint32,uint32,uint32,uint32,bytes,bytes32[],bytes)",
    Kind.OMITTED: "(uint32,bytes32,bytes,uint32,(uint32,bytes32)[],bytes32[])",
    Kind.BAD_PAYOUT: f"(uint8,address,{PAYOUT},bytes,{PAYOUT})",
}


def read_call(call: bytes) -> tuple[Context, Proof]:
    context, kind, proof = eth_abi.decode([CONTEXT, "uint8", "bytes"], call[4:])
    return _context(context), read_proof(Kind(kind), proof)


def read_proof(kind: Kind, body: bytes) -> Proof:
    """A proof out of the bytes that a challenge carries."""
    (values,) = eth_abi.decode([PROOFS[kind]], body)
    return _proof(kind, values)


def _context(values: tuple) -> Context:
    chain_id, contract, _, coordinator, arithmetic, leaves, last, before, commit = values
    made = _commit(commit)
    domain = Domain(chain_id, contract, made.programme)
    return Context(domain, coordinator, arithmetic, leaves, last, before, made, signer_of)


def _commit(values: tuple) -> Commit:
    plain = [one.hex() if isinstance(one, bytes) else one for one in values]
    return Commit(*plain[:10], *map(str, plain[10:]))


def _proof(kind: Kind, values: tuple) -> Proof:
    match kind:
        case Kind.MALFORMED:
            tree, layer, *where, preimage, steps, arithmetic = values
            return Malformed(Tree(tree), Layer(layer), preimage, steps, arithmetic, *where)
        case Kind.OMITTED:
            slot_id, contribution, signature, slot, slots, steps = values
            found = tuple(Slot(*each) for each in slots)
            return Omitted(Slot(slot_id, contribution), signature, slot, found, steps)
        case Kind.BAD_PAYOUT:
            fault, payee, payout, entry, other = values
            return BadPayout(Fault(fault), payee, Payout(*payout), entry, Payout(*other))
    plain = {Kind.BAD_SUM: BadSum, Kind.BAD_LEAF: BadLeaf, Kind.BAD_TOP: BadTop}[kind]
    assert len(fields(plain)) == len(values)
    return plain(*values)
