"""What it costs to prove one wrong addition, by the number of sites, at a depth of sixteen."""

import os
from dataclasses import dataclass, replace
from hashlib import sha256

import msgspec
import numpy as np
import pytest

from privacy.arithmetic import Arithmetic, ModulusRange
from privacy.merkle import tree_root
from privacy.settlement.abi import blob, struct, uint
from privacy.settlement.sum_proof import BadSum
from privacy.settlement.sum_tree import Place, Served, SumNode, Wrong, prove_sum, sum_node, sum_tree
from privacy.settlement.sum_verdict import Context
from tests.contracts.verifying import Verifier
from tests.privacy.example_sums import PRIME, TWO_64, WORDS, Example

CHUNKS, LEAVES, CHUNK, LEAF = 4096, 16, 7, 3
"""Twelve levels over the chunks and four over the leaves of one."""

LARGEST = 330_000
SETTLEMENT = 125_000
"""What is left for the rest of a challenge: the seal, the slash, the credits, the events."""

SMALL = Example(slots=1, chunks=1, leaves=1, last_leaves=1)


@dataclass(frozen=True)
class Dispute:
    context: Context
    proof: BadSum


def dispute(slots: int, modulus: int, level: int) -> Dispute:
    """A wrong node among `slots` contributions, whose own digest was made up."""
    place = Place(CHUNK, LEAF, 0, modulus)
    source = np.random.default_rng(slots)
    rows = source.integers(0, modulus - 1, (slots, WORDS), np.uint64, endpoint=True)
    levels = [list(nodes) for nodes in sum_tree(place, rows)]
    for height in range(level, len(levels)):
        left, right = levels[height - 1][:2]
        own = sha256(b"a lie").digest() if height == level else levels[height][0].own
        levels[height][0] = SumNode(sum_node(left.digest, right.digest, own), own)
    tops = tuple(sha256(bytes([leaf])).digest() for leaf in range(LEAVES))
    tops = (*tops[:LEAF], levels[-1][0].digest, *tops[LEAF + 1 :])
    roots = [sha256(chunk.to_bytes(4, "big")).digest() for chunk in range(CHUNKS)]
    roots[CHUNK] = tree_root(tops)
    served = Served(CHUNK, LEAF, tuple(roots), tops, tuple(map(tuple, levels)))
    only = (ModulusRange(0, CHUNKS, 0, modulus),)
    arithmetic = Arithmetic("ckks/1", 10 * CHUNKS, 10, 16, 24, only).encode()
    commit = msgspec.structs.replace(
        SMALL.commit, slots=slots, sum_trees=tree_root(roots).hex(), payouts="88" * 32
    )
    context = replace(
        SMALL.context,
        commit=commit,
        arithmetic=sha256(arithmetic).digest(),
        leaves_per_chunk=LEAVES,
        last_chunk_leaves=LEAVES,
    )
    return Dispute(context, prove_sum(Wrong(served, level, 0), place, rows, arithmetic))


def challenge_call(made: Dispute) -> bytes:
    """What the settlement contract is called with: commit, kind, proof."""
    words = (made.context.commit.encode(), uint(made.proof.kind), blob(made.proof.encode()))
    return os.urandom(4) + struct(*words).body


def floor(data: bytes) -> int:
    """What calldata costs at least. Source: EIP-7623, since Prague."""
    zeros = data.count(0)
    return 21_000 + 10 * zeros + 40 * (len(data) - zeros)


def ordinary(data: bytes) -> int:
    """What calldata costs besides execution. Source: EIP-2028."""
    zeros = data.count(0)
    return 21_000 + 4 * zeros + 16 * (len(data) - zeros)


@pytest.mark.parametrize("modulus", [PRIME, TWO_64], ids=["60 bits", "2^64"])
@pytest.mark.parametrize(("slots", "most"), [(10, 240_000), (1_000, 256_000), (10_000, 267_000)])
def test_a_wrong_sum_is_proved_within_the_limit(slots: int, most: int, modulus: int) -> None:
    """Both children are sums: the longest proof there is. The floor is the price, if no more
    than what is set aside is spent on the rest."""
    made = dispute(slots, modulus, level=2)
    verifier = Verifier()
    data = challenge_call(made)

    judged = verifier.execute(
        verifier.verdict_call(made.context, made.proof.kind, made.proof.encode())
    )

    assert judged.output[-1] == 1
    assert floor(data) <= most
    assert ordinary(data) + judged.get_gas_used() + SETTLEMENT <= LARGEST
    # A transaction of geth's pool has 128 KiB at most.
    assert len(data) < 8_000
